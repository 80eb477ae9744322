"""The plot: engine, latency and throughput side by side, as one SVG that needs nothing from elsewhere.

It brings its own background, since a page's theme and a reader's system need not agree on what is light and dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.report.markup import Markup, element
from loadtest.report.numbers import number
from tests.benchmarks.attention_cost.document import subject
from tests.benchmarks.attention_cost.panel import ROW_HEIGHT, Panel, Series
from tests.benchmarks.attention_cost.sentences import headline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.attention_cost.comparison import Compared, Comparison

_WIDTH = 1000.0
_TOP = 142.0  # where the rows begin
_BELOW = 82.0
_NAMES = 24.0
_PANELS = (138.0, 430.0, 722.0)
_PANEL_WIDTH = 175.0

_STYLE = """
svg { --ink: #1f2328; --muted: #59636e; --grid: #d1d9e0; --paper: #ffffff; --stripe: #f6f8fa;
  --a: #0550ae; --b: #bc4c00; --c: #116329; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --muted: #9198a1; --grid: #3d444d; --paper: #0d1117; --stripe: #151b23;
    --a: #58a6ff; --b: #f0883e; --c: #3fb950; }
}
text { font: 12.5px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
.heading { font-size: 17px; font-weight: 600; } .panel { font-weight: 600; font-size: 13.5px; }
.name { font-weight: 600; font-size: 14px; } .muted { fill: var(--muted); font-size: 11.5px; }
.value { font-weight: 600; } .key { font-size: 12px; }
.paper { fill: var(--paper); stroke: var(--grid); } .stripe { fill: var(--stripe); }
.grid { stroke: var(--grid); stroke-width: 1; }
.a { --colour: var(--a); } .b { --colour: var(--b); } .c { --colour: var(--c); }
text.a, text.b, text.c, tspan.a, tspan.b, tspan.c { fill: var(--colour); }
.dot { fill: var(--colour); stroke: var(--paper); stroke-width: 1; }
.round { fill: var(--colour); fill-opacity: 0.35; }
.whisker { stroke: var(--colour); stroke-width: 1.6; fill: none; }
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; stroke-linejoin: round; }
.reference { stroke: var(--colour); stroke-width: 1; stroke-dasharray: 2 3; stroke-opacity: 0.8; }
"""


def plot(comparison: Comparison) -> str:
    """The SVG."""
    rows = len(comparison.members)
    height = _TOP + rows * ROW_HEIGHT + _BELOW
    drawn = element(
        "svg",
        element("title", f"What attention costs: {subject(comparison.costs.settings)}"),
        element("style", Markup(_STYLE)),
        element("rect", x=0.5, y=0.5, width=_WIDTH - 1, height=height - 1, rx=6, class_="paper"),
        *_heading(comparison),
        *(mark for row, each in enumerate(comparison.members) for mark in _name(each, row)),
        *(panel.draw(_TOP, rows) for panel in _panels(comparison)),
        *_footnote(height),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        width=f"{_WIDTH:.0f}",
        height=f"{height:.0f}",
        role="img",
    )
    return drawn + "\n"


def _heading(comparison: Comparison) -> Iterator[Markup]:
    yield element("text", "What attention costs", x=_NAMES, y=34, class_="heading")
    text = f"{subject(comparison.costs.settings)}, on the processor. {headline(comparison)}"
    yield element("text", text, x=_NAMES, y=56)


def _name(each: Compared, row: int) -> Iterator[Markup]:
    """A member's name, and what the paper says of it."""
    top = _TOP + row * ROW_HEIGHT
    if row % 2 == 0:
        yield element("rect", x=8, y=top, width=_WIDTH - 16, height=ROW_HEIGHT, rx=4, class_="stripe")
    yield element("text", each.member.attention, x=_NAMES, y=top + 23, class_="name")
    top1 = each.member.paper_top1
    text = "not in the paper" if top1 is None else f"top-1 {top1:.1f} %"
    yield element("text", text, x=_NAMES, y=top + 39, class_="muted")


def _panels(comparison: Comparison) -> Iterator[Panel]:
    members, settings = comparison.members, comparison.costs.settings
    engine = (
        Series("alone", "a", [each.alone for each in members]),
        Series("best batch", "b", [each.best for each in members]),
    )
    yield Panel("Engine: CPU time", "CPU ms an image", engine, _PANELS[0], _PANEL_WIDTH)
    latency = (Series("p50", "a", [each.p50 for each in members]), Series("p99", "b", [each.p99 for each in members]))
    title = f"Served: latency at {number(settings.rate)}/s"
    yield Panel(title, "ms from when a request was due", latency, _PANELS[1], _PANEL_WIDTH)
    within = f"p99 within {number(settings.objective_ms)} ms"
    carried = (Series(within, "c", [each.images for each in members]),)
    yield Panel("Served: what it carries", "images a second", carried, _PANELS[2], _PANEL_WIDTH)


def _footnote(height: float) -> Iterator[Markup]:
    text = (
        "Dots: median of the rounds; whiskers: its 95 % interval (of fewer than six rounds: all);"
        " \N{MULTIPLICATION SIGN}: median ratio to none in the same round; dotted: none. Top-1: the paper's."
    )
    yield element("text", text, x=_NAMES, y=height - 16, class_="muted")
