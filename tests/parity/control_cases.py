"""Models that come and go, or do not come: what is asked of both servers, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2 as pb

from tests.parity.messages import infer, tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

Step = tuple[str, str, Any]


def control() -> Iterator[Step]:
    """Models that come and go; one step each."""
    statistics = "ModelStatistics", pb.ModelStatisticsRequest(name="tensors")
    ready = "ModelReady", pb.ModelReadyRequest(name="tensors")
    yield "load what is loaded", *_load("tensors")
    yield "load an unknown model", *_load("other")
    yield "load no model", *_load("")
    yield "load from another repository", "RepositoryModelLoad", pb.RepositoryModelLoadRequest(repository_name="x")
    yield "load with an unknown parameter", *_load("tensors", other="x")
    yield "load with a config that is no JSON", *_load("tensors", config="{")
    yield "ready after loads that failed", *ready
    yield "unload", *_unload("tensors")
    yield "not ready", *ready
    yield "infer", "ModelInfer", infer(*tensors(), model="tensors")
    yield "infer with the version", "ModelInfer", infer(*tensors(), model="tensors", version="1")
    yield "infer with another version", "ModelInfer", infer(*tensors(), model="tensors", version="7")
    yield "metadata", "ModelMetadata", pb.ModelMetadataRequest(name="tensors")
    yield "config", "ModelConfig", pb.ModelConfigRequest(name="tensors")
    yield "statistics", *statistics
    yield "unload again", *_unload("tensors")
    yield "unload an unknown model", *_unload("other")
    elsewhere = pb.RepositoryModelUnloadRequest(repository_name="x")
    yield "unload from another repository", "RepositoryModelUnload", elsewhere
    yield "index", "RepositoryIndex", pb.RepositoryIndexRequest()
    yield "load", *_load("tensors")
    yield "ready", *ready
    yield "statistics begin anew", *statistics
    yield "infer again", "ModelInfer", infer(*tensors(), model="tensors")
    yield "load a broken model", *_load("broken")
    yield "a broken model is not ready", "ModelReady", pb.ModelReadyRequest(name="broken", version="1")


# One that fails while it is run is not among them: Triton 2.51 was seen to crash on it, once in many times.
WARM_UPS = {
    "a good warm-up": "warm",
    "a warm-up without an input": "warm_nothing",
    "a warm-up of another type": "warm_type",
    "a warm-up whose file is short": "warm_file",
}


def warm_ups() -> Iterator[Step]:
    """Models with a model_warmup in config.pbtxt, good and bad ones."""
    for name, model in WARM_UPS.items():
        yield f"load with {name}", *_load(model)
        yield f"ready with {name}", "ModelReady", pb.ModelReadyRequest(name=model)
        yield f"config with {name}", "ModelConfig", pb.ModelConfigRequest(name=model)
    yield "statistics", "ModelStatistics", pb.ModelStatisticsRequest(name="warm")


def loading(name: str) -> Iterator[Step]:
    """The model `name`, which is being loaded."""
    for version in ("", "1", "2"):
        yield f"infer with version {version!r}", "ModelInfer", infer(model=name, version=version)
        yield f"ready with version {version!r}", "ModelReady", pb.ModelReadyRequest(name=name, version=version)
    yield "metadata", "ModelMetadata", pb.ModelMetadataRequest(name=name)
    yield "statistics", "ModelStatistics", pb.ModelStatisticsRequest(name=name)


def polled() -> Iterator[Step]:
    """What poll control refuses."""
    for name in ("first", "other", ""):
        yield f"load {name!r}", *_load(name)
        yield f"unload {name!r}", *_unload(name)
    yield "load from another repository", "RepositoryModelLoad", pb.RepositoryModelLoadRequest(repository_name="x")
    yield "index", "RepositoryIndex", pb.RepositoryIndexRequest()


def failed() -> Iterator[Step]:
    """A server whose only model did not load, and which takes no loads by request."""
    yield "live", "ServerLive", pb.ServerLiveRequest()
    yield "ready", "ServerReady", pb.ServerReadyRequest()
    yield "health", "Check", health_pb2.HealthCheckRequest()
    yield "model ready", "ModelReady", pb.ModelReadyRequest(name="broken")
    yield "infer", "ModelInfer", infer(*tensors(), model="broken")
    yield "infer with a version", "ModelInfer", infer(*tensors(), model="broken", version="1")
    yield "infer with another version", "ModelInfer", infer(*tensors(), model="broken", version="5")
    yield "metadata", "ModelMetadata", pb.ModelMetadataRequest(name="broken")
    yield "statistics", "ModelStatistics", pb.ModelStatisticsRequest(name="broken")
    yield "all statistics", "ModelStatistics", pb.ModelStatisticsRequest()
    yield "index", "RepositoryIndex", pb.RepositoryIndexRequest()
    yield "index of what is ready", "RepositoryIndex", pb.RepositoryIndexRequest(ready=True)
    yield "load", "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name="broken")
    yield "unload", "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="broken")
    yield "unload an unknown model", "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name="other")


def _load(name: str, **parameters: Any) -> tuple[str, Any]:
    values = {key: pb.ModelRepositoryParameter(string_param=value) for key, value in parameters.items()}
    return "RepositoryModelLoad", pb.RepositoryModelLoadRequest(model_name=name, parameters=values)


def _unload(name: str) -> tuple[str, Any]:
    return "RepositoryModelUnload", pb.RepositoryModelUnloadRequest(model_name=name)
