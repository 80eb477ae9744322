from __future__ import annotations

import base64
import io
import json
import re
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2

from proto import classifier_pb2, classifier_pb2_grpc
from tests.integration import rows
from tests.integration.conftest import IMAGE, SINGLE
from tests.torchscript_models import ROWS, Colours, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

    Start = Callable[..., AbstractContextManager[ServerProcess]]

JSON = {"COORDSERVE_LOG_FORMAT": "auto"}  # the tests read from a pipe
MARK = b"NobodyMayReadThis"
INJECTED = "x\n2026-01-01 00:00:00.000 CRITICAL server: \x1b[31mall is lost"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of rows, one of images, and one that is broken."""
    directory = tmp_path_factory.mktemp("models")
    write_model(directory / "single", Worker(), SINGLE % "" + ROWS)
    images = write_model(directory / "colours", Colours(channels_first=False), IMAGE % ("TYPE_UINT8", "16, 24, 3"))
    (images / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    broken = write_model(directory / "broken", Worker(), SINGLE % "" + ROWS)
    (broken / "1" / "model.pt").write_bytes(b"no archive")
    return directory


def _stopped(server: ServerProcess) -> list[dict[str, Any]]:
    """What the server has logged when it has ended well."""
    server.send_signal(signal.SIGINT)
    assert server.wait_exit() == 0, server.log
    return [json.loads(line) for line in server.lines]


@pytest.fixture(scope="module")
def logged(models: Path, start_server: Start) -> Iterator[list[dict[str, Any]]]:
    """The log of a server that had a hundred good requests, a hundred that make the model raise, and some odd ones."""
    with start_server(models, environment=JSON) as server:
        with rows.own_connection(server.grpc_address) as channel:
            infer = rows.stub(channel).ModelInfer
            good = [infer.future(rows.request("single", number)) for number in range(100)]
            bad = [infer.future(rows.request("single", number, -1)) for number in range(100)]
            assert [call.exception() is None for call in good + bad] == [True] * 100 + [False] * 100
            message = rows.request("nobody" + INJECTED, 1)
            message.id = INJECTED * 1000
            assert infer.future(message).exception().code() == grpc.StatusCode.NOT_FOUND
        yield _stopped(server)


def test_every_line_is_an_object_with_time_level_logger_and_message(logged: list[dict[str, Any]]) -> None:
    """Programs read the whole log, in the order of time."""
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in logged)
    times = [datetime.fromisoformat(line["time"]) for line in logged]
    assert all(time.utcoffset() is not None for time in times)
    assert {line["level"] for line in logged} == {"info", "warning", "error"}


def test_the_life_of_server_and_models_is_told(logged: list[dict[str, Any]]) -> None:
    """One line for each event, which names its model."""
    told = [(line["message"].split(" ")[0], line.get("model"), line.get("version")) for line in logged]
    for event in [
        ("listening:", None, None),
        ("single", "single", 1),
        ("broken:", "broken", None),
        ("ready:", None, None),
        ("stopped", None, None),
    ]:
        assert told.count(event) == 1, logged


def test_requests_that_are_answered_are_not_told(logged: list[dict[str, Any]]) -> None:
    """The log says nothing of what goes well."""
    assert len(logged) < 50
    assert not [line for line in logged if line.get("code") == "OK"]


def test_a_failing_model_has_one_trace_and_samples_of_its_requests(logged: list[dict[str, Any]]) -> None:
    """A hundred times the same mistake: its trace once, and now and then a request, with all about it."""
    traces = [line for line in logged if "poison" in line.get("traceback", "")]
    assert [(line["message"], line["model"]) for line in traces] == [("single: an execution failed", "single")]
    failures = [line for line in logged if line.get("reason") == "model"]
    assert 1 <= len(failures) < 20
    first = failures[0]
    assert first["message"] == "single/1: request failed: the model failed on this request"
    assert (first["level"], first["code"], first["method"]) == ("warning", "INTERNAL", rows.MODEL_INFER[1:])
    assert first["request_id"].isdigit()
    assert first["peer"] == "ipv4:127.0.0.1"
    assert first["compute_ms"] > 0
    parts = sum(first[f"{part}_ms"] for part in ("decode", "queue", "compute", "rest"))
    assert parts == pytest.approx(first["total_ms"], abs=0.01)


def test_what_callers_choose_is_cut_and_stays_in_its_field(logged: list[dict[str, Any]]) -> None:
    """Names and ids with line ends and a terminal's commands in them look like nothing but names and ids."""
    [line] = [line for line in logged if line.get("reason") == "not_found"]
    assert line["request_id"] == (INJECTED * 1000)[:128]
    assert len(json.dumps(line)) < 4000
    assert "\n" not in line["message"]
    assert "\x1b" not in line["message"]


