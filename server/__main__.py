"""`python -m server`: serve a model repository; `python -m server check`: check one."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from server.settings import Settings


def main() -> int:
    """Run the server; the exit status is 0 after a clean stop, 1 when it could not start, 2 for a wrong option."""
    if sys.argv[1:2] == ["check"]:
        return _check()
    settings = Settings.from_command_line(sys.argv[1:], os.environ)
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
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
        await Application(settings).run()
    except StartError as error:
        print(f"coordserve: {error}", file=sys.stderr)  # noqa: T201 - the one line that the person at the terminal reads
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
