"""Models in the protocol's words: metadata, configuration and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tritonclient.grpc import model_config_pb2, service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.model import ModelVersion
    from server.model_config import ModelConfig
    from server.statistics import Duration
    from server.tensor_types import TensorSpec


def describe_metadata(config: ModelConfig, versions: Iterable[int]) -> Any:
    """A ModelMetadataResponse."""
    response = service_pb2.ModelMetadataResponse(
        name=config.name, versions=[str(version) for version in sorted(versions)], platform=config.proto.platform
    )
    _add_tensors(response.inputs, config.inputs, batches=config.batches)
    _add_tensors(response.outputs, config.outputs, batches=config.batches)
    return response


def describe_config(model: ModelVersion) -> Any:
    """A ModelConfigResponse: the file, with what was filled in, and the instances that really run."""
    response = service_pb2.ModelConfigResponse(config=model.config.proto)
    group = model_config_pb2.ModelInstanceGroup(
        name=model.config.name, count=model.instances, kind=model_config_pb2.ModelInstanceGroup.KIND_CPU
    )
    del response.config.instance_group[:]
    response.config.instance_group.append(group)
    return response


def describe_statistics(model: ModelVersion) -> Any:
    """A ModelStatistics message; counts and times of one instant."""
    statistics = model.statistics
    with statistics.lock:
        message = service_pb2.ModelStatistics(
            name=model.config.name,
            version=str(model.version),
            last_inference=statistics.last_inference_ms,
            inference_count=statistics.inference_count,
            execution_count=statistics.execution_count,
            inference_stats=service_pb2.InferStatistics(
                success=_duration(statistics.success),
                fail=_duration(statistics.fail),
                queue=_duration(statistics.queue),
                compute_input=_duration(statistics.compute_input),
                compute_infer=_duration(statistics.compute_infer),
                compute_output=_duration(statistics.compute_output),
                cache_hit=service_pb2.StatisticDuration(),
                cache_miss=service_pb2.StatisticDuration(),
            ),
        )
        for size, batch in sorted(statistics.batches.items()):
            message.batch_stats.add(
                batch_size=size,
                compute_input=_duration(batch.compute_input),
                compute_infer=_duration(batch.compute_infer),
                compute_output=_duration(batch.compute_output),
            )
    return message


def _add_tensors(target: Any, specs: Iterable[TensorSpec], *, batches: bool) -> None:
    for spec in specs:
        target.add(name=spec.name, datatype=spec.datatype, shape=(-1, *spec.dims) if batches else spec.dims)


def _duration(duration: Duration) -> Any:
    return service_pb2.StatisticDuration(count=duration.count, ns=duration.ns)
