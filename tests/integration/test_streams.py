from __future__ import annotations

import itertools
import queue
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.integration import rows
from tests.integration.books import Account, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.gates import Door
    from tests.serving import Samples, ServerProcess

    Busy = Callable[[str], Any]

AT_ONCE = 64  # requests of one stream that the server works on at a time
MIB = 1 << 20
LARGEST = 4 * MIB  # message that the server takes, and bytes of a stream's messages at which it reads no more


class Sender:
    """The requests of a stream; knows how many of them gRPC has taken."""

    def __init__(self, model: str, count: int, padding_bytes: int = 0) -> None:
        self.taken = 0
        self._model = model
        self._count = count
        self._padding = "x" * padding_bytes

    def __iter__(self) -> Iterator[Any]:
        """All requests."""
        for identity in range(self._count):
            request = rows.request(self._model, identity)
            request.parameters["padding"].string_param = self._padding
            self.taken += 1
            yield request


def _first(response: Any) -> int:
    assert not response.error_message, response
    return rows.answers(response.infer_response)[0]


@pytest.mark.parametrize(("count", "padding_bytes", "read"), [(1200, 48 << 10, AT_ONCE), (400, MIB, LARGEST // MIB)])
def test_a_sender_that_is_faster_than_the_model_is_held_back(
    server: ServerProcess, inference: Any, busy: Busy, door: Door, count: int, padding_bytes: int, read: int
) -> None:
    """Of a long stream the server reads so many messages, or bytes, while it works on them; all is answered."""
    running = busy("single")
    sender = Sender("single", count, padding_bytes)
    responses = inference.ModelStreamInfer(iter(sender))
    server.metrics_when(waiting("single", read))
    taken = -1
    while taken != sender.taken:
        taken = sender.taken
        server.metrics_when(waiting("single", read))  # still, and a while later
    assert read <= taken < count / 2  # what is beyond stands in the transport's own buffers
    door.open()
    assert [_first(response) for response in responses] == list(range(count))
    assert rows.answers(running.result()) == [1000]


def test_a_caller_that_does_not_read_is_not_worked_for(server: ServerProcess, inference: Any) -> None:
    """Answers that nobody fetches stop the stream, not the server; once they are fetched, all come, in order."""
    account, count = Account(server, "wide", "ModelStreamInfer"), 600
    before = server.metrics().total("nv_inference_request_success", model="wide")
    responses = inference.ModelStreamInfer(iter(Sender("wide", count)))
    assert _first(next(responses)) == 0
    quiet = _quiet(server)
    assert quiet.total("nv_inference_pending_request_count") == 0
    done = quiet.total("nv_inference_request_success", model="wide") - before
    assert 0 < done < count / 2
    assert rows.answers(inference.ModelInfer(rows.request("wide", 3))) == [3]
    assert [_first(response) for response in responses] == list(range(1, count))
    assert account.settle()["success"] == count + 1


def _quiet(server: ServerProcess) -> Samples:
    """Scrape until nothing is done between two scrapes."""
    samples = server.metrics_when(lambda page: page.total("coordserve_instances_busy") == 0)
    while True:
        before, samples = samples, server.metrics()
        executions = [page.total("nv_inference_exec_count") for page in (before, samples)]
        if executions[0] == executions[1] and samples.total("coordserve_instances_busy") == 0:
            return samples


def test_cancelling_a_stream_frees_all_that_waits(
    server: ServerProcess, inference: Any, busy: Busy, door: Door
) -> None:
    """What a stream had under way is out of the queue as soon as its caller leaves; others are answered."""
    account = Account(server, "single", "ModelStreamInfer")
    running = busy("single")
    responses = inference.ModelStreamInfer(iter(Sender("single", 1000)))
    server.metrics_when(waiting("single", AT_ONCE))
    responses.cancel()
    server.metrics_when(waiting("single", 0))
    door.open()
    assert rows.answers(running.result()) == [1000]
    settled = account.settle()
    assert (settled["success"], settled["CANCELED"]) == (1, AT_ONCE)


def test_errors_in_a_stream_answer_their_requests_and_do_not_end_it(server: ServerProcess, inference: Any) -> None:
    """Unknown models, bad shapes and poison are answered in their turn, each with the id of its request."""
    requests = [rows.request("worker", number) for number in range(40)]
    for number in range(0, 40, 4):
        requests[number].model_name = "nothing"
        requests[number + 1].inputs[0].shape[0] = 5
        requests[number + 2].raw_input_contents[0] = rows.request("worker", 0, -1).raw_input_contents[0]
    before = server.metrics()
    responses = list(inference.ModelStreamInfer(iter(requests)))
    assert [response.infer_response.id for response in responses] == [str(number) for number in range(40)]
    messages = [response.error_message for response in responses]
    assert messages[0::4] == ["Request for unknown model: 'nothing' is not found"] * 10
    assert {"byte size mismatch" in message for message in messages[1::4]} == {True}
    assert messages[2::4] == ["the model failed on this request"] * 10
    assert [_first(response) for response in responses[3::4]] == list(range(3, 40, 4))
    after = server.metrics()
    for reason in ("not_found", "invalid", "model"):
        counts = [samples.total("coordserve_rejected", reason=reason) for samples in (before, after)]
        assert counts[1] - counts[0] == 10, reason


def test_a_deadline_ends_a_stream_and_frees_what_it_had(
    server: ServerProcess, inference: Any, busy: Busy, door: Door
) -> None:
    """The deadline of a stream holds for all of its requests."""
    running = busy("single")
    call = inference.ModelStreamInfer(iter(Sender("single", 6)), timeout=5)
    server.metrics_when(waiting("single", 6))
    with pytest.raises(grpc.RpcError):
        list(call)
    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    server.metrics_when(waiting("single", 0))
    door.open()
    assert rows.answers(running.result()) == [1000]


def test_many_streams_share_the_server(server: ServerProcess) -> None:
    """Streams side by side each get their own answers, in their own order."""
    results: queue.SimpleQueue[list[int]] = queue.SimpleQueue()

    def converse(start: int) -> None:
        with rows.own_connection(server.grpc_address) as channel:
            requests = (rows.request("worker", number, 1) for number in range(start, start + 100))
            results.put([_first(response) for response in rows.stub(channel).ModelStreamInfer(requests)])

    threads = [threading.Thread(target=converse, args=(start,)) for start in range(0, 1000, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = sorted(results.get() for _ in threads)
    assert list(itertools.chain(*answered)) == list(range(1000))


def test_a_stream_without_requests_ends_well(inference: Any) -> None:
    """Nothing asked, nothing answered."""
    assert list(inference.ModelStreamInfer(iter([]))) == []
