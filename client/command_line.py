"""The command line: its arguments, its exit codes, and what ends it early."""

# ruff: noqa: T201 - a command's output
from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from client import classify_command, evaluate_command, status_command
from client.arguments import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT_SECONDS, DEFAULT_TOP_K, DEFAULT_URL, MOST_COUNT
from client.errors import ClientError, ServerUnreachable
from client.text import printable
from imaging.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    _Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no other name

_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")  # gRPC's
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

_EXIT_CODES = """\
exit codes:
  0  all went well
  1  an image failed, or the server refused the work
  2  wrong usage, there is no image, or labels do not fit
  3  the server could not be reached
"""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs one command and returns its exit code."""
    options = _parser(environment.get("COORDSERVE_URL") or DEFAULT_URL).parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    _prepare_output()
    try:
        code = command(options)
        sys.stdout.flush()  # here a reader that has left, or a full disk, is still told as what it is
    except ServerUnreachable as error:
        code = _complain(f"cannot reach the server at {options.url}: {error}", EXIT_UNREACHABLE)
    except ClientError as error:
        code = _complain(f"{options.url}: {error}", EXIT_FAILED)
    except InputError as error:
        code = _complain(str(error), EXIT_USAGE)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        code = 128 + signal.SIGPIPE
        _drop_output()  # the reader has seen enough
    except OSError as error:
        code = _complain(str(error), EXIT_FAILED)
        _drop_output()
    return code


def _prepare_output() -> None:
    if sys.stdout is None:  # closed by whoever started this
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # labels and names have letters that a terminal may lack


def _complain(text: str, code: int) -> int:
    print(printable(text), file=sys.stderr)
    return code


def _drop_output() -> None:
    """Lets go of what cannot be written; Python would complain when it flushes standard output on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(url: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m client",
        description="Classify images on a CoordServe or Triton server, measure its accuracy, or ask how its models do.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    server = argparse.ArgumentParser(add_help=False)
    group = server.add_argument_group("the server")
    group.add_argument(
        "--url",
        type=_address,
        default=url,
        metavar="HOST:PORT",
        help=f"its gRPC address (now {url.replace('%', '%%')}; $COORDSERVE_URL sets it)",
    )
    group.add_argument(
        "--timeout",
        type=_positive_number,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for each answer (default {DEFAULT_TIMEOUT_SECONDS:g})",
    )
    group.add_argument("--tls", action="store_true", help="it, or a proxy in front of it, speaks TLS")
    group.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="the same, with a certificate that those in this PEM file vouch for (default: gRPC's own)",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    model = _model_options()
    _add_classify(commands, server, model)
    _add_evaluate(commands, server, model)
    _add_status(commands, server)
    return parser


def _model_options() -> argparse.ArgumentParser:
    """The options of commands that classify: which model, and how many images at a time."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--concurrency",
        type=_positive_integer,
        default=DEFAULT_CONCURRENCY,
        metavar="N",
        help=f"images on their way at a time (default {DEFAULT_CONCURRENCY})",
    )
    parser.add_argument(
        "--model", type=_text, default="", metavar="NAME", help="needed only where the server has several"
    )
    parser.add_argument(
        "--version", type=_text, default="", metavar="V", help="of the model (default: the latest that is ready)"
    )
    return parser


def _add_classify(commands: _Commands, *parents: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "classify",
        parents=parents,
        help="say what is in images",
        description="Say what is in images. Results come in the order of the images; one that fails stops no other.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=classify_command.run)
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="a file, a directory to search for images, or - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each image")
    parser.add_argument(
        "--top-k",
        type=_positive_integer,
        default=DEFAULT_TOP_K,
        metavar="N",
        help=f"classes of each image (default {DEFAULT_TOP_K})",
    )


def _add_evaluate(commands: _Commands, *parents: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "evaluate",
        parents=parents,
        help="measure how often the server is right on labelled images",
        description="""\
Measure how often the server is right on labelled images: top-1 and top-5 accuracy, the expected calibration error (how
far probabilities are from shares of right answers), accuracy and confusions of each class, and throughput. Classes are
compared by their names. An image that fails counts as wrong.""",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=evaluate_command.run)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a folder of class folders, or an .npz file with the arrays jpeg, offset, label and classes",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_status(commands: _Commands, *parents: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "status",
        parents=parents,
        help="show a server's models and what they have done",
        description="Show a server's models: which are ready, why others are not, and how their requests fared.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=status_command.run)
    parser.add_argument("--json", action="store_true", help="one JSON object, times in seconds")


def _address(text: str) -> str:
    # Without a port gRPC takes 443, which is hardly ever meant.
    if text.startswith(("http:", "https:")) or not (
        text.startswith(_SCHEMES) or re.fullmatch(r"(\[.+\]|[^:]+):[0-9]+", text)
    ):
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is no gRPC address; it is HOST:PORT")
    return _text(text)


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(f"'{printable(text)}' is not UTF-8") from None
    return text


def _positive_integer(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else 0
    if not 0 < number <= MOST_COUNT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to {MOST_COUNT}")
    return number


def _positive_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number
