"""The generator against servers whose percentiles are known: what it reports must be what theory gives."""

from __future__ import annotations

import multiprocessing.process
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import psutil
import pytest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from client.open_inference import infer_request
from loadtest.address import Address
from loadtest.bad_input import bad_messages
from loadtest.calibration import null_server
from loadtest.images import make_images
from loadtest.options import Options
from loadtest.payloads import Mix, make_workload
from loadtest.scenarios import SCENARIOS, Plan
from loadtest.schedule import Schedule, constant, poisson
from loadtest.sender import SenderSettings
from loadtest.senders import Senders, Sent
from loadtest.service_model import ServiceModel, service_times
from loadtest.session import Session
from loadtest.summary import summarize
from loadtest.target import CLASSIFY, INFER, TargetError, find_target
from loadtest.workload import Message
from proto.classifier_pb2 import ClassifyResponse

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES = (Message(bytes(1000), INFER), Message(bytes(2000), INFER))
# The machine that tests run on is busy: what it adds is bounded by this and not by what is to be shown.
NOISE_SECONDS = 0.1


def send(url: str, due: Schedule, **settings: int) -> Sent:
    """Offer load with one sender."""
    with Senders(SenderSettings(Address(url), MESSAGES, **settings)) as senders:
        return senders.open_loop(due, lambda _rows, _elapsed: True)


@pytest.mark.parametrize("kind", ["constant", "exponential"])
def test_percentiles_of_a_queue_are_those_of_theory(kind: str) -> None:
    """M/D/1 and M/M/1 at 70 % load: every percentile is that of the queue with the same arrivals and service times.

    That queue itself is held against the closed forms in test_service_model.py; here the arrivals are few, and their
    own percentiles differ from those of infinitely many.
    """
    mean = 0.05
    due = poisson(0.7 / mean, 8, seed=5)
    with null_server("--any-input", "--service", f"{kind}:{mean}s", "--seed", "3") as url:
        trace = send(url, due).trace
    model = ServiceModel(service_times(kind, mean, seed=3))
    theory = np.array([model.arrive(float(instant)) for instant in due]) - due

    assert trace.ok.all()
    assert np.quantile(theory, 0.9) > 2 * mean
    for q in (0.5, 0.9, 0.95, 0.99):
        found = np.quantile(trace.response_seconds, q)
        assert np.quantile(theory, q) - 0.01 <= found <= np.quantile(theory, q) + NOISE_SECONDS


def test_a_stall_is_as_many_slow_requests_as_were_due_meanwhile() -> None:
    """A second in which nothing is answered makes a hundred requests slow, evenly from one second down to none.

    A client that waits for each answer would report one slow request of hundreds.
    """
    with null_server("--any-input", "--stall", "1s@1s") as url:
        trace = send(url, constant(100, 3)).trace

    late = np.sort(trace.response_seconds[trace.response_seconds > NOISE_SECONDS])
    assert len(late) == pytest.approx((1 - NOISE_SECONDS) * 100, abs=12)
    assert np.quantile(trace.response_seconds, 0.995) == pytest.approx(1, abs=NOISE_SECONDS)
    assert np.median(late) == pytest.approx((1 + NOISE_SECONDS) / 2, abs=0.1)


def test_what_a_full_server_refuses_is_recorded_by_its_code() -> None:
    """A burst that finds two places gets two answers, and the rest is an outcome, not the end of the run."""
    with null_server("--any-input", "--service", "constant:300ms", "--capacity", "2") as url:
        trace = send(url, np.zeros(10)).trace

    assert trace.outcome_counts() == {"OK": 2, "RESOURCE_EXHAUSTED": 8}
    assert np.isinf(trace.response_seconds).sum() == 8


def test_beyond_the_most_in_flight_requests_are_dropped() -> None:
    """A server that answers nothing costs the client no more than its limit; the rest counts as dropped."""
    with null_server("--any-input", "--service", "constant:30s", "--servers", "100") as url:
        trace = send(url, constant(100, 0.3), deadline_seconds=3, most_in_flight=5).trace

    assert trace.outcome_counts() == {"DEADLINE_EXCEEDED": 5, "DROPPED": 25}
    assert np.isnan(trace.sent).sum() == 25


def test_several_processes_share_the_schedule() -> None:
    """Each request of the schedule is sent once, whoever sends it, and messages take turns."""
    due = constant(100, 1)
    with null_server("--any-input") as url, Senders(SenderSettings(Address(url), MESSAGES), processes=2) as senders:
        sent = senders.open_loop(due, lambda _rows, _elapsed: True)

    np.testing.assert_array_equal(sent.trace.due, due)
    np.testing.assert_array_equal(sent.trace.message, np.arange(100) % 2)
    assert sent.trace.ok.all()
    assert not sent.stopped


