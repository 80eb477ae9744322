"""What is asked of both servers: one request each, and both must answer alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2
from tritonclient.grpc import service_pb2 as pb

from tests.parity import control_cases
from tests.parity.inference_cases import TABLES
from tests.parity.messages import Output, image, infer, work

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Case:
    """A request and its name.

    `rpc` is a method of the inference service, or `Check` of the health service; a stream's request is a list.
    """

    name: str
    rpc: str
    request: Any


def streams() -> Iterator[tuple[str, list[pb.ModelInferRequest]]]:
    """Several requests on one ModelStreamInfer; all are sent before the first is answered."""

    def stream(*requests: pb.ModelInferRequest) -> list[pb.ModelInferRequest]:
        for number, request in enumerate(requests):
            request.id = f"request {number}"
        return list(requests)

    yield "nothing", []
    yield "one request", stream(infer(image()))
    yield "a request without an id", [infer(image(), request_id="")]
    yield (
        "a slow request before fast ones",
        stream(work(100), infer(image()), infer(image((4, 4, 3)), model="unbatched")),
    )
    yield "requests of one model", stream(*(infer(image((rows, 4, 4, 3))) for rows in (1, 3, 2)))
    wrong = (infer(image(), model="other"), infer(image(), version="abc"), infer(image((4, 4, 3))), infer())
    yield "wrong requests among right ones", stream(infer(image()), *wrong, infer(image()))
    yield "a wrong request without an id", [infer(image((4, 4, 3)), request_id="")]
    key = "triton_enable_empty_final_response"
    yield "final responses", stream(*(infer(image(), parameters={key: value}) for value in (True, False, 1)))
    yield "classes", stream(infer(image(), outputs=[Output(parameters={"classification": 2})]))
    yield "a request that fails", stream(work(-1), work(0))


def model_descriptions() -> Iterator[tuple[str, str, Any]]:
    """Metadata, configuration and readiness of every model, known or not."""
    named = [
        (name, "") for name in ("pixels", "network", "unbatched", "tensors", "by_name", "work", "broken", "other", "")
    ]
    versions = ("1", "2", "3", "0", "abc", "-1", "1.5")
    for name, version in [*named, *(("unbatched", version) for version in versions), ("other", "abc"), ("broken", "1")]:
        where = f"{name!r} {version!r}"
        yield f"ready {where}", "ModelReady", pb.ModelReadyRequest(name=name, version=version)
        yield f"metadata {where}", "ModelMetadata", pb.ModelMetadataRequest(name=name, version=version)
        yield f"config {where}", "ModelConfig", pb.ModelConfigRequest(name=name, version=version)
    for name, version in (
        ("broken", ""),
        ("other", ""),
        ("pixels", "2"),
        ("pixels", "abc"),
        ("other", "abc"),
    ):
        yield (
            f"statistics {name!r} {version!r}",
            "ModelStatistics",
            pb.ModelStatisticsRequest(name=name, version=version),
        )


def server_descriptions() -> Iterator[tuple[str, str, Any]]:
    """The server itself, its health, and what it has besides models."""
    yield "live", "ServerLive", pb.ServerLiveRequest()
    yield "ready", "ServerReady", pb.ServerReadyRequest()
    yield "metadata", "ServerMetadata", pb.ServerMetadataRequest()
    for service in ("", "inference.GRPCInferenceService", "other"):
        yield f"health of {service!r}", "Check", health_pb2.HealthCheckRequest(service=service)
    yield "index", "RepositoryIndex", pb.RepositoryIndexRequest()
    yield "index of what is ready", "RepositoryIndex", pb.RepositoryIndexRequest(ready=True)
    yield "index of a repository", "RepositoryIndex", pb.RepositoryIndexRequest(repository_name="other")
    yield "shared memory", "SystemSharedMemoryStatus", pb.SystemSharedMemoryStatusRequest()
    yield "CUDA shared memory", "CudaSharedMemoryStatus", pb.CudaSharedMemoryStatusRequest()
    yield "trace settings", "TraceSetting", pb.TraceSettingRequest()
    yield "log settings", "LogSettings", pb.LogSettingsRequest()


CASES = [
    *(Case(f"infer: {name}", "ModelInfer", request) for table in TABLES for name, request in table()),
    *(Case(f"stream: {name}", "ModelStreamInfer", requests) for name, requests in streams()),
    *(Case(f"model: {name}", rpc, request) for name, rpc, request in model_descriptions()),
    *(Case(f"server: {name}", rpc, request) for name, rpc, request in server_descriptions()),
]
# With explicit model control, one after the other; `tensors` is loaded at first, `broken` is not.
CONTROL = [Case(f"control: {name}", rpc, request) for name, rpc, request in control_cases.control()]
# Without model control, on a repository whose only model is `broken`.
FAILED = [Case(f"failed: {name}", rpc, request) for name, rpc, request in control_cases.failed()]
# With explicit model control, one after the other; none of these models is loaded at first.
WARM_UPS = [Case(f"warm-up: {name}", rpc, request) for name, rpc, request in control_cases.warm_ups()]
# While the model `waiting` is being loaded.
LOADING = [Case(f"loading: {name}", rpc, request) for name, rpc, request in control_cases.loading("waiting")]
# With poll control.
POLLED = [Case(f"polled: {name}", rpc, request) for name, rpc, request in control_cases.polled()]
