"""A plot: lines, bands, points and bars over two axes, as SVG that needs nothing from elsewhere.

Colours are names; the page's style sheet gives each its look in light, dark and print.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loadtest.report.markup import Markup, element, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.report.axis import Axis

# In a phone's width text of 12 is still readable, and two of them fit side by side on a screen.
WIDTH, HEIGHT = 460.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 24.0, 40.0
_MARK = 4.5
_MIDDLE = 0.5
_LETTER = 6.2  # about the width of one


class Plot:
    """Collects marks; `figure` gives the whole with its title and legend."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self.x, self.y = x, y
        self._marks: list[Markup] = []
        self._legend: list[Markup] = []

    def line(self, points: Sequence[tuple[float, float]], colour: str, name: str = "", *, style: str = "") -> None:
        """Join points by a line; one that is not finite interrupts it."""
        commands, pen_up = [], True
        for x, y in points:
            if math.isfinite(x) and math.isfinite(y):
                commands.append(f"{'M' if pen_up else 'L'}{self._x(x):.1f} {self._y(y):.1f}")
            pen_up = not (math.isfinite(x) and math.isfinite(y))
        self._marks.append(element("path", d="".join(commands), class_=f"line {style}".strip(), data_colour=colour))
        self.explain(name, colour, style)

    def band(self, lower: Sequence[tuple[float, float]], upper: Sequence[tuple[float, float]], colour: str) -> None:
        """Fill what is between two lines; an infinite value is at the plot's edge."""
        around = [*lower, *reversed(upper)]
        places = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in around)
        self._marks.append(element("polygon", points=places, class_="band", data_colour=colour))

    def point(self, x: float, y: float, colour: str, text: str = "", *, style: str = "") -> None:
        """A dot that tells `text` when pointed at."""
        title = element("title", text)
        self._marks.append(
            element("circle", title, cx=self._x(x), cy=self._y(y), r=3.2, class_=f"dot {style}", data_colour=colour)
        )

    def whisker(self, x: float, low: float, high: float, colour: str) -> None:
        """An interval at a place."""
        place = self._x(x)
        self._marks.append(
            element("line", x1=place, x2=place, y1=self._y(low), y2=self._y(high), class_="whisker", data_colour=colour)
        )

    def cross(self, x: float, colour: str, text: str, *, row: int = 0) -> None:
        """A cross at the plot's upper edge, for something that has a place along x only."""
        a, b = self._x(x), _TOP + 7 + 11 * row
        strokes = f"M{a - _MARK:.1f} {b - _MARK:.1f}l9 9m0 -9l-9 9"
        self._marks.append(element("path", element("title", text), d=strokes, class_="cross", data_colour=colour))

    def bar(self, left: float, right: float, low: float, high: float, colour: str, text: str) -> None:
        """A bar, or a piece of one that stands on others."""
        x, y = self._x(left), self._y(high)
        width, height = self._x(right) - x, self._y(low) - y
        title = element("title", text)
        self._marks.append(
            element("rect", title, x=x, y=y, width=width, height=height, class_="bar", data_colour=colour)
        )

    def across(self, y: float, colour: str, text: str, anchor: str = "start") -> None:
        """A dashed line across, such as an objective, with its name at its start or its end."""
        place = self._y(y)
        self._marks.append(
            element("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=place, y2=place, class_="limit", data_colour=colour)
        )
        self.note(self.x.high if anchor == "end" else self.x.low, y, text, colour, anchor)

    def upright(self, x: float, colour: str, text: str) -> None:
        """A dashed line from the ground to the top, with its name beside its top."""
        place = self._x(x)
        self._marks.append(
            element("line", x1=place, x2=place, y1=_TOP, y2=HEIGHT - _BOTTOM, class_="limit", data_colour=colour)
        )
        anchor = "start" if self.x.place(x) < _MIDDLE else "end"
        self.note(x, self.y.high, text, colour, anchor)

    def note(self, x: float, y: float, text: str, colour: str = "", anchor: str = "start") -> None:
        """Words in the plot, just above a place."""
        place = self._x(x) + (4 if anchor == "start" else -4 if anchor == "end" else 0)
        self._marks.append(
            element("text", text, x=place, y=self._y(y) - 5, text_anchor=anchor, class_="note", data_colour=colour)
        )

    def shade(self, left: float, right: float, colour: str, text: str) -> None:
        """Fill from left to right over the plot's whole height."""
        x = self._x(left)
        width = max(1.0, self._x(right) - x)
        title = element("title", text)
        height = HEIGHT - _TOP - _BOTTOM
        self._marks.append(
            element("rect", title, x=x, y=_TOP, width=width, height=height, class_="shade", data_colour=colour)
        )

    def figure(self, title: str, caption: str = "") -> Markup:
        """The plot with its title, its legend and a sentence on how to read it."""
        svg = element(
            "svg",
            element("title", title),
            self._frame(),
            *self._marks,
            viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
            role="img",
            xmlns="http://www.w3.org/2000/svg",
        )
        legend = element("p", *self._legend, class_="legend") if self._legend else None
        return element("figure", element("h3", title), legend, svg, element("figcaption", caption) if caption else None)

    def explain(self, name: str, colour: str, style: str = "") -> None:
        """Add to the legend what a colour stands for."""
        if name:
            self._legend.append(
                element("span", element("i", data_colour=colour, class_=style or None), name, class_="key")
            )

    def _frame(self) -> Markup:
        right, ground = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        marks = []
        for value, text in self.y.ticks:
            y = self._y(value)
            marks.append(element("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid"))
            marks.append(element("text", text, x=_LEFT - 6, y=y + 4, text_anchor="end"))
        for value, text in self._labels_that_fit():
            x = self._x(value)
            marks.append(element("line", x1=x, x2=x, y1=ground, y2=ground + 4, class_="tick"))
            marks.append(element("text", text, x=x, y=ground + 16, text_anchor="middle"))
        marks.append(element("line", x1=_LEFT, x2=right, y1=ground, y2=ground, class_="tick"))
        marks.append(element("text", self.y.title, x=4, y=12, class_="title"))
        marks.append(element("text", self.x.title, x=right, y=HEIGHT - 6, text_anchor="end", class_="title"))
        return join(*marks)

    def _labels_that_fit(self) -> list[tuple[float, str]]:
        """Ticks of the x axis whose text does not run into that of the one before."""
        shown: list[tuple[float, str]] = []
        end = -math.inf
        for value, text in self.x.ticks:
            half = len(text) * _LETTER / 2
            if self._x(value) - half > end:
                shown.append((value, text))
                end = self._x(value) + half + 4
        return shown

    def _x(self, value: float) -> float:
        return _LEFT + self.x.place(value) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self.y.place(value) * (HEIGHT - _TOP - _BOTTOM)