def test_callers_of_a_closed_loop_wait_for_their_answers() -> None:
    """Three callers of a server that takes a tenth of a second send thirty requests in a second, and never a fourth."""
    slow = null_server("--any-input", "--service", "constant:100ms", "--servers", "8")
    with slow as url, Senders(SenderSettings(Address(url), MESSAGES)) as senders:
        trace = senders.closed_loop(3, 1.0, lambda _rows, _elapsed: True).trace

    assert 3 <= len(trace) <= 30
    in_flight = [int(((trace.sent < instant) & (trace.done > instant)).sum()) for instant in trace.sent]
    assert max(in_flight) <= 2  # beside the one that is just leaving
    np.testing.assert_array_equal(trace.due <= trace.sent, [True] * len(trace))


def test_a_run_that_is_stopped_keeps_what_was_sent() -> None:
    """Whoever stops a run gets the requests that were due by then, and nothing is made up about the others."""
    with null_server("--any-input") as url, Senders(SenderSettings(Address(url), MESSAGES)) as senders:
        sent = senders.open_loop(constant(50, 600), lambda rows, _elapsed: np.isnan(rows["done"][20]))
        again = senders.open_loop(constant(50, 0.2), lambda _rows, _elapsed: True)

    assert sent.stopped
    assert sent.cut_seconds is not None
    assert np.nanmax(sent.trace.due) <= sent.cut_seconds
    assert 20 < len(sent.trace) < 15_000
    assert sent.trace.ok.all()
    assert len(again.trace) == 10
    assert not again.stopped


def test_callers_that_are_stopped_get_the_answers_that_they_wait_for() -> None:
    """Whoever stops a closed loop does not break off what the server is about to answer, and nothing new is sent."""
    slow = null_server("--any-input", "--service", "constant:1s", "--servers", "8")
    with slow as url, Senders(SenderSettings(Address(url), MESSAGES)) as senders:
        sent = senders.closed_loop(3, 600, lambda rows, _elapsed: np.isnan(rows["sent"][2]))

    assert sent.stopped
    assert set(sent.trace.outcome_counts()) == {"OK"}


def test_a_run_is_stopped_within_moments_however_long_a_look_takes() -> None:
    """Looks may become rare; whether somebody wants to stop is asked all the time."""
    looks: list[float] = []

    def look(_rows: object, elapsed: float) -> bool:
        looks.append(elapsed)
        time.sleep(0.4)  # the next one is twenty seconds away
        return True

    asked = iter([False, False, True])
    with (
        null_server("--any-input") as url,
        Senders(SenderSettings(Address(url), MESSAGES), stopped=lambda: next(asked, True)) as senders,
    ):
        sent = senders.open_loop(constant(50, 600), look)

    assert sent.stopped
    assert len(looks) == 2  # at the beginning and at the end


