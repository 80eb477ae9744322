"""A metric family: one name, its kind and its samples, each written as it stands in both of Prometheus's formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from server.histogram import Exemplar, Histogram


class Sample(NamedTuple):
    """One line; `key` is what stands between the family's name and the value: a suffix and the labels."""

    key: str
    value: float
    exemplar: str = ""


@dataclass(slots=True)
class Family:
    """Samples of one name. Counters have the whole name, `_total` included; Triton's have none."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    samples: list[Sample] = field(default_factory=list)

    def add(self, labels: str, value: float) -> None:
        """Add a sample with `labels` as `label_pairs` writes them."""
        self.samples.append(Sample(f"{{{labels}}}" if labels else "", value))

    def add_histogram(self, labels: str, histogram: Histogram) -> None:
        """Add the samples of a histogram: cumulative buckets, count and sum."""
        total, before = 0, labels + "," if labels else ""
        for bucket, (edge, count) in enumerate(zip(_edge_texts(histogram.edges), histogram.counts, strict=True)):
            total += count
            exemplar = histogram.exemplars.get(bucket)
            told = _exemplar(exemplar) if exemplar else ""
            self.samples.append(Sample(f'_bucket{{{before}le="{edge}"}}', total, told))
        after = f"{{{labels}}}" if labels else ""
        self.samples += (Sample("_count" + after, total), Sample("_sum" + after, histogram.sum))


def label_pairs(**labels: str) -> str:
    """Labels and their values as they stand between braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@lru_cache
def _edge_texts(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Edges as OpenMetrics wants them, with a point, and in both formats alike: to Prometheus `1` is not `1.0`."""
    return (*(str(float(edge)) for edge in edges), "+Inf")


def _exemplar(exemplar: Exemplar) -> str:
    """What follows a bucket in OpenMetrics.

    A caller chose the id: to Prometheus a page with a NUL there is no page, and parsers trip over quotes.
    """
    request_id = "".join(char if char.isprintable() and char not in '"\\' else "?" for char in exemplar.request_id)
    return f' # {{request_id="{request_id}"}} {exemplar.value} {exemplar.finished:.3f}'
