"""A model's facts, read from its config.pbtxt: the only source of them, for this server and for Triton.

The file is Triton's `inference.ModelConfig` in protobuf's text format. Fields that this server does not honour are
named in `ModelConfig.ignored`, so that the log can say so; they are never silently dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from server import config_fields, ensemble_config
from server.config_fields import parameter
from server.tensor_types import BYTES, DATATYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from server.ensemble_config import Step

PLATFORM = "pytorch_libtorch"
BACKEND = "pytorch"
PYTHON = "python"
MODEL_FILE = "model.pt"

_PLATFORMS = (PLATFORM, ensemble_config.PLATFORM)
_BACKENDS = (BACKEND, PYTHON)
_MODEL_FILES = {BACKEND: MODEL_FILE, PYTHON: "model.py"}
_MOST_ROWS = 4096  # each size is run and measured before the model is ready
_IMAGE_RANK = 3


class ConfigError(ValueError):
    """A config.pbtxt that cannot be served; the message names the file and what is wrong in it."""


class ForeignModel(ConfigError):  # noqa: N818 - the name says what it is
    """A config.pbtxt of a model that only other servers can serve, which is no mistake in it."""


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How long and how many: `dynamic_batching` of config.pbtxt; 0 and None are Triton's "no limit"."""

    max_delay_seconds: float = 0.0
    timeout_seconds: float = 0.0
    timeout_override: bool = False
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model's facts.

    `batches` tells whether requests have a leading batch dimension (`max_batch_size` above 0); `max_rows` is then that
    size, and 1 otherwise. `instances` and `threads` are None where the file leaves the choice to the server. Whose
    `backend` is empty is an ensemble: it has `steps`, and nothing of its own that runs.
    """

    name: str
    backend: str
    steps: tuple[Step, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: dict[str, tuple[str, ...]]
    batches: bool
    dynamic: bool
    max_rows: int
    queue: QueuePolicy
    instances: int | None
    threads: int | None
    crop_fraction: float
    model_file: str
    ignored: tuple[str, ...]
    proto: Any

    def versions_to_serve(self, available: Iterable[int]) -> list[int]:
        """Pick, by the version policy, from the versions that the directory has; ascending."""
        policy = self.proto.version_policy
        versions = sorted(available)
        match policy.WhichOneof("policy_choice"):
            case "all":
                return versions
            case "specific":
                return [version for version in versions if version in policy.specific.versions]
            case _:
                return versions[-max(1, policy.latest.num_versions) :]


def read(directory: Path) -> ModelConfig:
    """Read `directory`/config.pbtxt and the labels that it names.

    Raises:
        ConfigError: the file is missing, does not parse, or describes a model that this server cannot serve.
    """
    path = directory / "config.pbtxt"
    try:
        proto = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {reason}") from error
    except text_format.ParseError as error:
        raise ConfigError(f"{path}:{error}") from error
    try:
        return _interpret(proto, directory)
    except ConfigError as error:
        raise type(error)(f"{path}: {error}") from error


def parse_override(text: str, directory: Path) -> ModelConfig:
    """Read a configuration given as JSON in a load request, in place of the directory's own file.

    Raises:
        ConfigError: as `read`.
    """
    from google.protobuf import json_format  # noqa: PLC0415 - only load requests with an override need it

    try:
        proto = json_format.Parse(text, model_config_pb2.ModelConfig())
    except json_format.ParseError as error:
        raise ConfigError(f"config override: {error}") from error
    return _interpret(proto, directory)


def _interpret(proto: Any, directory: Path) -> ModelConfig:
    _check_servable(proto)
    _check_identity(proto, directory)
    _check_names(proto)
    proto.name = directory.name
    if fault := next(ensemble_config.ensemble_faults(proto), "") if _is_ensemble(proto) else "":
        raise ConfigError(fault)
    ignored = tuple(config_fields.ignored(proto))
    _normalize(proto)
    count, threads = _instance_count(proto), parameter(proto, "INTRA_OP_THREAD_COUNT")
    return ModelConfig(
        name=proto.name,
        backend=proto.backend,
        steps=ensemble_config.read_steps(proto),
        inputs=tuple(_tensor(tensor, "input", proto.backend) for tensor in proto.input),
        outputs=tuple(_tensor(tensor, "output", proto.backend) for tensor in proto.output),
        labels={tensor.name: _labels(directory, tensor.label_filename) for tensor in proto.output},
        batches=proto.max_batch_size > 0,
        dynamic=proto.max_batch_size > 0 and proto.HasField("dynamic_batching"),
        max_rows=_max_rows(proto),
        queue=_queue_policy(proto),
        instances=count or None,
        threads=_whole_number("INTRA_OP_THREAD_COUNT", threads) if threads else None,
        crop_fraction=_crop_fraction(parameter(proto, "CROP_FRACTION")),
        model_file=proto.default_model_filename,
        ignored=ignored,
        proto=proto,
    )


def _check_identity(proto: Any, directory: Path) -> None:
    if proto.name not in ("", directory.name):
        raise ConfigError(f'name is "{proto.name}", but the directory is "{directory.name}"')
    if not proto.platform and not proto.backend:
        raise ConfigError(f'platform: "{PLATFORM}" is missing')
    if proto.platform == PLATFORM and proto.backend == PYTHON:
        raise ConfigError(f'platform "{PLATFORM}" and backend "{PYTHON}" contradict each other')
    for filename in _file_names(proto):
        if ".." in filename.split("/") or filename.startswith("/"):
            raise ConfigError(f'file name "{filename}" leads out of the model\'s directory')
    if proto.max_batch_size < 0:
        raise ConfigError("max_batch_size must be 0 or more")
    if not proto.input or not proto.output:
        raise ConfigError("at least one input and one output are needed")


def _file_names(proto: Any) -> Iterator[str]:
    yield proto.default_model_filename
    yield from (tensor.label_filename for tensor in proto.output)
    yield from (data.input_data_file for entry in proto.model_warmup for data in entry.inputs.values())


def _check_servable(proto: Any) -> None:
    """Tell models apart that only Triton can serve."""
    for field, given, served in (("platform", proto.platform, _PLATFORMS), ("backend", proto.backend, _BACKENDS)):
        if given not in ("", *served):
            names = " or ".join(f'"{name}"' for name in served)
            raise ForeignModel(f'{field} "{given}" is not served here, only {names}')
    if proto.backend == PYTHON and not (proto.input and proto.output):
        raise ForeignModel("code that completes its configuration is not served here, only one with inputs and outputs")
    if proto.model_transaction_policy.decoupled:
        raise ForeignModel("models with a decoupled transaction policy are not served here")


def _check_names(proto: Any) -> None:
    for role, tensors in (("input", proto.input), ("output", proto.output)):
        names = [tensor.name for tensor in tensors]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f'{role} "{min(twice)}" is there more than once')


def _is_ensemble(proto: Any) -> bool:
    return bool(proto.platform == ensemble_config.PLATFORM or proto.HasField("ensemble_scheduling"))


def _normalize(proto: Any) -> None:
    """Fill in what Triton fills in, so that both servers answer ModelConfig alike."""
    if not proto.HasField("version_policy"):
        proto.version_policy.latest.num_versions = 1
    if _is_ensemble(proto):
        proto.model_transaction_policy.SetInParent()
        return
    if proto.backend != PYTHON:
        proto.platform, proto.backend = PLATFORM, BACKEND
    proto.default_model_filename = proto.default_model_filename or _MODEL_FILES[proto.backend]
    proto.optimization.input_pinned_memory.enable = True
    proto.optimization.output_pinned_memory.enable = True
    if proto.HasField("dynamic_batching") and not proto.dynamic_batching.preferred_batch_size:
        proto.dynamic_batching.preferred_batch_size.append(max(1, proto.max_batch_size))


def _max_rows(proto: Any) -> int:
    if proto.max_batch_size > _MOST_ROWS:
        raise ForeignModel(f"max_batch_size must be at most {_MOST_ROWS}, got {proto.max_batch_size}")
    return max(1, int(proto.max_batch_size))


def _tensor(tensor: Any, role: str, backend: str) -> TensorSpec:
    word = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    datatype = BYTES if word == "STRING" else word
    if not tensor.name:
        raise ConfigError(f"an {role} has no name")
    if datatype not in DATATYPES or (datatype == BYTES and backend == BACKEND):
        raise ConfigError(f'{role} "{tensor.name}": data type {word} cannot be served')
    known = role == "input" and backend == BACKEND  # code in Python, and ensembles of it, take tensors of any size
    if not tensor.dims or (role == "input" and any(dim < 1 and (known or dim != -1) for dim in tensor.dims)):
        kind = ForeignModel if tensor.dims and all(dim > 0 or dim == -1 for dim in tensor.dims) else ConfigError
        raise kind(f'{role} "{tensor.name}": dims must all be given and positive, got {list(tensor.dims)}')
    if role == "input" and tensor.format and len(tensor.dims) != _IMAGE_RANK:
        raise ConfigError(f'{role} "{tensor.name}": the format is one of images, whose dims are three')
    return TensorSpec(tensor.name, datatype, tuple(tensor.dims))


def _labels(directory: Path, filename: str) -> tuple[str, ...]:
    if not filename:
        return ()
    try:
        text = (directory / filename).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f'label_filename "{filename}" cannot be read') from error
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _queue_policy(proto: Any) -> QueuePolicy:
    batching = proto.dynamic_batching
    policy = batching.default_queue_policy
    return QueuePolicy(
        max_delay_seconds=batching.max_queue_delay_microseconds / 1e6,
        timeout_seconds=policy.default_timeout_microseconds / 1e6,
        timeout_override=policy.allow_timeout_override,
        capacity=policy.max_queue_size or None,
    )


def _instance_count(proto: Any) -> int:
    kinds = model_config_pb2.ModelInstanceGroup
    for group in proto.instance_group:
        if group.kind not in (kinds.KIND_AUTO, kinds.KIND_CPU):
            raise ForeignModel("instance_group: only KIND_CPU and KIND_AUTO can be served here")
        if group.count < 0:
            raise ConfigError("instance_group: count must be 0 or more")
    return sum(group.count for group in proto.instance_group)


def _whole_number(name: str, text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise ConfigError(f'parameter {name} must be a whole number above 0, got "{text}"')
    return int(text)


def _crop_fraction(text: str) -> float:
    try:
        fraction = float(text or 1.0)
    except ValueError:
        fraction = 0.0
    if not 0 < fraction <= 1:
        raise ConfigError(f'parameter CROP_FRACTION must be above 0 and at most 1, got "{text}"')
    return fraction
