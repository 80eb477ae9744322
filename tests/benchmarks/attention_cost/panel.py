"""One panel of the plot: a row for each member, and in it a dot for each number with all of its rounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtest.report.axis import linear
from loadtest.report.markup import Markup, element, join

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadtest.report.axis import Axis
    from tests.benchmarks.attention_cost.comparison import Number

ROW_HEIGHT = 50.0
_LANES = 11.0  # from the middle of a row to each of its two lanes
_END = 5.0  # half the height of a whisker's end
_GAP = 8.0


@dataclass(frozen=True, slots=True)
class Series:
    """A number of every member.

    Attributes:
        name: What it is, for the legend.
        colour: Its class in the style sheet.
        numbers: In the order of the rows; the first is that of the member without attention.
    """

    name: str
    colour: str
    numbers: Sequence[Number]


@dataclass(frozen=True, slots=True)
class Panel:
    """Series over one axis.

    Attributes:
        title: What is shown.
        unit: Of the axis.
        series: One or two.
        left: Where the axis begins.
        width: Of the axis; to its right is room for a label.
    """

    title: str
    unit: str
    series: tuple[Series, ...]
    left: float
    width: float

    def draw(self, top: float, rows: int) -> Markup:
        """The panel with its rows from `top` on."""
        ground = top + rows * ROW_HEIGHT
        axis = linear(0.0, max(self._values(), default=1.0), self.unit)
        marks = [
            element("text", self.title, x=self.left, y=top - 44, class_="panel"),
            *self._legend(top - 26),
            *self._grid(axis, top, ground),
            element("text", self.unit, x=self.left, y=ground + 36, class_="muted"),
        ]
        for place, series in enumerate(self.series):
            lane = _LANES * (2 * place - 1) if len(self.series) > 1 else 0.0
            marks += self._reference(axis, series, top, ground)
            for row, found in enumerate(series.numbers):
                marks += self._number(axis, series, found, top + (row + 0.5) * ROW_HEIGHT + lane)
        return join(*marks)

    def _values(self) -> Iterator[float]:
        for series in self.series:
            yield from (found.spread.high for found in series.numbers if found.spread)

    def _legend(self, y: float) -> Iterator[Markup]:
        x = self.left
        for series in self.series:
            yield element("circle", cx=x + 4, cy=y - 4, r=4.0, class_=f"dot {series.colour}")
            yield element("text", series.name, x=x + 13, y=y, class_=f"key {series.colour}")
            x += 30 + 6.4 * len(series.name)

    def _grid(self, axis: Axis, top: float, ground: float) -> Iterator[Markup]:
        for value, text in axis.ticks:
            x = self._x(axis, value)
            yield element("line", x1=x, x2=x, y1=top, y2=ground, class_="grid")
            yield element("text", text, x=x, y=ground + 17, text_anchor="middle", class_="muted")

    def _reference(self, axis: Axis, series: Series, top: float, ground: float) -> Iterator[Markup]:
        """A line at the first member's number, from which the others' distance is seen."""
        base = series.numbers[0].spread
        if base:
            x = self._x(axis, base.median)
            yield element("line", x1=x, x2=x, y1=top, y2=ground, class_=f"reference {series.colour}")

    def _number(self, axis: Axis, series: Series, found: Number, y: float) -> Iterator[Markup]:
        if found.spread is None:
            yield element("text", "not measured", x=self.left + _GAP, y=y + 4, class_="muted")
            return
        low, high = self._x(axis, found.spread.low), self._x(axis, found.spread.high)
        path = f"M{low:.1f} {y - _END:.1f}v{2 * _END:g}m0 {-_END:g}H{high:.1f}m0 {-_END:g}v{2 * _END:g}"
        yield element("path", d=path, class_=f"whisker {series.colour}")
        for value in found.spread.values:
            yield element("circle", cx=self._x(axis, value), cy=y, r=2.0, class_=f"round {series.colour}")
        title = element("title", f"{series.name}: {found.spread.text()} {self.unit}")
        yield element(
            "circle", title, cx=self._x(axis, found.spread.median), cy=y, r=3.8, class_=f"dot {series.colour}"
        )
        yield element(
            "text",
            element("tspan", found.spread.middle(), class_=f"value {series.colour}"),
            _times(found.ratio.median) if found.ratio else None,
            x=high + _GAP,
            y=y + 4,
            class_="label",
        )

    def _x(self, axis: Axis, value: float) -> float:
        return self.left + axis.place(value) * self.width


def _times(ratio: float) -> Markup:
    return element("tspan", f" \N{MULTIPLICATION SIGN}{ratio:.2f}", class_="muted")
