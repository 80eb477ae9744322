from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2

if TYPE_CHECKING:
    from tests.serving import ServerProcess

OPEN_INFERENCE, CLASSIFIER = "inference.GRPCInferenceService", "coordserve.v1.Classifier"
SERVICES = {OPEN_INFERENCE, CLASSIFIER, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
STATUS = health_pb2.HealthCheckResponse.ServingStatus
NOT_IMPLEMENTED = [
    *(f"{kind}SharedMemory{action}" for kind in ("System", "Cuda") for action in ("Status", "Register", "Unregister")),
    *("TraceSetting", "LogSettings"),
]


def _unary(channel: grpc.Channel, method: str, message: bytes = b"") -> Any:
    return channel.unary_unary(method, request_serializer=None, response_deserializer=None).future(message)


@pytest.mark.parametrize("service", ["", OPEN_INFERENCE, CLASSIFIER])
def test_health_knows_the_server_and_its_services(channel: grpc.Channel, service: str) -> None:
    """Check and Watch tell that they serve."""
    health = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    assert health.Check(request).status == STATUS.SERVING
    watch = health.Watch(request)
    assert next(watch).status == STATUS.SERVING
    watch.cancel()


def test_health_of_a_service_that_nobody_knows(channel: grpc.Channel) -> None:
    """Check does not find it; Watch says so and goes on, since it may come."""
    health = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="nothing.Here")
    with pytest.raises(grpc.RpcError, match=r"unknown service 'nothing\.Here'") as caught:
        health.Check(request)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = health.Watch(request)
    assert next(watch).status == STATUS.SERVICE_UNKNOWN
    assert watch.is_active()
    watch.cancel()


def test_reflection_describes_every_service(channel: grpc.Channel) -> None:
    """A tool without stubs learns what services there are and finds the file that defines each."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    requests += [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name) for name in sorted(SERVICES)]
    listed, *described = stub.ServerReflectionInfo(iter(requests))
    assert {service.name for service in listed.list_services_response.service} == SERVICES
    assert all(answer.file_descriptor_response.file_descriptor_proto for answer in described)


@pytest.mark.parametrize("method", NOT_IMPLEMENTED)
def test_what_the_protocol_has_and_this_server_has_not_is_unimplemented(channel: grpc.Channel, method: str) -> None:
    """Shared memory, tracing and log settings say that they are not there."""
    call = _unary(channel, f"/{OPEN_INFERENCE}/{method}")
    assert call.code() is grpc.StatusCode.UNIMPLEMENTED
    assert call.details() == f"{method} is not implemented by this server"


@pytest.mark.parametrize("method", [f"/{OPEN_INFERENCE}/ModelTrain", "/nothing.Here/Call", "/x", "/", "nothing"])
def test_a_method_that_nobody_knows_is_unimplemented_and_counted(
    server: ServerProcess, channel: grpc.Channel, method: str
) -> None:
    """Whatever path a caller makes up."""
    before = server.metrics()
    assert _unary(channel, method, b"anything").code() is grpc.StatusCode.UNIMPLEMENTED
    counts = [samples.total("coordserve_rejected", reason="unsupported") for samples in (before, server.metrics())]
    assert counts[1] - counts[0] == 1


def test_shared_memory_in_a_request_is_refused(inference: Any) -> None:
    """A tensor that is said to be in shared memory is not taken for one that is missing."""
    request = service_pb2.ModelInferRequest(model_name="worker")
    tensor = request.inputs.add(name="INPUT__0", datatype="INT64", shape=[1, 2])
    tensor.parameters["shared_memory_region"].string_param = "mine"
    call = inference.ModelInfer.future(request)
    assert call.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "shared memory is not supported" in call.details()


def test_the_pages(server: ServerProcess) -> None:
    """/metrics, /healthz and /readyz are there; anything else is not."""
    assert server.get("/healthz") == (200, "ok\n")
    assert server.get("/readyz") == (200, "ready\n")
    assert server.get("/nothing")[0] == 404
    status, page = server.get("/metrics")
    assert status == 200
    assert "# TYPE nv_inference_request_success counter\n" in page
