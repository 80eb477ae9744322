"""The protocol as its usual clients speak it: tritonclient, and the calls that perf_analyzer makes."""

from __future__ import annotations

import asyncio
import queue
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.integration import rows
from tests.integration.books import check_books

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.serving import ServerProcess


def _input(*identities: int) -> Any:
    tensor = triton.InferInput("INPUT__0", [len(identities), 2], "INT64")
    tensor.set_data_from_numpy(np.array([[identity, 0] for identity in identities]))
    return tensor


def _answers(result: Any) -> list[int]:
    return [int(identity) for (identity,) in result.as_numpy("OUTPUT__0")]


def test_the_synchronous_client(server: ServerProcess) -> None:
    """Everything that tritonclient offers for a running server, with its own requests and answers."""
    with triton.InferenceServerClient(server.grpc_address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("worker", "1")
        assert not client.is_model_ready("worker", "2")
        assert client.get_server_metadata().name == "coordserve"
        assert client.get_model_metadata("worker").inputs[0].shape == [-1, 2]
        assert client.get_model_config("worker").config.max_batch_size == 8
        assert _answers(client.infer("worker", [_input(4, 5)], request_id="mine")) == [4, 5]
        output = triton.InferRequestedOutput("OUTPUT__0")
        result = client.infer("worker", [_input(6)], outputs=[output], request_id="mine", client_timeout=30)
        assert (result.get_response().id, _answers(result)) == ("mine", [6])
        index = client.get_model_repository_index(as_json=True)["models"]
        assert {"name": "worker", "version": "1", "state": "READY"} in index
        assert client.get_inference_statistics("worker").model_stats[0].inference_count >= 3
        with pytest.raises(InferenceServerException, match="unknown model") as caught:
            client.infer("nothing", [_input(1)])
        assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_the_synchronous_client_asynchronously_and_in_a_stream(server: ServerProcess) -> None:
    """`async_infer` and `start_stream` hand each answer to its callback, and errors too."""
    done: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    with triton.InferenceServerClient(server.grpc_address) as client:
        for identity in range(20):
            client.async_infer("worker", [_input(identity)], lambda result, error: done.put((result, error)))
        results = [done.get(timeout=30) for _ in range(20)]
        assert [error for _, error in results if error] == []
        assert sorted(_answers(result)[0] for result, _ in results) == list(range(20))
        client.start_stream(lambda result, error: done.put((result, error)))
        for identity in range(10):
            model = "worker" if identity != 5 else "nothing"
            client.async_stream_infer(model, [_input(identity)], request_id=str(identity))
        client.stop_stream()
    streamed = [done.get(timeout=30) for _ in range(10)]
    assert [place for place, (_, error) in enumerate(streamed) if error] == [5]
    assert "unknown model: 'nothing'" in str(streamed[5][1])
    assert [_answers(result) for result, error in streamed if not error] == [[i] for i in range(10) if i != 5]


async def test_the_asyncio_client(server: ServerProcess) -> None:
    """The asyncio flavour of tritonclient: calls side by side, and a stream."""
    async with triton_aio.InferenceServerClient(server.grpc_address) as client:
        assert await client.is_server_ready()
        results = await asyncio.gather(*(client.infer("worker", [_input(identity)]) for identity in range(50)))
        assert [_answers(result) for result in results] == [[identity] for identity in range(50)]

        async def requests() -> AsyncIterator[dict[str, Any]]:
            for identity in range(50):
                yield {"model_name": "worker", "inputs": [_input(identity)], "request_id": str(identity)}

        streamed = [answer async for answer in client.stream_infer(requests())]
        assert [_answers(result) for result, _ in streamed] == [[identity] for identity in range(50)]
        assert [error for _, error in streamed if error] == []


def test_numbers_in_the_message_and_raw_bytes_are_the_same(inference: Any) -> None:
    """A request may bring its tensor as a list of numbers, as grpcurl does."""
    request = service_pb2.ModelInferRequest(model_name="worker")
    request.inputs.add(name="INPUT__0", datatype="INT64", shape=[2, 2]).contents.int64_contents.extend([8, 0, 9, 0])
    assert rows.answers(inference.ModelInfer(request)) == [8, 9]


def test_classification_of_an_image_by_tensor(inference: Any) -> None:
    """Triton's classification extension: `score:index:label`, best first, and no label where there is none."""
    request = service_pb2.ModelInferRequest(model_name="colours")
    request.inputs.add(name="INPUT__0", datatype="UINT8", shape=[1, 16, 24, 3])
    request.raw_input_contents.append(bytes([0, 50, 150]) * (16 * 24))
    request.outputs.add(name="OUTPUT__0").parameters["classification"].int64_param = 2
    response = inference.ModelInfer(request)
    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("BYTES", [1, 2])
    strings = triton.InferResult(response).as_numpy("OUTPUT__0")
    assert strings.tolist() == [[b"0.750000:2", b"0.250000:1:green"]]


def test_the_calls_of_perf_analyzer_and_the_counts_it_relies_on(server: ServerProcess, inference: Any) -> None:
    """Metadata, configuration, statistics, load, statistics: all counts of the window agree with the load."""
    metadata = inference.ServerMetadata(service_pb2.ServerMetadataRequest())
    assert "statistics" in metadata.extensions
    described = inference.ModelMetadata(service_pb2.ModelMetadataRequest(name="worker"))
    config = inference.ModelConfig(service_pb2.ModelConfigRequest(name="worker")).config
    assert [tensor.name for tensor in described.inputs] == [tensor.name for tensor in config.input]
    assert config.HasField("dynamic_batching")
    check_books(server)
    before = _statistics(inference)
    calls = [inference.ModelInfer.future(rows.batch_request("worker", [(number, 0)] * 3)) for number in range(100)]
    assert all(call.code() is grpc.StatusCode.OK for call in calls)
    after = _statistics(inference)
    stages = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    grown = {
        stage: getattr(after.inference_stats, stage).count - getattr(before.inference_stats, stage).count
        for stage in stages
    }
    assert grown == dict.fromkeys(stages, 100)
    assert after.inference_count - before.inference_count == 300
    executions = after.execution_count - before.execution_count
    assert 300 / 8 <= executions <= 100
    assert sum(batch.compute_infer.count for batch in after.batch_stats) == after.execution_count
    rows_run = [sum(b.batch_size * b.compute_infer.count for b in each.batch_stats) for each in (before, after)]
    assert rows_run[1] - rows_run[0] == 300
    durations = after.inference_stats
    parts = durations.queue.ns + sum(getattr(durations, stage).ns for stage in stages[2:])
    assert 0 < parts <= durations.success.ns
    samples = check_books(server)
    assert samples.total("nv_inference_count", model="worker") == after.inference_count
    assert samples.total("nv_inference_request_success", model="worker") == durations.success.count


def _statistics(inference: Any) -> Any:
    request = service_pb2.ModelStatisticsRequest(name="worker", version="1")
    (statistics,) = inference.ModelStatistics(request).model_stats
    return statistics
