"""What Triton refuses to load: its rules, as far as they concern PyTorch models.

They are those of Triton's core (ValidateModelConfig and what it calls, in triton-inference-server/core) and of its
PyTorch backend; tests ask the real Triton whether they are right.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from tritonclient.grpc import model_config_pb2

from server.model_config import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.check.finding import Fault

_TYPES = {f"TYPE_{name}" for name in ("BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")}
_IMAGE_RANK = 3
_PAIRS = {("", "pytorch"), (PLATFORM, ""), (PLATFORM, "pytorch")}


def faults(config: Any, directory: Path) -> Iterator[Fault]:
    """Everything in the file for which Triton would not load the model in `directory`."""
    yield from _identity(config, directory)
    for role, tensors in (("input", config.input), ("output", config.output)):
        if not tensors:
            yield role, f"at least one {role} is needed"
        for index, tensor in enumerate(tensors):
            path = f"{role}[{index}]"
            yield from _tensor(tensor, role, path)
            yield from _shape(tensor, f'{role} "{tensor.name}"', path)
    yield from _labels(config, directory)
    yield from _preferred_sizes(config)
    yield from _priorities(config.dynamic_batching)
    yield from _order(config.dynamic_batching)
    yield from _instances(config)
    yield from _threads(config)
    yield from _versions(config, directory)


def versions(config: Any, directory: Path) -> list[int]:
    """The versions that Triton would load, ascending."""
    names = [path.name for path in directory.iterdir() if path.is_dir() and re.fullmatch("0|[1-9][0-9]*", path.name)]
    available = sorted(map(int, names))
    match config.version_policy.WhichOneof("policy_choice"):
        case "all":
            return available
        case "specific":
            return [version for version in available if version in config.version_policy.specific.versions]
        case "latest":
            count = config.version_policy.latest.num_versions
            return available[-count:] if count else []
        case _:
            return available[-1:]


def _identity(config: Any, directory: Path) -> Iterator[Fault]:
    if config.name not in ("", directory.name):
        yield "name", f'name is "{config.name}", but the directory is "{directory.name}"'
    platform, backend = config.platform, config.backend
    if (platform, backend) not in {*_PAIRS, ("", "")}:
        field = "platform" if platform not in ("", PLATFORM) else "backend"
        yield field, f'platform "{platform}" and backend "{backend}" are not those of a PyTorch model'
    if config.runtime:
        yield "runtime", f'runtime "{config.runtime}" is no library of the PyTorch backend'
    if config.max_batch_size < 0:
        yield "max_batch_size", "max_batch_size must be 0 or more"


def _tensor(tensor: Any, role: str, path: str) -> Iterator[Fault]:
    if not tensor.name:
        yield path, f"an {role} has no name"
    datatype = model_config_pb2.DataType.Name(tensor.data_type)
    if datatype not in _TYPES:
        yield f"{path}.data_type", f'{role} "{tensor.name}": PyTorch models have no data type {datatype}'
    if tensor.is_shape_tensor:
        yield f"{path}.is_shape_tensor", "only TensorRT models have shape tensors"
    if role == "input" and tensor.format and len(tensor.dims) != _IMAGE_RANK:
        yield f"{path}.format", "the format is one of images, whose dims are three"


def _shape(tensor: Any, name: str, path: str) -> Iterator[Fault]:
    if not tensor.dims:
        yield path, f"{name}: dims are missing"
    if any(dim < 1 and dim != -1 for dim in tensor.dims):
        yield f"{path}.dims", f"{name}: dims must be positive, or -1 where any size will do, got {list(tensor.dims)}"
        return
    sizes = [*tensor.dims], [*tensor.reshape.shape]
    if tensor.HasField("reshape") and -1 not in (*sizes[0], *sizes[1]) and math.prod(sizes[0]) != math.prod(sizes[1]):
        yield f"{path}.reshape", f"{name}: reshape has another size than dims"


def _labels(config: Any, directory: Path) -> Iterator[Fault]:
    for index, tensor in enumerate(config.output):
        if tensor.label_filename and not (directory / tensor.label_filename).is_file():
            yield f"output[{index}].label_filename", f'label_filename "{tensor.label_filename}" cannot be read'


def _preferred_sizes(config: Any) -> Iterator[Fault]:
    for size in config.dynamic_batching.preferred_batch_size:
        if not 0 < size <= config.max_batch_size:
            yield (
                "dynamic_batching.preferred_batch_size",
                f"preferred_batch_size {size} is not between 1 and max_batch_size, {config.max_batch_size}",
            )


def _priorities(batching: Any) -> Iterator[Fault]:
    levels = batching.priority_levels
    if not levels:
        return
    if not 0 < batching.default_priority_level <= levels:
        yield "dynamic_batching.priority_levels", f"default_priority_level must be from 1 to priority_levels, {levels}"
    if any(not 0 < level <= levels for level in batching.priority_queue_policy):
        yield "dynamic_batching.priority_queue_policy", f"priority_queue_policy must be for a level from 1 to {levels}"


def _order(batching: Any) -> Iterator[Fault]:
    if not batching.preserve_ordering:
        return
    path = "dynamic_batching.preserve_ordering"
    if batching.priority_levels > 1:
        yield path, "preserve_ordering allows one priority level"
    policies = [batching.default_queue_policy, *batching.priority_queue_policy.values()]
    delay = model_config_pb2.ModelQueuePolicy.DELAY
    if any(policy.default_timeout_microseconds and policy.timeout_action == delay for policy in policies):
        yield path, "preserve_ordering does not allow the timeout_action DELAY"


def _instances(config: Any) -> Iterator[Fault]:
    kinds = model_config_pb2.ModelInstanceGroup
    for index, group in enumerate(config.instance_group):
        path = f"instance_group[{index}]"
        if group.kind in (kinds.KIND_CPU, kinds.KIND_MODEL) and group.gpus:
            yield f"{path}.gpus", f"instances of {kinds.Kind.Name(group.kind)} take no gpus"
        if group.profile:
            yield f"{path}.profile", "only TensorRT models have a profile"


def _threads(config: Any) -> Iterator[Fault]:
    if "INTRA_OP_THREAD_COUNT" not in config.parameters:
        return
    text = config.parameters["INTRA_OP_THREAD_COUNT"].string_value
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text):
        yield "parameters", f'parameter INTRA_OP_THREAD_COUNT must be a whole number above 0, got "{text}"'


def _versions(config: Any, directory: Path) -> Iterator[Fault]:
    available = versions(config, directory)
    if not available:
        yield "version_policy", "no version directory that the version policy allows"
