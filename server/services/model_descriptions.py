"""Models in the protocol's words: metadata, configuration and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tritonclient.grpc import model_config_pb2, service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.model import ModelVersion
    from server.model_config import ModelConfig
    from server.statistics import Durations
    from server.tensor_types import TensorSpec


def describe_metadata(config: ModelConfig, versions: Iterable[int]) -> Any:
    """A ModelMetadataResponse."""
    response = service_pb2.ModelMetadataResponse(
        name=config.name,
        versions=[str(version) for version in sorted(versions)],
        platform=config.proto.platform or config.backend,
    )
    _add_tensors(response.inputs, config.inputs, batches=config.batches)
    _add_tensors(response.outputs, config.outputs, batches=config.batches)
    return response


def describe_config(model: ModelVersion) -> Any:
    """A ModelConfigResponse: the file, with what was filled in, and the instances that run; ensembles have none."""
    response = service_pb2.ModelConfigResponse(config=model.config.proto)
    if model.config.steps:
        return response
    groups = response.config.instance_group
    if not groups:
        groups.add(name=model.config.name)
    if model.config.instances is None:  # the server chose: all are of the first group
        del groups[1:]
        groups[0].count = model.instances
    for position, group in enumerate(groups):
        group.name = group.name or f"{model.config.name}_{position}"
        group.kind = model_config_pb2.ModelInstanceGroup.KIND_CPU
    return response


def describe_statistics(model: ModelVersion) -> Any:
    """A ModelStatistics message; counts and times of one instant."""
    statistics = model.statistics
    success = statistics.success
    with statistics.lock:
        message = service_pb2.ModelStatistics(
            name=model.config.name,
            version=str(model.version),
            last_inference=statistics.last_inference_ms,
            inference_count=statistics.inference_count,
            execution_count=statistics.execution_count,
            inference_stats=service_pb2.InferStatistics(
                success=_duration(success.count, success.request_ns),
                fail=_duration(statistics.fail.count, statistics.fail.request_ns),
                queue=_duration(success.count, success.queue_ns),
                **_compute(success),
                cache_hit=service_pb2.StatisticDuration(),
                cache_miss=service_pb2.StatisticDuration(),
            ),
        )
        for size, batch in sorted(statistics.batches.items()):
            message.batch_stats.add(batch_size=size, **_compute(batch))
    return message


def _add_tensors(target: Any, specs: Iterable[TensorSpec], *, batches: bool) -> None:
    for spec in specs:
        target.add(name=spec.name, datatype=spec.datatype, shape=(-1, *spec.dims) if batches else spec.dims)


def _compute(durations: Durations) -> dict[str, Any]:
    """The three parts of an execution, by the names of their fields."""
    return {
        "compute_input": _duration(durations.count, durations.compute_input_ns),
        "compute_infer": _duration(durations.count, durations.compute_infer_ns),
        "compute_output": _duration(durations.count, durations.compute_output_ns),
    }


def _duration(count: int, ns: int) -> Any:
    return service_pb2.StatisticDuration(count=count, ns=ns)
