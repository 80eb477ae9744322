"""Check a model repository: everything that either server would reject or ignore, with its place."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from server.check import code, labels, module, traps, triton, warm_up
from server.check.finding import Finding, Servers, Severity, merged
from server.check.loading import attempt
from server.check.source import Source
from server.model_config import MODEL_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from server.check.finding import Fault
    from server.model_config import ModelConfig

_DESCRIPTOR = model_config_pb2.ModelConfig.DESCRIPTOR
_VERSION = re.compile("[1-9][0-9]*")
_WARM_UP = "warmup"  # where Triton looks for the data of model_warmup
_MISSING = "there is no such file"
_UNLOADABLE = "the file is no TorchScript module that can be loaded"
_UNTRIED = " (Triton tries a model in model_warmup alone: else its requests would fail or get just this)"


def check_repository(directory: Path) -> Iterator[Finding]:
    """The findings for each model below `directory`, by file and line.

    Raises:
        OSError: there is no such directory, or it cannot be read.
    """
    if not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))
    for path in sorted(directory.iterdir()):
        if not path.is_dir():
            continue
        if os.access(path, os.R_OK | os.X_OK):
            yield from check_model(path)
        else:
            text = "the directory cannot be read: it is passed over"
            yield Finding(path, 1, Severity.WARNING, Servers.BOTH, text)


def check_model(directory: Path) -> list[Finding]:
    """The findings for one model's directory, by file and line."""
    if directory.name.startswith("."):
        text = "this server passes over hidden directories, Triton takes them for models"
        return [Finding(directory, 1, Severity.ERROR, Servers.TRITON, text)]
    return merged(_Check(directory).findings())


class _Check:
    """The check of one model."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "config.pbtxt"
        self._config, text = _parsed(self._path)
        self._source = Source(text, _DESCRIPTOR)
        self._attempt = attempt(directory.parent, directory.name)

    def findings(self) -> Iterator[Finding]:
        """Whatever there is to say; in any order."""
        if self._attempt.error:
            yield self._own_error()
        if self._attempt.config:
            yield from self._ignored(self._attempt.config)
            yield from self._labels(self._attempt.config)
        yield from self._directories()
        if self._config is None:
            yield replace(self._own_error(), servers=Servers.TRITON)
            return
        if code.is_for_triton_alone(self._config):
            return  # its rules are not PyTorch's
        error, warning = Severity.ERROR, Severity.WARNING
        if code.has_no_module(self._config):
            if self._attempt.error:
                yield replace(self._own_error(), servers=Servers.TRITON)
            yield from self._at(warning, Servers.BOTH, traps.both(self._config, self._directory))
            return
        yield from self._at(error, Servers.TRITON, triton.faults(self._config, self._directory))
        yield from self._at(error, Servers.BOTH, warm_up.faults(self._config, self._directory))
        yield from self._at(warning, Servers.TRITON, traps.triton(self._config))
        yield from self._at(warning, Servers.BOTH, traps.both(self._config, self._directory))
        yield from self._modules(self._config)

    def _at(self, severity: Severity, servers: Servers, faults: Iterable[Fault]) -> Iterator[Finding]:
        for path, message in faults:
            yield Finding(self._path, self._source.line(path), severity, servers, message)

    def _own_error(self) -> Finding:
        """Why this server does not load the model."""
        found, file = self._attempt, self._path
        if found.warm_up:
            return Finding(file, self._source.line(found.warm_up), Severity.ERROR, Servers.BOTH, found.error)
        line, text = found.syntax_line or self._source.line_of_message(found.error), found.error
        if found.config and not found.in_config:
            model_file = self._directory / str(found.version) / found.config.model_file
            if place := code.place(text, model_file.parent):
                file, line, text = place
            elif not model_file.is_file():
                file, line, text = model_file, 1, _MISSING
            elif text.startswith(model_file.name):
                file, line, text = model_file, 1, _UNLOADABLE
            else:
                text += _UNTRIED
        return Finding(file, line, Severity.ERROR, Servers.COORDSERVE, text)

    def _ignored(self, config: ModelConfig) -> Iterator[Finding]:
        for path in config.ignored:
            line = self._source.line(path)
            if path.startswith("parameters."):
                line = self._source.line_of_value(path.removeprefix("parameters."), line)
            text = f"{path} has no effect here"
            yield Finding(self._path, line, Severity.WARNING, Servers.COORDSERVE, text)

    def _labels(self, config: ModelConfig) -> Iterator[Finding]:
        for position, (output, spec) in enumerate(zip(config.proto.output, config.outputs, strict=True)):
            shapes = [shapes[position] for shapes in self._attempt.shapes.values()]
            if not output.label_filename or not shapes:
                continue
            row_shape = shapes[-1][1:] if config.batches else shapes[-1]
            for line, text in labels.oddities(config.labels[spec.name], row_shape):
                file = self._directory / output.label_filename
                yield Finding(file, line, Severity.WARNING, Servers.BOTH, text)

    def _directories(self) -> Iterator[Finding]:
        for path in self._directory.iterdir():
            if path.is_dir() and not _VERSION.fullmatch(path.name) and path.name != _WARM_UP:
                servers = Servers.COORDSERVE if path.name == "0" else Servers.BOTH
                text = "the name is no whole number without leading zeros: the directory is passed over"
                yield Finding(path, 1, Severity.WARNING, servers, text)

    def _modules(self, config: Any) -> Iterator[Finding]:
        """Triton's side of every version's file."""
        for version in triton.versions(config, self._directory):
            file = self._directory / str(version) / (config.default_model_filename or MODEL_FILE)
            arguments = module.argument_names(file)
            if arguments is None:
                text = _UNLOADABLE if file.is_file() else _MISSING
                yield Finding(file, 1, Severity.ERROR, Servers.TRITON, text)
                continue
            yield from self._at(Severity.WARNING, Servers.TRITON, module.count_faults(config, arguments))
            yield from self._at(Severity.WARNING, Servers.BOTH, module.order_faults(config, arguments))


def _parsed(path: Path) -> tuple[Any, str]:
    """The file's message, None if it is none, and its text."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        return text_format.Parse(text, model_config_pb2.ModelConfig()), text
    except OSError:
        return None, ""
    except text_format.ParseError:
        return None, text
