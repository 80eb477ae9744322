"""The server's life: listen, load, serve, and go without losing a request.

    start     both ports open at once, so that probes are answered while models load; not ready
    serve     every model that is good answers; ready
    SIGTERM   not ready, but still serving, until load balancers have noticed (`lame_duck_seconds`)
    stop      nothing new; what was accepted is answered (`grace_seconds` at most); exit

SIGINT, from a person at a terminal, skips the lame duck, or cuts it short.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Any

import grpc

import imaging
from server.addresses import address, why_unusable
from server.cpus import usable_cores
from server.daemon_thread import in_daemon_thread
from server.errors import StartError
from server.event_loop_lag import EventLoopLag
from server.http import HttpServer
from server.live.classify import ClassifyHandler
from server.live.live import Live
from server.live.situation import Phase
from server.metrics.page import MetricsPage
from server.model import ModelVersion
from server.repository import ModelRepository
from server.repository_poll import RepositoryPoll
from server.request_watch import RequestWatch
from server.rpc_metrics import RpcMetrics
from server.services.accounting import Accounts, is_news
from server.services.classifier import ClassifierServicer
from server.services.delivery import Delivery
from server.services.direct import DirectClassifier
from server.services.health import HealthServicer
from server.services.images import ImageDecoder
from server.services.inference import InferenceServicer
from server.services.intake import Intake
from server.services.model_control import ModelControl
from server.services.registration import SERVICE_NAMES, handlers
from server.services.stopping import stop
from server.slow_requests import SlowRequests

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig
    from server.settings import Settings
    from server.tracing import Tracing

logger = logging.getLogger(__name__)

VERSION = package_version("coordserve")

# Threads without work need a moment to end, even if the grace period is over.
_LAST_MOMENT_SECONDS = 1.0
# What a collector of traces gets to take the last ones.
_LAST_SPANS_SECONDS = 5.0
# gRPC counts in 32 bits. What it refuses itself is counted nowhere, so it takes more than a message may have.
_MOST_MESSAGE_BYTES = (1 << 31) - 1
# How soon those who watch the server's health are told of an instance that has ended.
_WATCH_SECONDS = 1.0


class Application:
    """Everything that makes up one server process."""

    def __init__(self, settings: Settings, tracing: Tracing | None = None) -> None:
        """Put the parts together; nothing is loaded and no port is open yet.

        Raises:
            StartError: the repository or a config.pbtxt cannot be used.
        """
        self._settings = settings
        self._tracing = tracing
        self._cores = usable_cores()
        self._tried_all = False
        self._serving = False
        self._stopping = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._repository = ModelRepository(settings.model_repository, self._load_version)
        polled = settings.model_control_mode == "poll"
        # Before anything is read: what changes from here on is noticed.
        self._repository_poll = RepositoryPoll(self._repository, settings.model_repository) if polled else None
        self._names = list(settings.load_model) if self._explicit else self._repository.names()
        self._repository.check_configs(self._names)
        self._repository.expect(self._names)
        self._rpc_metrics = RpcMetrics()
        self._event_loop_lag = EventLoopLag()
        self._health = HealthServicer(SERVICE_NAMES)
        self._intake = Intake(settings.max_message_bytes)
        limits = imaging.Limits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
        self._decoder = ImageDecoder(self._cores, limits, settings.queue_capacity)
        self._slow_requests = SlowRequests()
        self._watch = RequestWatch(settings.slow_request_seconds, self._slow_requests, tracing)
        self._accounts = Accounts(self._rpc_metrics.observe, self._watch)
        self._delivery = Delivery()
        self._classifier = ClassifierServicer(self._repository, self._delivery, self._decoder)
        self._http = self._new_http_server()
        self._grpc = self._new_grpc_server()
        self.grpc_port = 0

    @property
    def http_port(self) -> int:
        """The port of /metrics, once it is open."""
        return self._http.port

    def is_ready(self) -> bool:
        """Whether the server should get requests."""
        return self._serving and not self._repository.ended()

    async def run(self) -> None:
        """Serve until a signal comes and everything accepted has been answered.

        Raises:
            StartError: a port cannot be used.
        """
        self._handle_signals()
        try:
            await self._listen()
            await self._load_until_stopped()
            polling = asyncio.create_task(self._poll())
            await self._watch_instances()
            polling.cancel()  # a load that is under way may take for ever
            await self._lame_duck()
        finally:
            await self._shut_down()
        logger.info("stopped")

    async def _listen(self) -> None:
        settings = self._settings
        target = address(settings.host, settings.grpc_port)
        self._event_loop_lag.start()
        await self._http.start(settings.host, settings.metrics_port)
        try:
            self.grpc_port = self._grpc.add_insecure_port(target)
        except RuntimeError as error:  # gRPC keeps the reason to itself
            reason = why_unusable(settings.host, settings.grpc_port) or "gRPC cannot use it"
            raise StartError(f"cannot listen on {target} (gRPC): {reason}") from error
        await self._grpc.start()
        logger.info(
            "listening: gRPC on %s, metrics on http://%s/metrics",
            address(settings.host, self.grpc_port),
            address(settings.host, self._http.port),
        )

    async def _load_until_stopped(self) -> None:
        """Load, but no longer than until the server is to stop: a warm-up run that is under way may take for ever."""
        loading, stopping = asyncio.create_task(self._load()), asyncio.create_task(self._stopping.wait())
        await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if loading.done():
            loading.result()

    async def _load(self) -> None:
        await asyncio.to_thread(self._repository.load_all, self._names, self._stopping.is_set)
        gc.collect()
        gc.freeze()  # what is loaded stays: collections need not walk it, which would show in the tail of latencies
        self._tried_all = True
        await self._update_readiness()

    async def _update_readiness(self) -> None:
        """Become ready once every model has been tried and enough of them are good, at the start or after a repair."""
        if self._serving or not self._tried_all or self._stopping.is_set():
            return
        failed = set(self._repository.failed()).intersection(self._names)
        ready = self._repository.ready()
        self._serving = bool(ready or not self._names) and not (failed and self._settings.strict_readiness)
        await self._health.set_serving(serving=self.is_ready())
        names = ", ".join(f"{model.config.name}/{model.version}" for model in ready) or "no model"
        logger.info("%s: serving %s", "ready" if self._serving else "NOT ready", names)

    async def _watch_instances(self) -> None:
        """Until the server is to stop, tell those who watch when a model loses an instance, or is repaired."""
        told: list[str] = []
        while not self._stopping.is_set():
            ended = self._repository.ended()
            if ended != told:
                told = ended
                await self._health.set_serving(serving=self.is_ready())
                level = logging.ERROR if ended else logging.INFO
                logger.log(level, "models that have lost an instance: %s", ", ".join(ended) or "none any more")
            await self._stops_within(_WATCH_SECONDS)

    async def _poll(self) -> None:
        """With poll control: until the server is to stop, follow what changes in the repository's directory."""
        while self._repository_poll and not await self._stops_within(self._settings.repository_poll_seconds):
            try:
                await in_daemon_thread(self._repository_poll.look)
                await self._update_readiness()
            except Exception:  # the next look may fare better
                logger.exception("a look at the model repository failed in a way that nobody thought of")

    async def _stops_within(self, seconds: float) -> bool:
        """Wait for so long, unless the server is to stop earlier."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _lame_duck(self) -> None:
        """Go on serving, but not ready, until load balancers have noticed."""
        if not self._serving:
            return
        self._serving = False
        await self._health.set_serving(serving=False)
        seconds = self._settings.lame_duck_seconds
        logger.info("not ready any more; serving for another %.1f s", 0 if self._interrupted.is_set() else seconds)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._interrupted.wait(), seconds)

    async def _shut_down(self) -> None:
        """Answer what was accepted, and end."""
        end = time.monotonic() + self._settings.grace_seconds
        await self._health.close()
        await stop(self._grpc, self._intake, self._settings.grace_seconds)
        remaining = max(end - time.monotonic(), _LAST_MOMENT_SECONDS)
        ended = await in_daemon_thread(self._repository.close, remaining)
        await self._http.stop()
        if self._tracing:
            await asyncio.to_thread(self._tracing.close, _LAST_SPANS_SECONDS)
        await self._event_loop_lag.stop()
        self._decoder.close()
        if not ended:
            logging.shutdown()
            os._exit(1)  # a thread inside a model cannot be ended, and Python would wait for it

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)

    def _interrupt(self) -> None:
        self._interrupted.set()
        self._stopping.set()

    @property
    def _explicit(self) -> bool:
        return self._settings.model_control_mode == "explicit"

    def _load_version(self, config: ModelConfig, version: int, directory: Path) -> ModelVersion:
        capacity = self._settings.queue_capacity
        return ModelVersion(config, version, directory, self._cores, capacity, self._stopping.is_set)

    def _phase(self) -> Phase:
        """Where the server is in its life."""
        if self._stopping.is_set():
            return Phase.STOPPING
        if not self._tried_all:
            return Phase.STARTING
        return Phase.SERVING if self._serving else Phase.NOT_READY

    def _new_http_server(self) -> HttpServer:
        most_bytes = self._settings.max_image_bytes
        page = MetricsPage(self._repository, VERSION, (self._rpc_metrics.families, self._event_loop_lag.families))
        about = {
            "version": VERSION,
            "objective": self._settings.latency_objective_seconds,
            "cores": self._cores,
            "most_image_bytes": most_bytes,
        }
        refused, take_lag = self._rpc_metrics.refused, self._event_loop_lag.take_worst
        live = Live(self._repository, self._phase, refused, self._slow_requests, take_lag, about)
        direct = DirectClassifier(self._classifier, self._accounts.open("unary", "http", "classify"), self._intake)
        return HttpServer(page, self._repository, self.is_ready, live, ClassifyHandler(direct.classify, most_bytes))

    def _new_grpc_server(self) -> Any:
        settings = self._settings
        control = ModelControl(self._repository, self._update_readiness) if self._explicit else None
        logging.getLogger("grpc._cython.cygrpc").addFilter(is_news)
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),  # a port that is in use is an error, not a second listener
                ("grpc.max_receive_message_length", min(2 * settings.max_message_bytes, _MOST_MESSAGE_BYTES)),
                ("grpc.max_send_message_length", -1),
            ]
        )
        server.add_generic_rpc_handlers(
            handlers(
                InferenceServicer(self._repository, self._delivery, VERSION, self.is_ready, control),
                self._classifier,
                self._health,
                self._accounts,
                self._intake,
            )
        )
        return server
