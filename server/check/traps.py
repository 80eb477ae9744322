"""What Triton accepts and does otherwise than one may think, or than this server does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tritonclient.grpc import model_config_pb2

from server.check import warm_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.check.finding import Fault


def triton(config: Any) -> Iterator[Fault]:
    """What surprises under Triton."""
    yield from _batching(config)
    yield from _prefetching(config.dynamic_batching)
    yield from warm_up.cold_sizes(config)
    yield from _resources(config)
    for role, tensors in (("input", config.input), ("output", config.output)):
        names = [tensor.name for tensor in tensors]
        for index, name in enumerate(names):
            if name and name in names[:index]:
                yield f"{role}[{index}].name", f'a second {role} has the name "{name}"; Triton loads it and uses one'


def both(config: Any, directory: Path) -> Iterator[Fault]:
    """What surprises under either server with the model in `directory`."""
    for version in config.version_policy.specific.versions:
        if not (directory / str(version)).is_dir():
            yield "version_policy", f"version_policy names version {version}, for which there is no directory"
    policy = config.dynamic_batching.default_queue_policy
    if policy.allow_timeout_override and not policy.default_timeout_microseconds:
        yield (
            "dynamic_batching.default_queue_policy.allow_timeout_override",
            "allow_timeout_override has no effect without default_timeout_microseconds: a request can only shorten it",
        )
    if config.HasField("dynamic_batching") and config.max_batch_size == 0:
        text = "puts no requests together while max_batch_size is 0: only what it says of the queue has an effect"
        yield "dynamic_batching", f"dynamic_batching {text}"


def _batching(config: Any) -> Iterator[Fault]:
    if config.max_batch_size > 1 and not config.HasField("dynamic_batching"):
        yield "max_batch_size", "without dynamic_batching, requests are not put together into batches"


def _prefetching(batching: Any) -> Iterator[Fault]:
    policy = batching.default_queue_policy
    path = "dynamic_batching.default_queue_policy"
    text = "turns off that Triton forms the next batches while instances are busy"
    for field in ("default_timeout_microseconds", "max_queue_size"):
        if getattr(policy, field):
            yield f"{path}.{field}", f"{field} {text}"
    if batching.priority_levels:
        yield "dynamic_batching.priority_levels", f"priority_levels {text}"


def _resources(config: Any) -> Iterator[Fault]:
    kinds = model_config_pb2.ModelInstanceGroup
    count = sum(group.count for group in config.instance_group)
    threads = "INTRA_OP_THREAD_COUNT" in config.parameters
    if threads and not count:
        text = "Triton runs 1 instance of INTRA_OP_THREAD_COUNT threads, this server one for each core"
        yield "instance_group", f"instance_group has no count: {text}"
    if count > 1 and not threads:
        text = "each instance of Triton's C++ PyTorch backend uses all cores"
        yield "parameters", f"no parameter INTRA_OP_THREAD_COUNT: {text}"
    if any(group.kind == kinds.KIND_GPU for group in config.instance_group):
        yield "instance_group", "KIND_GPU: Triton loads it only where there is a GPU"
