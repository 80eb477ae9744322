from __future__ import annotations

import asyncio
import gzip
import threading
from typing import TYPE_CHECKING

import aiohttp
import pytest

from server.errors import StartError
from server.http import HttpServer
from server.metrics.exposition import OPENMETRICS, TEXT
from server.metrics.page import MetricsPage
from tests.server.models import end_instance, open_repository, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Pages:
    """A server of pages on a free port, and what it answers."""

    def __init__(self, directory: Path) -> None:
        self.repository = open_repository(directory)
        self.ready = False
        self.server = HttpServer(MetricsPage(self.repository, "1.2.3"), self.repository, lambda: self.ready)

    async def get(self, path: str, method: str = "GET", accept: str = "*/*") -> tuple[int, str, str]:
        """Status, content type and text of a page."""
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{self.server.port}{path}"
            async with session.request(method, url, headers={"Accept": accept}) as response:
                return response.status, response.headers["Content-Type"], await response.text()


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
    """The page comes in the format that is asked for, with its content type."""
    for accept, form in (("*/*", TEXT), ("application/openmetrics-text;version=1.0.0", OPENMETRICS)):
        status, kind, page = await pages.get("/metrics", accept=accept)
        assert (status, kind) == (200, form.content_type)
        assert 'coordserve_build_info{version="1.2.3",' in page
        assert page.endswith("# EOF\n") == (form is OPENMETRICS)


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip", "gzip"), ("identity", None)])
async def test_the_page_is_compressed_for_who_takes_that(pages: Pages, accepted: str, encoding: str | None) -> None:
    """Prometheus asks for gzip, which is a tenth of the page; who does not ask gets it plain."""
    url = f"http://127.0.0.1:{pages.server.port}/metrics"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(url, headers={"Accept-Encoding": accepted}) as response,
    ):
        body = await response.read()
        assert response.headers.get("Content-Encoding") == encoding
    assert (gzip.decompress(body) if encoding else body).startswith(b"# HELP ")


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


async def test_scrapes_take_turns_in_one_thread(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many scrape at once, one thread computes the pages: utilisation is measured between its own looks."""
    threads = []

    def render(*_arguments: object) -> bytes:
        threads.append(threading.current_thread())
        return b""

    monkeypatch.setattr(MetricsPage, "render", render)
    await asyncio.gather(*(pages.get("/metrics") for _ in range(8)), asyncio.to_thread(len, ""))
    assert len(threads) == 8
    assert len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()
