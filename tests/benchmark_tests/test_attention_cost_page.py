"""Page and plot say what was measured, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from loadtest.report.numbers import UNKNOWN
from tests.benchmarks.attention_cost.comparison import Comparison
from tests.benchmarks.attention_cost.document import document
from tests.benchmarks.attention_cost.plot import plot
from tests.benchmarks.attention_cost.sentences import headline, sentences
from tests.benchmarks.attention_cost.table import engine_table, served_table

if TYPE_CHECKING:
    from tests.benchmarks.attention_cost.costs import Costs

SVG = "{http://www.w3.org/2000/svg}"


def test_engine_table(costs: Costs) -> None:
    """Every member has its sizes, its costs with their range, and a dash where the paper says nothing."""
    none, bam, ca = engine_table(Comparison(costs)).rows
    assert none[:4] == ("none", "72.3 %", "3.50 M", "300 M")
    assert (none[5], bam[1]) == (UNKNOWN, UNKNOWN)
    assert ca[4:] == (
        "19.0 (13.0 to 25.0)",
        "1.27 (1.25 to 1.30)",
        "15.0 (10.0 to 20.0) in batches of 4",
        "1.25 (1.25 to 1.25)",
    )
    assert bam[6] == "30.0 (20.0 to 40.0) in batches of one"


def test_served_table(costs: Costs) -> None:
    """What is not known is a dash, and what only one round knows has no range."""
    _, bam, ca = served_table(Comparison(costs)).rows
    assert bam[4:] == ("90.0", UNKNOWN, UNKNOWN)
    assert ca[4:] == ("44.0 (33.0 to 55.0)", "60.0 (40.0 to 80.0)", "0.800 (0.800 to 0.800)")


def test_sentences_follow_the_numbers(costs: Costs) -> None:
    """The promise is held against what was measured: 10 M of 300 M would be 0.5 ms of 15, and it took 4."""
    first, second, third = sentences(Comparison(costs))
    assert "costs +4.00 (+3.00 to +5.00) ms of CPU an image, +27 %, if each is executed alone" in first
    assert "and +3.00 (+2.00 to +4.00) ms in the best batches" in first
    assert "10 M more here, +3.3 %, which at the speed of the other ones would be +0.50 ms" in first
    assert "is 8 times that" in first
    assert '"+0.03 ms" that is quoted is +4.00 ms here, 133 times as much' in first
    assert second.endswith("ca +2.0 for +4.00 ms.")
    assert "carries 75.0 (50.0 to 100.0) images a second; times as many: ca 0.800 (0.800 to 0.800)." in third


def test_a_cost_within_the_noise_is_not_claimed(costs: Costs) -> None:
    """Where rounds disagree on which one is dearer, the page says so."""
    engine = costs.engine | {"ca": [{1: 9.0, 4: 8.0}, {1: 22.0, 4: 16.0}]}
    first = sentences(Comparison(replace(costs, engine=engine)))[0]
    assert first.endswith("In these rounds what was measured cannot be told from nothing.")


def test_a_cost_that_is_no_more_than_counted(costs: Costs) -> None:
    """Where the multiply-adds explain what was measured, the page says so, and still what became of the quoted cost."""
    engine = costs.engine | {"ca": [{1: 10.2, 4: 8.0}, {1: 20.4, 4: 16.0}]}
    first = sentences(Comparison(replace(costs, engine=engine)))[0]
    assert first.endswith('no more than that: the "+0.03 ms" that is quoted is +0.300 ms here.')


def test_without_coordinate_attention_nothing_is_said_of_it(costs: Costs) -> None:
    """Any members will do."""
    others = Comparison(replace(costs, members=costs.members[:2]))
    assert "Coordinate" not in document(others, "a.svg")
    assert headline(others) == ""
    assert "Coordinate" not in plot(others)


def test_document_has_everything(costs: Costs) -> None:
    """Picture, both tables, how it was measured, and what was doubtful."""
    rounds = costs.served["ca"]
    doubtful = costs.served | {"ca": [rounds[0], replace(rounds[1], doubts=("the host took 3 %",))]}
    text = document(Comparison(replace(costs, served=doubtful)), "plot.svg")
    assert "![What attention costs](plot.svg)" in text
    assert text.index("## In the engine") < text.index("## Served") < text.index("## How it was measured")
    assert "MobileNetV2 1.0 at 224x224 in fp32" in text
    assert "- Doubtful: ca in round 2: the host took 3 %." in text


def test_plot_shows_every_round(costs: Costs) -> None:
    """The plot is well-formed, stands for itself, and has a mark for each number and each of its rounds."""
    drawn = plot(Comparison(costs))
    root = ET.fromstring(drawn)  # noqa: S314 - written just before
    circles = [element.get("class", "") for element in root.iter(f"{SVG}circle")]
    texts = ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]

    # Engine: 3 members x 2 series x 2 rounds; latency: the same but for a p99; images: 2 members x 2 rounds.
    assert sum(name.startswith("round") for name in circles) == 12 + 11 + 4
    assert {
        "none",
        "bam",
        "ca",
        "top-1 74.3 %",
        "not in the paper",
        "19.0 \N{MULTIPLICATION SIGN}1.27",
        "not measured",
    } <= set(texts)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in drawn


@pytest.mark.parametrize("field", ["x", "cx", "x2"])
def test_plot_keeps_within_its_edges(costs: Costs, field: str) -> None:
    """Nothing is drawn outside of the picture."""
    root = ET.fromstring(plot(Comparison(costs)))  # noqa: S314 - written just before
    width = float(root.get("width", "0"))
    places = [float(value) for element in root.iter() if (value := element.get(field))]
    assert places
    assert 0 <= min(places) <= max(places) < width
