"""What commands that offer load have in common, and how their values are written."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from client.credentials import read_certificates
from client.image_files import find_images
from loadtest.address import Address
from loadtest.objective import Objective
from loadtest.target import PAYLOADS

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_PORT = 65535
_HUNDRED = 100
_LEAST_PERCENTILE = 50  # who promises less has written 0.99 and meant 99


def add_load_arguments(parser: argparse.ArgumentParser, *, starts_servers: bool = False) -> None:
    """Add the arguments that say where load goes, what it is made of and how it is sent.

    A command that starts its servers itself knows their addresses and processes.
    """
    target = parser.add_argument_group("the server")
    if starts_servers:
        parser.set_defaults(tls=False, ca=None)
    else:
        target.add_argument("--url", default="127.0.0.1:8001", help="HOST:PORT of its gRPC port (default %(default)s)")
        add_encryption_arguments(target)
        target.add_argument("--server-pid", type=int, help="its process: to tell its CPU time, and for --server-cpus")
    target.add_argument(
        "--model", action="append", default=[], help="its model (default: the only one); repeat for more"
    )
    target.add_argument("--api", choices=("classify", "v2"), help="default: the one that takes the payload")
    target.add_argument("--server-cpus", type=cpus, default=frozenset(), help="cores for the server, for example 0")
    payload = parser.add_argument_group("what is sent")
    payload.add_argument("--payload", choices=PAYLOADS, help="default: image, or tensors where it takes no images")
    payload.add_argument("--images", nargs="+", default=[], help="files or directories (default: pictures made for it)")
    payload.add_argument("--batch-sizes", type=sizes, help="images in a request, for example 1,2,4 (default 1)")
    payload.add_argument("--seed", type=int, default=0, help="of schedules, pictures and order (default 0)")
    sending = parser.add_argument_group("how it is sent")
    sending.add_argument("--processes", type=whole, default=1, help="that send (default 1)")
    sending.add_argument("--cpus", type=cpus, default=frozenset(), help="cores for the senders, for example 1")
    sending.add_argument("--deadline", type=duration, default=10.0, help="of each request (default 10s)")
    sending.add_argument("--most-in-flight", type=whole, default=500, help="requests; more are dropped (default 500)")
    sending.add_argument("--warm-up", type=duration_or_none, default=30.0, help="at most (default 30s; 0 for none)")
    sending.add_argument("--compare-every", type=int, help="of how many answers one is held against that at rest")
    sending.add_argument("--no-calibration", action="store_true", help="do not measure what this client can send")
    result = parser.add_argument_group("what it says")
    result.add_argument("--objective", type=limit, metavar="TIME", help="to meet, for example 100ms")
    result.add_argument("--percentile", type=percentile, default=0.99, help="that meets it (default 99)")
    result.add_argument("--output", type=Path, metavar="DIR", help="for the report and its data")
    add_metrics_arguments(result)


def add_encryption_arguments(group: argparse._ArgumentGroup) -> None:
    """Add how the server is spoken to, in the words of `python -m client`."""
    group.add_argument("--tls", action="store_true", help="it, or a proxy in front of it, speaks TLS")
    group.add_argument("--ca", metavar="FILE", help="the same; what vouches for it, in PEM (default: what gRPC knows)")


def address(url: str, arguments: argparse.Namespace) -> Address:
    """Where the server is and how it is spoken to.

    Raises:
        ValueError: The file of certificates cannot be read, or holds none.
    """
    if arguments.ca is not None:
        return Address(url, read_certificates(Path(arguments.ca)))
    return Address(url, b"" if arguments.tls else None)


def add_metrics_arguments(group: argparse._ArgumentGroup) -> None:
    """Add where Prometheus finds the load generator."""
    group.add_argument("--metrics-port", type=port, help="serve loadgen_* metrics there, for example 9103")
    group.add_argument("--metrics-host", default="127.0.0.1", help="... to whom; 0.0.0.0 for all (default 127.0.0.1)")


def objective(arguments: argparse.Namespace) -> Objective | None:
    """What the user promised.

    Raises:
        ValueError: Answers that would meet it come after the requests' deadline.
    """
    if arguments.objective is None:
        return None
    if arguments.objective > arguments.deadline:
        raise ValueError(
            f"--objective, {arguments.objective:g} s, is beyond --deadline, {arguments.deadline:g} s: what takes so "
            "long fails before it can meet it"
        )
    return Objective(arguments.objective, arguments.percentile)


def image_files(arguments: argparse.Namespace) -> list[Path]:
    """The user's images; none when pictures are to be made.

    Raises:
        ValueError: A file is not there, or a directory holds no images.
    """
    found, empty = find_images(arguments.images)
    files = [Path(path) for path in found]
    if missing := [str(path) for path in files if not path.is_file()]:
        raise ValueError(f"no such file: {missing[0]}")
    if empty:
        raise ValueError(f"no image in {empty[0]}")
    return files


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def duration(text: str) -> float:
    """A time above 0, in seconds: `500ms`, `30s`, `2m`, `1h`, or a number of seconds."""
    for unit, factor in _UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return positive(number) * factor
    return positive(text)


def limit(text: str) -> float:
    """A time above 0 with its unit, in seconds: whether a bare 100 means `100ms` or `100s` is not guessed."""
    value = duration(text)
    if not text.endswith(tuple(_UNITS)):
        raise argparse.ArgumentTypeError(f"needs a unit: {text}ms or {text}s?")
    return value


def duration_or_none(text: str) -> float:
    """A time, which may be 0."""
    return 0.0 if text in ("0", "0s") else duration(text)


def percentile(text: str) -> float:
    """99 or p99 to 0.99."""
    value = positive(text.removeprefix("p"))
    if not _LEAST_PERCENTILE <= value < _HUNDRED:
        raise argparse.ArgumentTypeError(
            f"must be from {_LEAST_PERCENTILE} to below {_HUNDRED}, such as 99, got {text!r}"
        )
    return value / _HUNDRED


def whole(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


def port(text: str) -> int:
    """A port; 0 for any that is free."""
    if not text.isdecimal() or int(text) > _MOST_PORT:
        raise argparse.ArgumentTypeError(f"must be a port, got {text!r}")
    return int(text)


def metrics_url(text: str) -> str:
    """`HOST:PORT`, or an address as it is."""
    return text if text.startswith(("http://", "https://")) else f"http://{text}/metrics"


def sizes(text: str) -> tuple[int, ...]:
    """`1,2,4` to whole numbers above 0."""
    return tuple(whole(part) for part in text.split(","))


def cpus(text: str) -> frozenset[int]:
    """`0,2-3` to the numbers of cores."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if not match:
            raise argparse.ArgumentTypeError(f"must be cores such as 0,2-3, got {text!r}")
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)
