from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.metrics.exposition import OPENMETRICS, TEXT, Format
from server.metrics.negotiation import takes_gzip, wanted_format

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("Application/OpenMetrics-Text", OPENMETRICS),
        ("text/plain, application/openmetrics-text", OPENMETRICS),
        ("text/plain, application/openmetrics-text; q=0.9", TEXT),
        ("application/openmetrics-text; q=0", TEXT),
        ("application/openmetrics-text; q=much", TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT),
        ("*/*", TEXT),
        ("", TEXT),
    ],
)
def test_the_format_is_the_one_that_is_preferred(accept: str, expected: Format) -> None:
    """Prometheus of any age gets OpenMetrics, a browser and who does not say get plain text."""
    assert wanted_format(accept) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("", False),
    ],
)
def test_a_page_is_compressed_for_who_says_so(header: str, *, expected: bool) -> None:
    """`*` stands for all that is not named, and a weight of 0 forbids."""
    assert takes_gzip(header) is expected


@given(st.text())
def test_no_header_does_harm(header: str) -> None:
    """Whatever somebody sends, there is an answer."""
    assert wanted_format(header) in (TEXT, OPENMETRICS)
    assert takes_gzip(header) in (True, False)