def test_a_closed_loop_that_answers_too_fast_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that have no room left to write down their requests have not measured the server."""
    monkeypatch.setattr("loadtest.senders._MOST_OF_CALLER", 10)
    with (
        null_server("--any-input") as url,
        Senders(SenderSettings(Address(url), MESSAGES)) as senders,
        pytest.raises(TargetError, match="answers come faster than the 20 a second for which there is room"),
    ):
        senders.closed_loop(2, 1.0, lambda _rows, _elapsed: True)


def test_a_sender_that_dies_is_told_in_a_line() -> None:
    """A run that has lost a sender says nothing of the server: it ends as one that cannot be made."""
    with (
        null_server("--any-input") as url,
        Senders(SenderSettings(Address(url), MESSAGES), processes=2) as senders,
        pytest.raises(TargetError, match="a sending process ended before its time"),
    ):
        senders.open_loop(constant(50, 600), lambda _rows, _elapsed: os.kill(senders.pids[0], signal.SIGKILL) is None)


def test_a_null_server_that_does_not_start_is_told_in_a_line() -> None:
    """No measurement of the client is no verdict on a server."""
    told = "the null server: the server did not start: .*--size"
    with pytest.raises(TargetError, match=told), null_server("--size", "0"):
        pass


def _bad_requests(url: str) -> dict[str, tuple[str, bytes]]:
    """Bad input for the server at `url`, with the method that each goes to."""
    target = find_target(Address(url))
    (model,) = target.models
    messages = [*bad_messages(model, CLASSIFY), *bad_messages(model, INFER)]
    bodies = {f"{message.method} {message.kind}": (message.method, message.body) for message in messages}
    good = infer_request(model, "", [np.zeros((model.height, model.width, 3), np.uint8)], 0)
    for name, change in _CHANGES.items():
        request = type(good).FromString(good.SerializeToString())
        change(request)
        bodies[name] = INFER, request.SerializeToString()
    return bodies | {"no message": (INFER, b"\xff\xff\xff"), "no message either": (CLASSIFY, b"\xff\xff\xff")}


_CHANGES: dict[str, Callable[[Any], None]] = {
    "datatype": lambda request: setattr(request.inputs[0], "datatype", "FP32"),
    "input name": lambda request: setattr(request.inputs[0], "name", "INPUT__1"),
    "no images in the batch": lambda request: request.inputs[0].shape.__setitem__(0, 0),
    "two inputs": lambda request: request.inputs.append(request.inputs[0]),
    "version": lambda request: setattr(request, "model_version", "7"),
    "bytes twice": lambda request: request.raw_input_contents.append(request.raw_input_contents[0]),
    "no bytes": lambda request: request.ClearField("raw_input_contents"),
}


def _codes(url: str) -> dict[str, str]:
    """How each bad request ends."""
    found = {}
    with grpc.insecure_channel(url) as channel:
        for name, (method, body) in _bad_requests(url).items():
            call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
            try:
                results = ClassifyResponse.FromString(call(body, timeout=60)).results
                found[name] = f"of the image: {results[0].error.code}"
            except grpc.RpcError as error:
                found[name] = error.code().name
    return found


def test_bad_input_is_refused_as_by_the_real_server(image_server: str) -> None:
    """Each kind of it ends with the same code, for the whole request or for an image of it."""
    with null_server("--size", "32") as url:
        found = _codes(url)

    assert found == _codes(image_server)
    assert set(found.values()) == {"INVALID_ARGUMENT", "NOT_FOUND", "of the image: 3"}


@pytest.mark.parametrize("payload", ["image", "uint8"])
def test_bad_input_beside_good_is_measurable_against_it(payload: str) -> None:
    """The scenario sees every bad request refused, and every good one answered."""
    with null_server("--size", "32") as url:
        target = find_target(Address(url), payload=payload)
        workload = make_workload(target, make_images(0, count=16), Mix((1, 2), bad_share=0.3))
        with Session(target, workload, Options(warm_up_seconds=0)) as session:
            SCENARIOS["bad-input"].run(session, Plan(rate=60.0, seconds=1.0))
    (run,) = session.runs
    bad = summarize([run])["runs"][0]["bad_input"]

    assert run.trace.ok.all()
    assert bad["requests"] > 5
    assert bad["refused"] == bad["requests"]


def test_it_takes_tensors_of_its_datatype() -> None:
    """Of float32, too, in batches and with an id, as typed contents or raw."""
    with null_server("--size", "16", "--payload", "float32") as url, grpc.insecure_channel(url) as channel:
        (model,) = find_target(Address(url)).models
        stub = GRPCInferenceServiceStub(channel)
        request = infer_request(model, "", [np.zeros((16, 16, 3), np.float32)] * 2, 0)
        request.id = "mine"
        response = stub.ModelInfer(request, timeout=60)
        assert (response.id, response.outputs[0].shape) == ("mine", [2, 10])

        request.ClearField("raw_input_contents")
        request.inputs[0].contents.fp32_contents.extend([0.0] * (2 * 16 * 16 * 3))
        assert stub.ModelInfer(request, timeout=60).outputs[0].shape == [2, 10]


def test_a_port_that_is_taken_is_no_second_queue() -> None:
    """Two servers on one port would share the load, and neither would be the queue that was asked for."""
    with null_server() as url:
        command = [sys.executable, "-m", "loadtest.null_server", "--grpc-port", url.rpartition(":")[2]]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert second.returncode == 1
    assert second.stderr.splitlines()[-1] == f"loadtest.null_server: cannot listen on {url}"


def test_senders_end_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has gone before the first connection is told, and leaves no process behind that waits for it."""
    monkeypatch.setattr("loadtest.senders._START_SECONDS", 0.5)
    senders = Senders(SenderSettings(Address("127.0.0.1:1"), MESSAGES))
    with pytest.raises(TargetError, match="no connection within"), senders:
        pass
    assert not any(psutil.pid_exists(pid) for pid in senders.pids)


def test_senders_that_cannot_all_be_started_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine has no room for the second process, the first one ends, too."""
    start, started = multiprocessing.process.BaseProcess.start, []

    def start_once(process: multiprocessing.process.BaseProcess) -> None:
        if started:
            raise OSError("no room")
        started.append(process)
        start(process)

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", start_once)
    with pytest.raises(OSError, match="no room"), Senders(SenderSettings(Address("127.0.0.1:1"), MESSAGES), 2):
        pass
    assert not started[0].is_alive()


def test_a_sender_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs holds nobody up for ever, and is not left behind."""
    monkeypatch.setattr("loadtest.senders._END_SECONDS", 0.5)
    with null_server("--any-input") as url, Senders(SenderSettings(Address(url), MESSAGES)) as senders:
        os.kill(senders.pids[0], signal.SIGSTOP)
    assert not psutil.pid_exists(senders.pids[0])
