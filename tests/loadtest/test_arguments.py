from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest

from loadtest.arguments import cpus, duration, duration_or_none, limit, percentile, port, sizes

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (duration, "500ms", 0.5),
        (duration, "1.5s", 1.5),
        (duration, "2m", 120.0),
        (duration, "1h", 3600.0),
        (duration, "3", 3.0),
        (duration_or_none, "0", 0.0),
        (limit, "100ms", 0.1),
        (percentile, "99", 0.99),
        (percentile, "p99.9", 0.999),
        (port, "0", 0),
        (sizes, "1,2,8", (1, 2, 8)),
        (cpus, "0,2-3", frozenset({0, 2, 3})),
    ],
)
def test_values_are_read(read: Callable[[str], Any], text: str, value: object) -> None:
    """Times have units, percentiles are numbers of a hundred, cores are ranges."""
    assert read(text) == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((duration, text) for text in ("", "s", "-1s", "0s", "nan", "inf", "1x")),
        *((limit, text) for text in ("100", "0.1", "1e3", "0ms", "ms")),
        *((percentile, text) for text in ("100", "0", "p", "0.99", "p0.999")),
        *((port, text) for text in ("65536", "-1", "a")),
        *((sizes, text) for text in ("", "0", "1,,2")),
        *((cpus, text) for text in ("", "a", "1-", "-1")),
    ],
)
def test_what_cannot_be_meant_is_refused(read: Callable[[str], Any], text: str) -> None:
    """A value that makes no sense is one clear line for the user."""
    with pytest.raises(argparse.ArgumentTypeError):
        read(text)
