from __future__ import annotations

import pytest

from server.live.memory import growth

MIB = 1 << 20


def test_a_steady_rise_is_growth() -> None:
    """The figures are the first and the last level, and the time between them."""
    found = growth([300 * MIB + second * MIB for second in range(120)])
    assert found is not None
    assert (found.first, found.last, found.seconds) == (300 * MIB, 419 * MIB, 120)


@pytest.mark.parametrize(
    "levels",
    [
        [300 * MIB + second * MIB for second in range(30)],
        [300 * MIB] * 60 + [500 * MIB] * 60,
        [300 * MIB + second * MIB // 10 for second in range(120)],
        [500 * MIB - second * MIB for second in range(120)],
        [(300 + 200 * (second % 2)) * MIB for second in range(120)],
    ],
    ids=["too early", "one step", "little", "falling", "to and fro"],
)
def test_other_movement_is_none(levels: list[int]) -> None:
    """A cache that fills once, or a level that swings, is no leak."""
    assert growth(levels) is None
