"""Costs as they may have been measured."""

from __future__ import annotations

import pytest

from tests.benchmarks.attention_cost.costs import Costs, Member, ServedRound, Settings

MACHINE = {"processor": "a processor", "cores": 2, "python": "3.12", "packages": {"torch": "2"}, "command": "python"}


def served(p99_ms: float | None, images_per_second: float | None) -> ServedRound:
    """A round, of which only some numbers matter."""
    return ServedRound(12.0, 15.0, p99_ms, 1000, 0, images_per_second)


@pytest.fixture
def costs() -> Costs:
    """Two rounds of three members; the machine was slower in the second."""
    members = (
        Member("none", 3_500_000, 300_000_000, 72.3),
        Member("bam", 4_000_000, 330_000_000),
        Member("ca", 3_950_000, 310_000_000, 74.3),
    )
    engine = {
        "none": [{1: 10.0, 4: 8.0}, {1: 20.0, 4: 16.0}],
        "bam": [{1: 20.0, 4: 24.0}, {1: 40.0, 4: 48.0}],
        "ca": [{1: 13.0, 4: 10.0}, {1: 25.0, 4: 20.0}],
    }
    rounds = {
        "none": [served(30.0, 100.0), served(50.0, 50.0)],
        "bam": [served(90.0, None), served(None, None)],
        "ca": [served(33.0, 80.0), served(55.0, 40.0)],
    }
    return Costs(Settings(engine_rounds=2, rounds=2), MACHINE, members, engine, rounds)
