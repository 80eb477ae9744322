"""Who is measured when."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def turns(names: Sequence[str], rounds: int, seed: int) -> Iterator[tuple[int, str]]:
    """Each round has every member once, in an order that is drawn; the next one has it backwards.

    A machine that drifts, or a member that leaves it warm for the next, so hits all alike, and those that stand side by
    side in a round can be compared as pairs.
    """
    generator = random.Random(seed)  # noqa: S311 - an order, no secret
    order = list(names)
    for number in range(rounds):
        if number % 2:
            order.reverse()
        else:
            generator.shuffle(order)
        for name in order:
            yield number, name
