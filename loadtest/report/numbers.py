"""Numbers as people read them: three digits that count, and the exact value for programs beside them."""

from __future__ import annotations

import math

from loadtest.report.markup import Markup, element

PERCENTILES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p999": "p99.9", "max": "max"}
"""Names of percentiles in a summary, and how they are written."""
UNKNOWN = "\N{EN DASH}"
_THOUSAND = 999.5  # which is written as 1,000


def number(value: float | None) -> str:
    """Three digits that count: 0.123, 1.23, 12.3, 123, 12,345; a dash for what is not known."""
    if value is None:
        return UNKNOWN
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "∞"
    if abs(value) >= _THOUSAND:
        return f"{value:,.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    text = f"{value:.{max(0, digits)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def promised(rate: float) -> str:
    """A rate that may be promised: three digits that count, rounded down."""
    step = 10.0 ** (math.floor(math.log10(rate)) - 2) if rate > 0 else 1.0
    return number(math.floor(rate / step + 1e-9) * step)


def share(value: float | None) -> str:
    """A share as a percentage."""
    return UNKNOWN if value is None else f"{number(100 * value)} %"


def milliseconds(value: float | None) -> str:
    """A time; a dash where it is infinite or too few requests tell it."""
    return UNKNOWN if value is None else f"{number(value)} ms"


def exact(value: float | None, text: str | None = None) -> Markup:
    """A number for people, with its exact value for programs."""
    shown = number(value) if text is None else text
    return element("data", shown, value=repr(value)) if value is not None else element("span", shown)


def percentile(quantile: float) -> str:
    """0.99 to p99."""
    return f"p{100 * quantile:g}"
