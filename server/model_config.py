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

from server.tensor_types import DATATYPES, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PLATFORM = "pytorch_libtorch"
BACKEND = "pytorch"
MODEL_FILE = "model.pt"

_HONOURED = {
    "name",
    "platform",
    "backend",
    "max_batch_size",
    "default_model_filename",
    "input.name",
    "input.data_type",
    "input.format",  # checked, and told in ModelConfig
    "input.dims",
    "output.name",
    "output.data_type",
    "output.dims",
    "output.label_filename",
    "parameters",  # each one is looked at by itself
    "version_policy.all",
    "version_policy.latest.num_versions",
    "version_policy.specific.versions",
    "dynamic_batching.max_queue_delay_microseconds",
    "dynamic_batching.default_queue_policy.default_timeout_microseconds",
    "dynamic_batching.default_queue_policy.allow_timeout_override",
    "dynamic_batching.default_queue_policy.max_queue_size",
    "instance_group.name",
    "instance_group.kind",
    "instance_group.count",
    "model_warmup",  # every batch size is warm before readiness, whatever this says
}
_PARAMETERS = {"CROP_FRACTION", "INTRA_OP_THREAD_COUNT"}
_MOST_ROWS = 4096  # each size is run and measured before the model is ready
_IMAGE_RANK = 3


class ConfigError(ValueError):
    """A config.pbtxt that cannot be served; the message names the file and what is wrong in it."""


class ForeignModel(ConfigError):  # noqa: N818 - the name says what it is
    """A config.pbtxt of a model for another platform or backend, which is no mistake in it."""


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
    size, and 1 otherwise. `instances` and `threads` are None where the file leaves the choice to the server.
    """

    name: str
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
    _check_identity(proto, directory)
    _check_names(proto)
    proto.name = directory.name
    ignored = tuple(_ignored(proto))
    _normalize(proto)
    count, threads = _instance_count(proto), _parameter(proto, "INTRA_OP_THREAD_COUNT")
    return ModelConfig(
        name=proto.name,
        inputs=tuple(_tensor(tensor, "input") for tensor in proto.input),
        outputs=tuple(_tensor(tensor, "output") for tensor in proto.output),
        labels={tensor.name: _labels(directory, tensor.label_filename) for tensor in proto.output},
        batches=proto.max_batch_size > 0,
        dynamic=proto.max_batch_size > 0 and proto.HasField("dynamic_batching"),
        max_rows=_max_rows(proto),
        queue=_queue_policy(proto),
        instances=count or None,
        threads=_whole_number("INTRA_OP_THREAD_COUNT", threads) if threads else None,
        crop_fraction=_crop_fraction(_parameter(proto, "CROP_FRACTION")),
        model_file=proto.default_model_filename,
        ignored=ignored,
        proto=proto,
    )


def _check_identity(proto: Any, directory: Path) -> None:
    if proto.name not in ("", directory.name):
        raise ConfigError(f'name is "{proto.name}", but the directory is "{directory.name}"')
    for field, given, served in (("platform", proto.platform, PLATFORM), ("backend", proto.backend, BACKEND)):
        if given not in ("", served):
            raise ForeignModel(f'{field} "{given}" is not served here, only "{served}"')
    if not proto.platform and not proto.backend:
        raise ConfigError(f'platform: "{PLATFORM}" is missing')
    for filename in (proto.default_model_filename, *(tensor.label_filename for tensor in proto.output)):
        if ".." in filename.split("/") or filename.startswith("/"):
            raise ConfigError(f'file name "{filename}" leads out of the model\'s directory')
    if proto.max_batch_size < 0:
        raise ConfigError("max_batch_size must be 0 or more")
    if not proto.input or not proto.output:
        raise ConfigError("at least one input and one output are needed")


def _check_names(proto: Any) -> None:
    for role, tensors in (("input", proto.input), ("output", proto.output)):
        names = [tensor.name for tensor in tensors]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f'{role} "{min(twice)}" is there more than once')


def _normalize(proto: Any) -> None:
    """Fill in what Triton fills in, so that both servers answer ModelConfig alike."""
    proto.platform, proto.backend = PLATFORM, BACKEND
    proto.default_model_filename = proto.default_model_filename or MODEL_FILE
    if not proto.HasField("version_policy"):
        proto.version_policy.latest.num_versions = 1
    proto.optimization.input_pinned_memory.enable = True
    proto.optimization.output_pinned_memory.enable = True
    if proto.HasField("dynamic_batching") and not proto.dynamic_batching.preferred_batch_size:
        proto.dynamic_batching.preferred_batch_size.append(max(1, proto.max_batch_size))


def _max_rows(proto: Any) -> int:
    if proto.max_batch_size > _MOST_ROWS:
        raise ConfigError(f"max_batch_size must be at most {_MOST_ROWS}, got {proto.max_batch_size}")
    return max(1, int(proto.max_batch_size))


def _tensor(tensor: Any, role: str) -> TensorSpec:
    datatype = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    if not tensor.name:
        raise ConfigError(f"an {role} has no name")
    if datatype not in DATATYPES:
        raise ConfigError(f'{role} "{tensor.name}": data type {datatype} cannot be served')
    if not tensor.dims or (role == "input" and min(tensor.dims) < 1):
        raise ConfigError(f'{role} "{tensor.name}": dims must all be given and positive, got {list(tensor.dims)}')
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
            raise ConfigError("instance_group: only KIND_CPU and KIND_AUTO can be served here")
        if group.count < 0:
            raise ConfigError("instance_group: count must be 0 or more")
    return sum(group.count for group in proto.instance_group)


def _parameter(proto: Any, key: str) -> str:
    return str(proto.parameters[key].string_value) if key in proto.parameters else ""


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


def _ignored(proto: Any) -> Iterator[str]:
    """Paths of fields that are set in the file and have no effect here."""
    yield from dict.fromkeys(_without_effect(proto, ""))
    yield from (f"parameters.{key}" for key in proto.parameters if not _is_honoured(proto, key))


def _is_honoured(proto: Any, key: str) -> bool:
    inference_mode = key == "INFERENCE_MODE" and _parameter(proto, key).lower() in ("true", "1")  # it is never off
    return key in _PARAMETERS or inference_mode


def _without_effect(message: Any, prefix: str) -> Iterator[str]:
    for field, value in message.ListFields():
        path = prefix + field.name
        if path in _HONOURED:
            continue
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            yield path
            continue
        for item in value if field.is_repeated else [value]:
            if item.ListFields():
                yield from _without_effect(item, path + ".")
            elif not any(honoured.startswith(path + ".") for honoured in _HONOURED):
                yield path
