from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from server.histogram import Histogram
from server.metrics.exposition import OPENMETRICS, TEXT
from server.metrics.family import Family, label_pairs

if TYPE_CHECKING:
    from prometheus_client import Metric

# What files and messages in UTF-8 can bring.
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


def _openmetrics(*families: Family) -> dict[str, Metric]:
    return {each.name: each for each in openmetrics.text_string_to_metric_families(OPENMETRICS.write(families))}


def _text(*families: Family) -> dict[str, Metric]:
    return {each.name: each for each in text_string_to_metric_families(TEXT.write(families))}


@given(_TEXTS, st.integers(0) | st.floats(allow_nan=False))
def test_a_label_comes_back_as_it_was(value: str, number: float) -> None:
    """Quotes, backslashes and line breaks break no line, in either format."""
    family = Family("a_gauge", "gauge", "Something.")
    family.add(label_pairs(name=value, other="b"), number)
    for parsed in (_text(family), _openmetrics(family)):
        [sample] = parsed["a_gauge"].samples
        assert sample.labels == {"name": value, "other": "b"}
        assert sample.value == number


def test_counters_keep_their_names() -> None:
    """A counter with `_total` is one in both formats; one without is, in OpenMetrics, of a type that nobody knows."""
    ours, tritons = Family("a_total", "counter", "Ours."), Family("nv_b", "counter", "Triton's.")
    for family in (ours, tritons):
        family.add("", 5)
    assert TEXT.write([ours, tritons]) == (
        "# HELP a_total Ours.\n# TYPE a_total counter\na_total 5\n# HELP nv_b Triton's.\n# TYPE nv_b counter\nnv_b 5\n"
    )
    assert OPENMETRICS.write([ours, tritons]) == (
        "# HELP a Ours.\n# TYPE a counter\na_total 5\n# HELP nv_b Triton's.\n# TYPE nv_b unknown\nnv_b 5\n# EOF\n"
    )


def test_a_histogram_is_written_as_prometheus_wants_it() -> None:
    """Buckets are cumulative, their edges have points, and count and sum come with the same labels."""
    histogram = Histogram((1, 2.5))
    for value in (0.5, 0.5, 2, 9):
        histogram.observe(value)
    family = Family("h", "histogram", "A histogram.")
    family.add_histogram('a="b"', histogram)
    family.add_histogram("", Histogram((1,)))
    assert TEXT.write([family]).splitlines()[2:] == [
        *('h_bucket{a="b",le="1.0"} 2', 'h_bucket{a="b",le="2.5"} 3', 'h_bucket{a="b",le="+Inf"} 4'),
        *('h_count{a="b"} 4', 'h_sum{a="b"} 12.0'),
        *('h_bucket{le="1.0"} 0', 'h_bucket{le="+Inf"} 0', "h_count 0", "h_sum 0.0"),
    ]


@given(_TEXTS.filter(bool))
def test_exemplars_are_for_openmetrics_alone(request_id: str) -> None:
    """Whatever a caller calls its request, the exemplar is one that the format allows, of the value's own bucket."""
    histogram = Histogram((1, 2))
    histogram.observe(0.5)
    histogram.observe(1.5, request_id=request_id)
    family = Family("h", "histogram", "A histogram.")
    family.add_histogram("", histogram)
    samples = {sample.labels["le"]: sample for sample in _openmetrics(family)["h"].samples if "le" in sample.labels}
    exemplar = samples["2.0"].exemplar
    assert exemplar is not None
    assert exemplar.value == 1.5
    assert exemplar.timestamp is not None
    told = exemplar.labels["request_id"]
    assert told == "".join("?" if char in '"\\' or not char.isprintable() else char for char in request_id[: len(told)])
    assert len("request_id" + told) == min(128, len("request_id" + request_id))
    assert samples["1.0"].exemplar is samples["+Inf"].exemplar is None
    assert "request_id" not in TEXT.write([family])
