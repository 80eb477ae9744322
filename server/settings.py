"""The server's settings: command line first, then `COORDSERVE_*` variables, then the defaults; read once, at start.

Facts about a model are not settings: they stand in its config.pbtxt and nowhere else.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONTROL_MODES = ("none", "poll", "explicit")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "text", "json")
TRACING = ("auto", "on", "off")
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _setting(default: Any, text: str, kind: type = str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, "type": kind, **more})


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the environment decide; every field is an option of the same name."""

    model_repository: Path = _setting(Path("model_repository"), "directory of models, in Triton's layout", Path)
    host: str = _setting("127.0.0.1", "address to listen on")
    grpc_port: int = _setting(8001, "port for gRPC; 0 takes a free one and prints it", int)
    metrics_port: int = _setting(
        8002, "port for the live page, /metrics, /healthz and /readyz; 0 takes a free one", int
    )
    model_control_mode: str = _setting(
        "none",
        "none: serve every model; poll: also those that come, change or go; "
        "explicit: those of --load-model and of the load RPC",
        choices=CONTROL_MODES,
    )
    repository_poll_seconds: float = _setting(
        15.0, "with poll control: time between two looks; what has changed is loaded once two looks see the same", float
    )
    load_model: tuple[str, ...] = _setting(
        (), "with explicit control: a model to load at start; may be given again", action="append"
    )
    strict_readiness: bool = _setting(
        default=False, text="not ready while any model failed to load, as Triton does", kind=bool
    )
    queue_capacity: int = _setting(
        1024, "requests that may wait for a model whose config.pbtxt sets no max_queue_size", int
    )
    max_message_bytes: int = _setting(
        128 << 20, "largest gRPC message; of larger ones, those of up to twice as many bytes are counted", int
    )
    max_image_bytes: int = _setting(32 << 20, "largest encoded image", int)
    max_image_pixels: int = _setting(128 << 20, "most pixels of an encoded image", int)
    latency_objective_seconds: float = _setting(
        0.1, "what 99 of 100 answers should take at most; the live page tells whether they do", float
    )
    lame_duck_seconds: float = _setting(
        3.0, "after SIGTERM: go on serving, but not ready, until load balancers have noticed", float
    )
    grace_seconds: float = _setting(30.0, "then: wait for accepted requests for at most so long", float)
    log_level: str = _setting("info", "least severe message to log", choices=LOG_LEVELS)
    log_format: str = _setting(
        "auto", "text: for people; json: one object a line; auto: text on a terminal, else json", choices=LOG_FORMATS
    )
    slow_request_seconds: float = _setting(
        1.0, "log samples of the requests that took so long, with where the time went; 0 logs none", float
    )
    tracing: str = _setting(
        "auto",
        "OpenTelemetry traces, which the variables OTEL_* describe; auto: if they name an OTLP endpoint",
        choices=TRACING,
    )

    @classmethod
    def from_command_line(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
        """Read `arguments`, with defaults from `environment`.

        Raises:
            SystemExit: with status 2 after one line on standard error, when a value is not usable.
        """
        parser = _Parser(
            prog="python -m server",
            description="Serve a model repository over gRPC.",
            epilog="Each option can also be set by a variable: --grpc-port by COORDSERVE_GRPC_PORT. "
            "`python -m server check` says what is wrong in a model repository.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        for item in fields(cls):
            _add_option(parser, item.name, item.default, dict(item.metadata), environment)
        values = vars(parser.parse_args(arguments))
        if values["load_model"] is None:
            values["load_model"] = map(str.strip, environment.get("COORDSERVE_LOAD_MODEL", "").split(","))
        values["load_model"] = tuple(name for name in values["load_model"] if name)
        settings = cls(**values)
        settings._check(parser)
        return settings

    def _check(self, parser: argparse.ArgumentParser) -> None:
        for name in ("grpc_port", "metrics_port"):
            if not 0 <= getattr(self, name) <= 65535:  # noqa: PLR2004 - ports are 16 bits wide
                parser.error(f"--{name.replace('_', '-')} must be 0 to 65535")
        for name in ("queue_capacity", "max_message_bytes", "max_image_bytes", "max_image_pixels"):
            if getattr(self, name) < 1:
                parser.error(f"--{name.replace('_', '-')} must be at least 1")
        if self.max_message_bytes >= 1 << 31:
            parser.error("--max-message-bytes must be below 2 GiB, which no message of gRPC exceeds")
        if self.load_model and self.model_control_mode != "explicit":
            parser.error("--load-model needs --model-control-mode explicit")
        self._check_durations(parser)

    def _check_durations(self, parser: argparse.ArgumentParser) -> None:
        for name in ("lame_duck_seconds", "grace_seconds", "slow_request_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                parser.error(f"--{name.replace('_', '-')} must be 0 or more seconds")
        for name in ("repository_poll_seconds", "latency_objective_seconds"):
            if not 0 < getattr(self, name) < float("inf"):
                parser.error(f"--{name.replace('_', '-')} must be above 0")


class _Parser(argparse.ArgumentParser):
    """A parser that answers a mistake with one line."""

    def error(self, message: str) -> NoReturn:
        """Tell the mistake and exit."""
        self.exit(2, f"coordserve: {message} (--help shows the options)\n")


def _add_option(
    parser: argparse.ArgumentParser, name: str, default: Any, metadata: dict[str, Any], environment: Mapping[str, str]
) -> None:
    option, kind, text = "--" + name.replace("_", "-"), metadata.pop("type"), metadata.pop("help")
    value = environment.get("COORDSERVE_" + name.upper()) or None  # an empty one is none
    if kind is bool:
        if value is not None and value.lower() not in (*_YES, *_NO):
            parser.error(f"COORDSERVE_{name.upper()} must be one of {', '.join((*_YES, *_NO))}")
        enabled = default if value is None else value.lower() in _YES
        parser.add_argument(option, action=argparse.BooleanOptionalAction, default=enabled, help=text)
    elif metadata.get("action") == "append":
        parser.add_argument(option, metavar="NAME", help=text, **metadata)  # argparse would add to a default
    else:
        choices = metadata.get("choices")
        if value is not None and choices and (value := value.lower()) not in choices:
            parser.error(
                f"COORDSERVE_{name.upper()} must be one of {', '.join(choices)}"
            )  # argparse checks no defaults
        metavar = None if choices else kind.__name__.upper()
        parser.add_argument(
            option, type=kind, default=default if value is None else value, metavar=metavar, help=text, **metadata
        )
