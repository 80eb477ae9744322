"""`python -m server`: serve a model repository; `python -m server check`: check one."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING

from server import logs
from server.settings import Settings

if TYPE_CHECKING:
    from server.tracing import Tracing

logger = logging.getLogger("server")

# Where the traces go, if OpenTelemetry's variables say so.
_ENDPOINTS = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}


def main() -> int:
    """Run the server; the exit status is 0 after a clean stop, 1 when it could not start, 2 for a wrong option."""
    if sys.argv[1:2] == ["check"]:
        return _check()
    settings = Settings.from_command_line(sys.argv[1:], os.environ)
    logs.configure(settings.log_level, settings.log_format)
    _set_libraries()
    try:
        return asyncio.run(_serve(settings))
    except KeyboardInterrupt:  # before the server listens to signals itself
        return 130


def _check() -> int:
    _set_libraries()
    from server.check import command  # noqa: PLC0415 - it imports torch

    return command.main(sys.argv[2:], os.environ)


def _set_libraries() -> None:
    """Tell libraries, before they are imported, what they ask of the environment.

    OpenMP reads its variables once, when torch is imported. One thread is the default for whoever asks for nothing;
    instances ask for theirs. Threads that wait must sleep: spinning ones take the cores from those that work. gRPC's
    core would write what has gone wrong beside those who are told anyway.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


async def _serve(settings: Settings) -> int:
    from server.app import Application  # noqa: PLC0415 - it imports torch
    from server.errors import StartError  # noqa: PLC0415

    try:
        await Application(settings, _new_tracing(settings.tracing)).run()
    except StartError as error:
        logger.critical("cannot start: %s", error)
        return 1
    return 0


def _new_tracing(choice: str) -> Tracing | None:
    """What makes traces, where somebody wants them."""
    from server.app import VERSION  # noqa: PLC0415 - it imports torch
    from server.errors import StartError  # noqa: PLC0415

    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if choice == "off" or disabled or (choice == "auto" and not _ENDPOINTS & os.environ.keys()):
        return None
    try:
        from server.tracing import Tracing  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        lacking = f"traces need what `pip install 'coordserve[tracing]'` installs ({error})"
        if choice == "on":
            raise StartError(lacking) from error
        logger.warning("no traces: %s", lacking)
        return None
    logger.info("making traces")
    return Tracing(VERSION)


if __name__ == "__main__":
    sys.exit(main())
