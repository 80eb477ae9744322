from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from server.services.share import AT_ONCE, Share


def _model(name: str, version: int, queue_capacity: int) -> Any:
    return SimpleNamespace(config=SimpleNamespace(name=name), version=version, queue_capacity=queue_capacity)


@pytest.mark.parametrize(("capacity", "places"), [(1, 1), (2, 1), (16, 8), (10_000, AT_ONCE)])
async def test_a_call_takes_no_more_than_half_of_a_queue(capacity: int, places: int) -> None:
    """As many places as are promised can be taken, and then no more until one is given back."""
    place = Share().place(_model("model", 1, capacity))

    for _ in range(places):
        assert not place.locked()
        await place.acquire()

    assert place.locked()
    place.release()
    assert not place.locked()


async def test_each_version_of_a_model_has_places_of_its_own() -> None:
    """The same version shares its places within a call; another one, or another call, does not touch them."""
    share = Share()
    first = share.place(_model("model", 1, 2))

    assert share.place(_model("model", 1, 2)) is first
    assert share.place(_model("model", 2, 2)) is not first
    assert Share().place(_model("model", 1, 2)) is not first
