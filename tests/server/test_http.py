from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from proto import classifier_pb2
from server.errors import StartError
from server.http import HttpServer
from server.live.classify import ClassifyHandler
from server.live.live import Live
from server.live.situation import Phase
from server.metrics.exposition import OPENMETRICS, TEXT
from server.metrics.page import MetricsPage
from server.slow_requests import SlowRequests
from tests.server.models import end_instance, open_repository, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from server.live.classify import Classify


class Pages:
    """A server of pages on a free port, and what it answers."""

    def __init__(self, directory: Path, classify: Classify | None = None) -> None:
        self.repository = open_repository(directory)
        self.ready = False
        about = {"objective": 0.1, "cores": 1}
        live = Live(self.repository, lambda: Phase.SERVING, {}, SlowRequests(), lambda: 0.0, about)
        page = MetricsPage(self.repository, "1.2.3")
        handler = ClassifyHandler(classify or nothing_in_it, 1000)
        self.server = HttpServer(page, self.repository, lambda: self.ready, live, handler)

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        """Status, content type and text of a page."""
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{self.server.port}{path}"
            async with session.request(method, url, headers=headers) as response:
                return response.status, response.headers["Content-Type"], await response.text()


async def nothing_in_it(read: Callable[[], Awaitable[Any]], peer: str, seconds: float) -> Any:
    """A classifier that sees nothing in any image."""
    assert (peer, seconds > 0) == ("127.0.0.1", True)
    message = await read()
    return classifier_pb2.ClassifyResponse(model_name=message.model_name, results=[classifier_pb2.ImageResult()])


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    """The pages of an empty repository."""
    pages = Pages(tmp_path)
    await pages.server.start("127.0.0.1", 0)
    yield pages
    await pages.server.stop()


async def test_health_and_readiness_are_two_things(pages: Pages) -> None:
    """The process is alive from the start, and ready when it says so, each time anew."""
    for ready, status in ((False, 503), (True, 200), (False, 503)):
        pages.ready = ready
        assert (await pages.get("/readyz"))[0] == status
        assert (await pages.get("/healthz"))[::2] == (200, "ok\n")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_model_that_lost_an_instance_is_a_reason_to_start_anew(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process says that it is not well, and what of it, until the model is loaded again."""
    write_model(tmp_path / "net", Constant(1))
    pages.repository.load("net")
    end_instance(pages.repository.get("net"), (bytes(16),), monkeypatch)
    assert (await pages.get("/healthz"))[::2] == (503, "an instance of net has ended unexpectedly\n")
    pages.repository.load("net")
    assert (await pages.get("/healthz"))[::2] == (200, "ok\n")
    assert await asyncio.to_thread(pages.repository.close, HANGING_SECONDS)


async def test_metrics_are_served_as_prometheus_wants_them(pages: Pages) -> None:
    """The page comes with the content type of its format."""
    status, kind, page = await pages.get("/metrics")
    assert (status, kind) == (200, TEXT.content_type)
    assert 'coordserve_build_info{version="1.2.3"' in page
    assert (await pages.get("/metrics", Accept="application/openmetrics-text"))[1] == OPENMETRICS.content_type


async def test_the_live_page_and_its_numbers_are_served(pages: Pages) -> None:
    """A browser gets the page at /, and the page its numbers, from whichever point on it asks for."""
    status, kind, page = await pages.get("/")
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert "CoordServe" in page
    for since in ("", "?since=7", "?since=-1", "?since=abc", "?since=" + "9" * 99):
        status, kind, document = await pages.get(f"/live{since}")
        assert (status, kind) == (200, "application/json; charset=utf-8")
        assert json.loads(document)["about"]["objective"] == 0.1


async def test_images_can_be_posted(pages: Pages) -> None:
    """The way of an image leads to the classifier."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{pages.server.port}/classify?model=net", data=b"image") as response,
    ):
        assert (response.status, (await response.json())["model"]) == (200, "net")


async def test_other_requests_are_refused(pages: Pages) -> None:
    """There are no other pages, and nothing can be written."""
    assert (await pages.get("/other"))[0] == 404
    assert (await pages.get("/metrics", "POST"))[0] == 405


async def test_a_port_in_use_stops_the_start(pages: Pages, tmp_path: Path) -> None:
    """The address is told to the person at the terminal."""
    second = Pages(tmp_path).server
    with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{pages.server.port} \(metrics\)"):
        await second.start("127.0.0.1", pages.server.port)
    await second.stop()


async def test_stopping_raises_nothing_of_the_sampling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the live page's task has ended with, the port is closed and the shutdown goes on."""

    async def broken(*_arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Live, "run", broken)
    server = Pages(tmp_path).server
    await server.start("127.0.0.1", 0)
    await asyncio.sleep(0)
    await server.stop()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_call_that_never_ends_cannot_keep_the_server(tmp_path: Path) -> None:
    """Stopping waits moments for what is under way, not as long as the one who asked would."""
    reached = asyncio.Event()

    async def forever(read: Callable[[], Awaitable[Any]], _peer: str, _seconds: float) -> Any:
        await read()
        reached.set()
        await asyncio.Event().wait()

    server = Pages(tmp_path, forever).server
    await server.start("127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    await reached.wait()
    async with asyncio.timeout(HANGING_SECONDS):
        await server.stop()
    writer.close()


async def test_scrapes_take_turns_in_one_thread(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scrape at once, one thread computes the pages: utilisation is measured between its own looks."""
    threads = []

    def render(*_arguments: Any) -> bytes:
        threads.append(threading.current_thread())
        return b""

    monkeypatch.setattr(MetricsPage, "render", render)
    await asyncio.gather(*(pages.get("/metrics") for _ in range(8)), asyncio.to_thread(len, ""))
    assert len(threads) == 8
    assert len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()
