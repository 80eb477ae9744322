"""The HTTP side: /metrics for Prometheus, /healthz and /readyz for whoever decides about this process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aiohttp import web

from server.addresses import address, why_unusable
from server.errors import StartError
from server.scrape import answer_scrape

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.metrics.page import MetricsPage
    from server.repository import ModelRepository


class HttpServer:
    """Serves the pages; `is_ready` tells whether the server should get requests."""

    def __init__(self, metrics_page: MetricsPage, repository: ModelRepository, is_ready: Callable[[], bool]) -> None:
        self._metrics_page = metrics_page
        self._repository = repository
        self._is_ready = is_ready
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        # One at a time and always the same one: CPU utilisation is told since this thread's last look at it.
        self._renderer = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._runner = web.AppRunner(application, access_log=None)
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

    async def stop(self) -> None:
        """Close the port."""
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
