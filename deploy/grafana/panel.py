"""What a panel is made of: the rows are lists of these, and `drawing.py` makes Grafana's own objects of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Server = Literal["python", "triton"]
BOTH: tuple[Server, ...] = ("python", "triton")
PYTHON: tuple[Server, ...] = ("python",)
TRITON: tuple[Server, ...] = ("triton",)

Step = tuple[float | None, str]  # from this value on, this colour; None is the lowest


@dataclass(frozen=True)
class Query:
    """One expression of PromQL, the legend of its series, and the servers that have what it asks for."""

    expr: str
    legend: str
    servers: tuple[Server, ...] = BOTH


@dataclass(frozen=True)
class Panel:
    """A panel; `unit` is one of Grafana's unit ids, `span` is in columns of 24 and `height` in rows of 30 pixels."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat", "heatmap", "table"] = "timeseries"
    no_value: str = "no data"
    thresholds: tuple[Step, ...] = ()
    names: tuple[tuple[float, str], ...] = ()  # words in place of values
    stacked: bool = False
    lowest: float | None = 0
    highest: float | None = None
    repeated_by: str = ""  # a variable: one panel for each of its values
    span: int = 8
    height: int = 8
    newest_triton: bool = False  # whether Triton's newest versions tell it, too, which older ones do not

    @property
    def servers(self) -> set[Server]:
        """The servers for which the panel has anything to show."""
        return {server for query in self.queries for server in query.servers}


@dataclass(frozen=True)
class Row:
    """A row of panels under a title."""

    title: str
    panels: tuple[Panel, ...]
