"""The HTTP side: /metrics for Prometheus, /healthz and /readyz for whoever decides about this process, and a page."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import web

from server.addresses import address, why_unusable
from server.errors import StartError
from server.live.pages import SECURITY_HEADERS, page_routes
from server.scrape import answer_scrape

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.live.classify import ClassifyHandler
    from server.live.live import Live
    from server.metrics.page import MetricsPage
    from server.repository import ModelRepository

_NUMBER = re.compile("[0-9]{1,15}")
# For what is still under way when the port is closed; aiohttp waits so long twice, by default for a minute each time.
_LAST_ANSWERS_SECONDS = 1.0


class HttpServer:
    """Serves the pages; `is_ready` tells whether the server should get requests."""

    def __init__(
        self,
        metrics_page: MetricsPage,
        repository: ModelRepository,
        is_ready: Callable[[], bool],
        live: Live,
        classify: ClassifyHandler,
    ) -> None:
        self._metrics_page = metrics_page
        self._repository = repository
        self._is_ready = is_ready
        self._live = live
        application = web.Application(client_max_size=classify.most_bytes)
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/live", self._document),
                web.post("/classify", classify.answer),
                *page_routes(),
            ]
        )
        # One at a time and always the same one: CPU utilisation is told since this thread's last look at it.
        self._renderer = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        # A caller that leaves need not be answered.
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_LAST_ANSWERS_SECONDS
        )
        self._sampling: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` 0 takes a free one, which is then `self.port`.

        Raises:
            StartError: the address cannot be used.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            reason = why_unusable(host, port) or error.strerror
            raise StartError(f"cannot listen on {address(host, port)} (metrics): {reason}") from error
        self.port = self._runner.addresses[0][1]
        self._sampling = asyncio.create_task(self._live.run(self._renderer))

    async def stop(self) -> None:
        """Close the port; what does not end within moments is cut off."""
        if self._sampling:
            self._sampling.cancel()
            await asyncio.wait([self._sampling])  # which raises nothing of what it ended with
        await self._runner.cleanup()
        self._renderer.shutdown(wait=False)

    async def _metrics(self, request: web.Request) -> web.Response:
        return await answer_scrape(request, self._metrics_page, self._renderer)

    async def _healthz(self, _request: web.Request) -> web.Response:
        if ended := self._repository.ended():
            return web.Response(status=503, text=f"an instance of {', '.join(ended)} has ended unexpectedly\n")
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._is_ready() else web.Response(status=503, text="not ready\n")

    async def _document(self, request: web.Request) -> web.Response:
        since = request.query.get("since", "")
        number = int(since) if _NUMBER.fullmatch(since) else 0
        headers = SECURITY_HEADERS | {"Cache-Control": "no-store"}
        return web.Response(text=self._live.document(number), content_type="application/json", headers=headers)