def test_slow_requests_tell_where_their_time_went(models: Path, start_server: Start) -> None:
    """Above the limit, a request is told with its parts and its batch."""
    with start_server(models, "--slow-request-seconds", "0.000001", environment=JSON) as server:
        with rows.own_connection(server.grpc_address) as channel:
            rows.stub(channel).ModelInfer(rows.batch_request("single", [(7, 50), (8, 50)]))
        [line] = [line for line in _stopped(server) if line["message"].endswith("request was slow")]
    assert (line["model"], line["version"], line["request_id"], line["batch_size"]) == ("single", "1", "7", 2)
    assert line["compute_ms"] > 0
    parts = sum(line[f"{part}_ms"] for part in ("decode", "queue", "compute", "rest"))
    assert parts == pytest.approx(line["total_ms"], abs=0.01)


def _photograph() -> bytes:
    """An image file with a mark in its text, its metadata and, as they are, its pixels."""
    size = (len(MARK) * 2, 16)
    image = Image.frombytes("RGB", size, (MARK * 6) * 16)
    exif = image.getexif()
    exif[0x010E] = MARK.decode()
    file = io.BytesIO()
    image.save(file, "PNG", exif=exif, compress_level=0)
    return file.getvalue()


def test_no_content_of_requests_is_ever_logged(models: Path, start_server: Start) -> None:
    """At the finest level, with good and bad images and tensors: nothing of them, in no way of writing bytes down."""
    options = ("--log-level", "debug", "--slow-request-seconds", "0.000001")
    photograph = _photograph()
    assert MARK in photograph
    with start_server(models, *options, environment=JSON) as server:
        with rows.own_connection(server.grpc_address) as channel:
            classify = classifier_pb2_grpc.ClassifierStub(channel).Classify
            images = [photograph, photograph[:-200], MARK * 10, b"\xff\xd8\xff" + MARK]
            results = classify(classifier_pb2.ClassifyRequest(model_name="colours", images=images)).results
            assert [result.HasField("error") for result in results][0::2] == [False, True]
            infer = rows.stub(channel).ModelInfer
            tensor = service_pb2.ModelInferRequest(model_name="colours")
            tensor.inputs.add(name="INPUT__0", datatype="UINT8", shape=[1, 16, 24, 3])
            tensor.raw_input_contents.append((MARK * 100)[: 16 * 24 * 3])
            assert infer(tensor).raw_output_contents
            tensor.raw_input_contents[0] = MARK
            assert infer.future(tensor).exception().code() == grpc.StatusCode.INVALID_ARGUMENT
            unparsable = channel.unary_unary(rows.MODEL_INFER)
            assert unparsable.future(b"\xff" + MARK).exception().code() == grpc.StatusCode.INVALID_ARGUMENT
        lines = _stopped(server)
    assert {line.get("reason") for line in lines} >= {"invalid", "invalid_image"}
    decimal = ", ?".join(map(str, MARK))
    encoded = base64.b64encode(MARK)[:-4].decode()
    assert not re.search(f"{MARK.decode()}|{MARK.hex()}|{decimal}|{re.escape(encoded)}", server.log)
