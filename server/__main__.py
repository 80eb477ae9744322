"""`python -m server`: serve a model repository."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from server.cpus import usable_cores
from server.errors import StartError
from server.settings import Settings


def main() -> int:
    """Run the server; the exit status is 0 after a clean stop and 1 when it could not start."""
    settings = Settings.from_command_line(sys.argv[1:], os.environ)
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # Must be in the environment before torch is imported: OpenMP reads it once, and spinning threads cost a lot.
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    from server.app import Application  # noqa: PLC0415 - imports torch, see above

    try:
        await Application(settings).run()
    except StartError as error:
        print(f"coordserve: {error}", file=sys.stderr)  # noqa: T201 - the one line that the person at the terminal reads
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
