from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from grpc_health.v1 import health_pb2

from server.errors import InvalidRequest, ModelNotFound
from server.services.health import HealthServicer
from tests.server.services.event_loop import settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_STATUS = health_pb2.HealthCheckResponse
_CALL: Any = None  # health looks at nothing of the call


async def _requests(*services: str) -> AsyncIterator[Any]:
    for service in services:
        yield health_pb2.HealthCheckRequest(service=service)


async def _status(health: HealthServicer, service: str) -> int:
    return int((await health.Check(health_pb2.HealthCheckRequest(service=service), _CALL)).status)


async def test_check_tells_of_the_server_and_its_services() -> None:
    """Nothing serves until it is told to; the empty name is the whole server."""
    health = HealthServicer(["a.Service"])
    for serving, status in ((False, _STATUS.NOT_SERVING), (True, _STATUS.SERVING), (False, _STATUS.NOT_SERVING)):
        await health.set_serving(serving=serving)
        assert [await _status(health, service) for service in ("", "a.Service")] == [status, status]


async def test_check_does_not_know_other_services() -> None:
    """A service that is not there is NOT_FOUND, as gRPC's health protocol says."""
    with pytest.raises(ModelNotFound):
        await _status(HealthServicer(["a.Service"]), "other.Service")


async def test_watch_tells_each_change_once() -> None:
    """The status comes at once and then when it changes, not when it is set to what it was."""
    health = HealthServicer(["a.Service"])
    watch = health.Watch(_requests("a.Service"), _CALL)
    assert (await anext(watch)).status == _STATUS.NOT_SERVING
    change = asyncio.ensure_future(anext(watch))
    await health.set_serving(serving=False)
    await settle()
    assert not change.done()
    await health.set_serving(serving=True)
    assert (await change).status == _STATUS.SERVING
    await health.set_serving(serving=False)
    assert (await anext(watch)).status == _STATUS.NOT_SERVING
    await watch.aclose()


async def test_everybody_who_watches_is_told() -> None:
    """One change reaches all watchers, whatever they watch, and who left is no harm."""
    health = HealthServicer(["a.Service"])
    watches = [health.Watch(_requests(service), _CALL) for service in ("", "a.Service", "")]
    for watch in watches:
        await anext(watch)
    changes = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await settle()
    changes[0].cancel()
    await health.set_serving(serving=True)
    assert [(await change).status for change in changes[1:]] == [_STATUS.SERVING] * 2
    assert not asyncio.all_tasks() - {asyncio.current_task()}


async def test_an_unknown_service_can_be_watched() -> None:
    """Its status is that it is unknown, and it never changes here."""
    health = HealthServicer(["a.Service"])
    watch = health.Watch(_requests("other.Service"), _CALL)
    assert (await anext(watch)).status == _STATUS.SERVICE_UNKNOWN
    change = asyncio.ensure_future(anext(watch))
    await health.set_serving(serving=True)
    await settle()
    assert not change.done()
    change.cancel()


async def test_closing_ends_who_watches_after_the_last_word() -> None:
    """A server that stops tells that it does not serve any more, and then ends the streams."""
    health = HealthServicer(["a.Service"])
    await health.set_serving(serving=True)
    watch, slow = (health.Watch(_requests(""), _CALL) for _ in range(2))
    await anext(watch)
    await anext(slow)
    rest = asyncio.ensure_future(_drain(watch))
    await health.set_serving(serving=False)
    await health.close()
    assert await rest == [_STATUS.NOT_SERVING]
    assert await _drain(slow) == [_STATUS.NOT_SERVING]
    late = health.Watch(_requests(""), _CALL)
    assert await _drain(late) == [_STATUS.NOT_SERVING]


async def test_a_watch_without_a_request_is_refused() -> None:
    """A caller that asks nothing gets an error of its own fault."""
    with pytest.raises(InvalidRequest):
        await anext(HealthServicer([]).Watch(_requests(), _CALL))


async def _drain(watch: AsyncIterator[Any]) -> list[int]:
    return [response.status async for response in watch]
