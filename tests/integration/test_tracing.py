from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from proto import classifier_pb2, classifier_pb2_grpc
from tests.collector import Caller, Collector, attributes
from tests.integration import rows
from tests.integration.conftest import IMAGE, SINGLE
from tests.integration.gates import Door
from tests.integration.images import picture
from tests.torchscript_models import ROWS, WAIT, Colours, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

INFER = "inference.GRPCInferenceService/ModelInfer"
CLASSIFY = "coordserve.v1.Classifier/Classify"
CLASSIFY_STREAM = "coordserve.v1.Classifier/ClassifyStream"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where the server sends its traces."""
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of rows that can be made to wait, and one of images."""
    directory = tmp_path_factory.mktemp("models")
    door = Door(tmp_path_factory.mktemp("door") / "door")
    write_model(directory / "single", Worker(door=door.path), SINGLE % "" + ROWS)
    images = write_model(directory / "colours", Colours(channels_first=False), IMAGE % ("TYPE_UINT8", "16, 24, 3"))
    (images / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    (directory / "door").symlink_to(door.path)
    return directory


@pytest.fixture(scope="module")
def traced(
    models: Path, collector: Collector, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> Iterator[ServerProcess]:
    """A server that traces because the environment names a collector, and logs JSON."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_SERVICE_NAME": "pictures",
        "COORDSERVE_LOG_FORMAT": "json",
    }
    with start_server(models, environment=variables) as server:
        yield server


@pytest.fixture
def channel(traced: ServerProcess) -> Iterator[grpc.Channel]:
    """A connection to the traced server."""
    with rows.own_connection(traced.grpc_address) as channel:
        yield channel


@pytest.fixture
def inference(channel: grpc.Channel) -> Any:
    """The Open Inference Protocol on `channel`."""
    return rows.stub(channel)


def _lies_within(inner: Span, outer: Span) -> bool:
    start, end = outer.start_time_unix_nano, outer.end_time_unix_nano
    return start <= inner.start_time_unix_nano <= inner.end_time_unix_nano <= end


def test_a_call_is_a_part_of_its_callers_trace(traced: ServerProcess, collector: Collector) -> None:
    """Headers of tritonclient lead to a span of the call, with its waiting and computing, and a link to its batch."""
    caller = Caller()
    with tritonclient.grpc.InferenceServerClient(traced.grpc_address) as client:
        tensor = tritonclient.grpc.InferInput("INPUT__0", [1, 2], "INT64")
        tensor.set_data_from_numpy(np.array([[41, 1]]))
        client.infer("single", [tensor], request_id="mine", headers=caller.headers)
    spans = collector.trace(caller.trace_id, 3)
    [call], [queue], [compute] = spans[INFER], spans["queue"], spans["compute"]
    assert call.kind == Span.SPAN_KIND_SERVER
    assert call.parent_span_id == caller.span_id
    assert call.trace_state == "vendor=opaque"
    assert call.status.code == Status.STATUS_CODE_UNSET
    assert attributes(call) == {
        "rpc.system.name": "grpc",
        "rpc.method": INFER,
        "rpc.response.status_code": "OK",
        "coordserve.outcome": "ok",
        "coordserve.model": "single",
        "coordserve.model_version": "1",
        "coordserve.request_id": "mine",
        "coordserve.batch_size": 1,
    }
    assert queue.parent_span_id == compute.parent_span_id == call.span_id
    assert _lies_within(queue, call)
    assert _lies_within(compute, call)
    assert queue.end_time_unix_nano == compute.start_time_unix_nano
    [batch] = collector.wait(lambda span: span.span_id == compute.links[0].span_id)
    assert batch.name == "batch"
    assert [link.span_id for link in batch.links] == [call.span_id]
    resource = collector.resources[0]
    assert resource["service.name"] == "pictures"
    assert resource["service.version"]


def test_a_batch_links_to_all_that_are_in_it(
    traced: ServerProcess, models: Path, collector: Collector, inference: Any
) -> None:
    """Callers of different traces whose requests were executed together find each other by the batch's span."""
    door = Door(models / "door")
    first = inference.ModelInfer.future(rows.request("single", 1, WAIT))
    traced.metrics_when(lambda samples: samples.total("coordserve_instances_busy", model="single") == 1)
    callers = [Caller() for _ in range(3)]
    calls = [
        inference.ModelInfer.future(rows.request("single", number), metadata=caller.metadata)
        for number, caller in enumerate(callers)
    ]
    calls.append(inference.ModelInfer.future(rows.request("single", 3), metadata=Caller(sampled=False).metadata))
    pending = "nv_inference_pending_request_count"
    traced.metrics_when(lambda samples: samples.total(pending, model="single") == len(calls))
    door.open()
    assert [rows.answers(call.result()) for call in calls] == [[0], [1], [2], [3]]
    assert rows.answers(first.result()) == [1]
    traces = [collector.trace(caller.trace_id, 3) for caller in callers]
    [batch_id] = {trace["compute"][0].links[0].span_id for trace in traces}
    [batch] = collector.wait(lambda span: span.span_id == batch_id)
    assert attributes(batch) == {
        "coordserve.model": "single",
        "coordserve.model_version": "1",
        "coordserve.batch_size": 4,
    }
    assert sorted(link.trace_id for link in batch.links) == sorted(caller.trace_id for caller in callers)
    assert {link.span_id for link in batch.links} == {trace[INFER][0].span_id for trace in traces}
    assert not batch.parent_span_id
    assert batch.trace_id not in {caller.trace_id for caller in callers}


def test_images_are_decoded_in_spans(collector: Collector, channel: grpc.Channel) -> None:
    """Each image of a request has its parts; each message of a stream is a request of its own within the call."""
    classifier = classifier_pb2_grpc.ClassifierStub(channel)
    request = classifier_pb2.ClassifyRequest(model_name="colours", images=[picture(200, 1, 1), picture(1, 200, 1)])
    caller = Caller()
    classifier.Classify(request, metadata=caller.metadata)
    spans = collector.trace(caller.trace_id, 7)
    assert {name: len(found) for name, found in spans.items()} == {CLASSIFY: 1, "decode": 2, "queue": 2, "compute": 2}
    caller = Caller()
    assert len(list(classifier.ClassifyStream(iter([request, request]), metadata=caller.metadata))) == 2
    spans = collector.trace(caller.trace_id, 15)
    [call] = spans[CLASSIFY_STREAM]
    messages = spans[f"{CLASSIFY_STREAM} message"]
    assert [message.parent_span_id for message in messages] == [call.span_id] * 2
    parents = [decode.parent_span_id for decode in spans["decode"]]
    assert sorted(parents) == sorted([message.span_id for message in messages] * 2)


def test_an_image_that_fails_does_not_fail_its_call(collector: Collector, channel: grpc.Channel) -> None:
    """The call has succeeded, and its span says what went wrong within."""
    caller = Caller()
    request = classifier_pb2.ClassifyRequest(model_name="colours", images=[picture(200, 1, 1), b"no image"])
    classifier_pb2_grpc.ClassifierStub(channel).Classify(request, metadata=caller.metadata)
    [call] = collector.wait(lambda span: span.trace_id == caller.trace_id and span.name == CLASSIFY)
    assert call.status.code == Status.STATUS_CODE_UNSET
    found = attributes(call)
    assert (found["rpc.response.status_code"], found["coordserve.outcome"]) == ("OK", "invalid_image")
    assert "error.type" not in found


@pytest.mark.parametrize(
    ("message", "code", "status"),
    [
        (rows.request("single", 5, -1), grpc.StatusCode.INTERNAL, Status.STATUS_CODE_ERROR),
        (rows.request("nobody", 5), grpc.StatusCode.NOT_FOUND, Status.STATUS_CODE_UNSET),
    ],
)
def test_a_failure_is_told_in_span_and_log(
    traced: ServerProcess, collector: Collector, inference: Any, message: Any, code: grpc.StatusCode, status: Any
) -> None:
    """What is the server's fault is an error, what is the caller's is not; the log's line names the trace."""
    caller = Caller()
    with pytest.raises(grpc.RpcError) as raised:
        inference.ModelInfer(message, metadata=caller.metadata)
    assert raised.value.code() == code
    [call] = collector.wait(lambda span: span.trace_id == caller.trace_id and span.name == INFER)
    computing = [span for span in collector.spans if (span.parent_span_id, span.name) == (call.span_id, "compute")]
    assert [span.status.code for span in computing] in ([], [Status.STATUS_CODE_ERROR])
    assert call.status.code == status
    assert attributes(call)["rpc.response.status_code"] == attributes(call)["error.type"] == code.name
    line = json.loads(traced.wait_for(f".*{caller.trace_id.hex()}.*")[0])
    assert (line["code"], line["span_id"], line["request_id"]) == (code.name, call.span_id.hex(), "5")


def test_who_is_not_sampled_leaves_no_span(collector: Collector, inference: Any) -> None:
    """The caller decides: with its flag off, nothing of its trace is recorded."""
    unsampled, sampled = Caller(sampled=False), Caller()
    inference.ModelInfer(rows.request("single", 1), metadata=unsampled.metadata)
    inference.ModelInfer(rows.request("single", 1), metadata=sampled.metadata)
    collector.trace(sampled.trace_id, 3)
    assert not [span for span in collector.spans if span.trace_id == unsampled.trace_id]
    assert not [span for span in collector.spans for link in span.links if link.trace_id == unsampled.trace_id]


@pytest.mark.parametrize("traceparent", ["", "00-zz-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 4000])
def test_headers_that_make_no_sense_begin_a_new_trace(collector: Collector, inference: Any, traceparent: str) -> None:
    """A caller's mistake costs it the connection to its trace, not its answer."""
    message = rows.request("single", 1)
    message.id = f"odd {len(traceparent)}"
    assert rows.answers(inference.ModelInfer(message, metadata=[("traceparent", traceparent)])) == [1]
    [call] = collector.wait(lambda span: attributes(span).get("coordserve.request_id") == message.id)
    assert not call.parent_span_id
