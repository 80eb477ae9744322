"""Numbers as a person reads them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Milliseconds below a second, with as many digits as mean something."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1e3
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"  # noqa: PLR2004 - two digits


def rate(count: float, seconds: float) -> str:
    """So many a second."""
    return f"{count / seconds:.1f}/s"


def percent(share: float) -> str:
    """A share; what is there is never told as 0 %, nor what is missing as 100 %."""
    if 0 < share < 0.01:  # noqa: PLR2004 - below what is told without decimals
        return "below 1 %"
    return f"{min(share * 100, 99) if share < 1 else 100:.0f} %"


def mebibytes(number: float) -> str:
    """Bytes."""
    return f"{number / (1 << 20):.0f} MiB"
