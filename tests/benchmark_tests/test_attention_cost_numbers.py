"""Rounds become numbers that compare like with like."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.attention_cost.comparison import Comparison
from tests.benchmarks.attention_cost.costs import Costs, Settings
from tests.benchmarks.attention_cost.ladder import highest_rung
from tests.benchmarks.attention_cost.members import describe
from tests.benchmarks.attention_cost.rounds import turns
from tests.benchmarks.attention_cost.spread import Spread, differences, ratios, spread

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["none", "se", "cbam", "ca"]


def test_each_round_has_every_member_once() -> None:
    """No member is measured more often than another, and the seed alone decides on the order."""
    found = list(turns(NAMES, 5, seed=3))
    assert Counter(found) == {(number, name): 1 for number in range(5) for name in NAMES}
    assert found == list(turns(NAMES, 5, seed=3))
    assert found != list(turns(NAMES, 5, seed=4))


def test_every_second_round_goes_backwards() -> None:
    """Over two rounds nobody stands nearer to the beginning than another."""
    found = [name for _, name in turns(NAMES, 4, seed=1)]
    assert found[4:8] == found[3::-1]
    assert found[12:] == found[11:7:-1]


def test_ratios_are_taken_within_rounds() -> None:
    """A machine that is twice as slow in one round changes no ratio; a round that lacks a number is left out."""
    assert ratios([10.0, 20.0, 40.0], [15.0, 30.0, 60.0]) == Spread((1.5, 1.5, 1.5))
    assert ratios([10.0, None, 40.0], [15.0, 30.0, None]) == Spread((1.5,))
    assert differences([10.0, 20.0], [11.0, 23.0]) == Spread((1.0, 3.0))
    assert ratios([None], [1.0]) is None
    assert spread([]) is None


@pytest.mark.parametrize(("count", "beyond"), [(1, 0), (5, 0), (6, 0), (9, 1), (15, 3), (100, 39)])
def test_interval_of_the_median_is_that_of_the_sign_test(count: int, beyond: int) -> None:
    """So many of the least and of the greatest values, as tables of the sign test have it, are outside of it."""
    found = Spread(tuple(float(value) for value in range(count, 0, -1)))
    assert (found.low, found.high) == (1 + beyond, count - beyond)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((9.042, 8.4, 12.25), "9.04 (8.40 to 12.25)"),
        ((104.6, 99.4), "102 (99 to 105)"),
        ((12345.6,), "12,346"),
        ((0.0, 0.0), "0.0000 (0.0000 to 0.0000)"),
        ((0.5,), "0.500"),
    ],
)
def test_spread_is_written_with_as_many_decimals_as_its_median(values: tuple[float, ...], expected: str) -> None:
    """Median and interval can be compared at a glance."""
    assert Spread(values).text() == expected


def test_a_difference_has_its_sign() -> None:
    """More and less are told apart."""
    assert Spread((2.31, -0.2, 3.0)).text(signed=True) == "+2.31 (-0.20 to +3.00)"


@pytest.mark.parametrize("answer", range(-6, 8))
@pytest.mark.parametrize("guess", [-9, -5, 0, 3, 6, 20])
def test_ladder_finds_the_highest_rung_that_holds(answer: int, guess: int) -> None:
    """Wherever it begins, it finds the answer, tries no rung twice, and none beyond the ends."""
    tried: list[int] = []

    def holds(rung: int) -> bool:
        tried.append(rung)
        return rung <= answer

    found = highest_rung(holds, guess, -5, 6)

    assert found == (None if answer < -5 else min(answer, 6))
    assert len(set(tried)) == len(tried)
    assert set(tried) <= set(range(-5, 7))


def test_a_good_guess_takes_few_tries() -> None:
    """From next to the answer it takes four tries, however long the ladder is."""
    tried: list[int] = []
    assert highest_rung(lambda rung: tried.append(rung) or rung <= 51, 50, 0, 1000) == 51  # type: ignore[func-returns-value] # appended only
    assert tried == [50, 51, 53, 52]


def test_comparison_pairs_and_chooses_the_best_batch(costs: Costs) -> None:
    """Each member's own cheapest batch size is compared with that of the one without attention, round by round."""
    none, bam, ca = Comparison(costs).members
    assert (none.best_size, bam.best_size, ca.best_size) == (4, 1, 4)
    assert none.alone.ratio is None
    assert bam.best.ratio == Spread((2.5, 2.5))
    assert ca.alone.more == Spread((3.0, 5.0))
    assert ca.images.ratio == Spread((0.8, 0.8))
    assert bam.p99.ratio == Spread((3.0,))
    assert bam.images.spread is None


def test_costs_survive_their_file(costs: Costs, tmp_path: Path) -> None:
    """What is written is what is read."""
    path = tmp_path / "costs.json"
    path.write_text(costs.to_json())
    assert Costs.from_json(path.read_text()) == costs


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"settings": {"no": 1}}'])
def test_other_files_are_refused(text: str) -> None:
    """What is no such file is an error that says so."""
    with pytest.raises(ValueError, match="these are no costs that were measured"):
        Costs.from_json(text)


def test_members_without_rounds_are_refused(costs: Costs) -> None:
    """Numbers that cannot be compared are no costs: without the member to compare with, or without another's rounds."""
    for changes in ({"members": costs.members[1:]}, {"members": ()}, {"served": costs.served | {"ca": []}}):
        with pytest.raises(ValueError, match="the first member must be 'none', and every one needs its rounds"):
            replace(costs, **changes)  # type: ignore[arg-type]


def test_members_are_counted_and_looked_up() -> None:
    """The paper's sizes come from counting, and its accuracies stand only beside its own network."""
    found = describe("se", Settings())
    assert found.parameters == pytest.approx(3.89e6, rel=2e-3)
    assert found.multiply_adds == pytest.approx(300e6, rel=1e-2)
    assert found.paper_top1 == 73.5
    assert describe("bam", Settings()).paper_top1 is None
    assert describe("se", Settings(width=0.5)).paper_top1 is None
    assert describe("se", Settings(network="shufflenetv2")).paper_top1 is None
