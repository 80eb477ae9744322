from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web

import server.live
from server.live.pages import page_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = Path(server.live.__file__).parent / "page"
FILES = sorted(PAGE.iterdir())


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where the files are served."""
    application = web.Application()
    application.add_routes(page_routes())
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_browser_may_load_nothing_from_elsewhere(address: str) -> None:
    """The policy allows this server's own scripts, styles and answers, and no markup made by scripts."""
    async with ClientSession() as session, session.get(address) as response:
        policy = response.headers["Content-Security-Policy"]
        assert response.content_type == "text/html"
    directives = dict(each.strip().split(" ", 1) for each in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert {directives[f"{kind}-src"] for kind in ("script", "style", "connect")} == {"'self'"}
    assert directives["frame-ancestors"] == "'none'"


async def test_files_are_sent_anew_only_when_they_have_changed(address: str) -> None:
    """A browser asks each time, with the tag that it knows."""
    async with ClientSession() as session:
        async with session.get(f"{address}/main.js") as first:
            assert first.content_type == "text/javascript"
            tag = first.headers["ETag"]
        async with session.get(f"{address}/main.js", headers={"If-None-Match": tag}) as second:
            assert (second.status, await second.read()) == (304, b"")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_page_needs_nothing_else(path: Path) -> None:
    """No file names an address of another host, and every file that one names is there."""
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"']+", text)) <= {"http://www.w3.org/2000/svg"}
    imported = re.findall(r"""from "\./([^"]+)";""", text) + re.findall(r"""(?:src|href)="/([a-z]+\.[a-z]+)\"""", text)
    assert {name for name in imported if not (PAGE / name).is_file()} == set()


@pytest.mark.parametrize("path", [each for each in FILES if each.suffix == ".js"], ids=lambda path: path.name)
def test_scripts_make_no_markup_from_texts(path: Path) -> None:
    """Names and labels only ever become text."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text(encoding="utf-8")
    )
