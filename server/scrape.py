"""Answering a scrape of /metrics in the format and the encoding that the scraper asks for."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

from aiohttp import web

from server.metrics.negotiation import takes_gzip, wanted_format

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from server.metrics.exposition import Format
    from server.metrics.page import MetricsPage

# Numbers and repeated names: more effort makes the page hardly smaller.
_GZIP_LEVEL = 1


async def answer_scrape(request: web.Request, page: MetricsPage, executor: Executor) -> web.Response:
    """The page, rendered off the event loop."""
    form = wanted_format(request.headers.get("Accept", ""))
    zipped = takes_gzip(request.headers.get("Accept-Encoding", ""))
    headers = {"Content-Type": form.content_type, "Vary": "Accept, Accept-Encoding"}
    if zipped:
        headers["Content-Encoding"] = "gzip"
    loop = asyncio.get_running_loop()
    return web.Response(body=await loop.run_in_executor(executor, _body, page, form, zipped), headers=headers)


def _body(page: MetricsPage, form: Format, zipped: bool) -> bytes:  # noqa: FBT001 - run_in_executor takes no keywords
    rendered = page.render(form)
    return gzip.compress(rendered, _GZIP_LEVEL) if zipped else rendered
