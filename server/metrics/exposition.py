"""Writing metric families in the two formats that Prometheus reads.

Written here and not by Prometheus's library, as that insists on `_total`, which Triton's counters lack, and takes
several times as long, in which no request is served.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from server.metrics.family import Family


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its content type, and what writes a page of it."""

    content_type: str
    write: Callable[[Iterable[Family]], str]


def _write_text(families: Iterable[Family]) -> str:
    return "".join(line for family in families for line in _text_lines(family))


def _text_lines(family: Family) -> Iterator[str]:
    name = family.name
    yield f"# HELP {name} {family.text}\n# TYPE {name} {family.kind}\n"
    for key, value, _ in family.samples:
        yield f"{name}{key} {value}\n"


def _write_openmetrics(families: Iterable[Family]) -> str:
    return "".join(line for family in families for line in _openmetrics_lines(family)) + "# EOF\n"


def _openmetrics_lines(family: Family) -> Iterator[str]:
    """A counter whose samples do not end in `_total` is none to OpenMetrics: nobody is told what it is."""
    name = family.name
    declared = name.removesuffix("_total") if family.kind == "counter" else name
    kind = "unknown" if family.kind == "counter" and declared == name else family.kind
    yield f"# HELP {declared} {family.text}\n# TYPE {declared} {kind}\n"
    for key, value, exemplar in family.samples:
        yield f"{name}{key} {value}{exemplar}\n"


TEXT = Format("text/plain; version=0.0.4; charset=utf-8", _write_text)
OPENMETRICS = Format("application/openmetrics-text; version=1.0.0; charset=utf-8", _write_openmetrics)
