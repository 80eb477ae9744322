"""`python -m loadtest`: how much a deployment carries at a latency objective."""

from __future__ import annotations

import argparse
import signal
import sys

from loadtest import (
    calibrate_command,
    compare_command,
    compare_servers_command,
    report_command,
    run_command,
    search_command,
)
from loadtest.termination import exit_on_sigterm


def main() -> int:
    """Run a command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run_command.add_parser(commands)
    search_command.add_parser(commands)
    report_command.add_parser(commands)
    compare_command.add_parser(commands)
    compare_servers_command.add_parser(commands)
    calibrate_command.add_parser(commands)
    arguments = parser.parse_args()
    exit_on_sigterm()
    try:
        status: int = arguments.execute(arguments)
    except KeyboardInterrupt:  # before anything is measured; later on, what was is still told
        print("loadtest: interrupted", file=sys.stderr)  # noqa: T201 - a command's output
        return 128 + signal.SIGINT
    return status


if __name__ == "__main__":
    sys.exit(main())
