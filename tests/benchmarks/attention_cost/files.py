"""The three files of a measurement: numbers, page and plot, all of them or none."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from modeling.files import replacing
from tests.benchmarks.attention_cost.comparison import Comparison
from tests.benchmarks.attention_cost.document import document
from tests.benchmarks.attention_cost.plot import plot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.attention_cost.costs import Costs

NAME = "attention-cost"


def write(directory: Path, costs: Costs) -> list[Path]:
    """Write `attention-cost.json`, `.md` and `.svg`, replacing what is there; gives their paths."""
    comparison = Comparison(costs)
    paths = [directory / f"{NAME}.{suffix}" for suffix in ("json", "md", "svg")]
    texts = [costs.to_json(), document(comparison, paths[2].name), plot(comparison)]
    with ExitStack() as stack:
        for path, text in zip(paths, texts, strict=True):
            stack.enter_context(replacing(path)).write_text(text, encoding="utf-8")
    return paths
