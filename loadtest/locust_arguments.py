"""Locust's command line: the same words as `python -m loadtest run`, beside Locust's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadtest.arguments import (
    add_encryption_arguments,
    add_metrics_arguments,
    address,
    duration,
    duration_or_none,
    limit,
    percentile,
    positive,
    whole,
)
from loadtest.target import PAYLOADS

if TYPE_CHECKING:
    import argparse

    from locust.env import Environment

    from loadtest.address import Address


_DEFAULT_HOST = "127.0.0.1:8001"


def asked_url(environment: Environment) -> str:
    """HOST:PORT of the server that Locust's options name."""
    url: str = environment.host or _DEFAULT_HOST
    return url


def asked_address(environment: Environment) -> Address:
    """Where that server is, and how it is spoken to.

    Raises:
        ValueError: The file of certificates cannot be read, or holds none.
    """
    return address(asked_url(environment), environment.parsed_options)


def add_arguments(parser: argparse.ArgumentParser, **_more: Any) -> None:
    """Add what the users need to know."""
    group = parser.add_argument_group("CoordServe")
    add_encryption_arguments(group)
    group.add_argument("--model", action="append", default=[], help="model to load (default: the only one)")
    group.add_argument("--api", choices=("classify", "v2"), help="default: the one that takes the payload")
    group.add_argument("--payload", choices=PAYLOADS, help="default: image, or tensors where it takes no images")
    group.add_argument("--images", nargs="+", default=[], help="files or directories (default: made for the test)")
    group.add_argument("--seed", type=int, default=0, help="of arrivals, pictures and order (default 0)")
    group.add_argument("--rate-per-user", type=positive, default=1.0, help="requests a second of a user (default 1)")
    group.add_argument("--deadline", type=duration, default=10.0, help="of each request (default 10s)")
    group.add_argument("--most-in-flight", type=whole, default=500, help="of a process; more are dropped (default 500)")
    group.add_argument("--warm-up", type=duration_or_none, default=5.0, help="time that does not count (default 5s)")
    group.add_argument("--objective", type=limit, metavar="TIME", help="decides on the exit code, e.g. 100ms")
    group.add_argument("--percentile", type=percentile, default=0.99, help="that meets it (default 99)")
    # No Path: the master sends its options to the workers as plain values.
    group.add_argument("--output", metavar="DIR", help="for summary.json and each request's times")
    add_metrics_arguments(group)
