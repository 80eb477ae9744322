from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from server.errors import InvalidRequest, ModelNotFound, QueueFull, ServingError, Unavailable, Unsupported
from server.services.delivery import Delivery
from server.services.inference import InferenceServicer
from server.services.model_control import ModelControl
from server.services.wire import parse_infer_message
from tests.server.models import ROW, open_repository, write_model
from tests.server.services.requests import infer, set_parameters, tensor
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Constant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from server.repository import ModelRepository
    from tests.server.conftest import OpenBench

_ALL = ROW + "version_policy { all { } }"


class Call:
    """What a servicer knows of a call."""

    def __init__(self) -> None:
        self.deadline = math.inf
        self.reasons: list[str] = []

    def failed(self, error: ServingError) -> None:
        """Note the reason."""
        self.reasons.append(error.reason)

    def each(self, answer: Any) -> Any:
        """Nobody observes the messages of a stream."""
        return answer


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[ModelRepository]:
    """`net` with versions 1 and 3, `other` that is not loaded, and `broken`."""
    for version in (1, 3):
        write_model(tmp_path / "net", Constant(version), _ALL, version)
    write_model(tmp_path / "other", Constant(1))
    write_model(tmp_path / "broken", b"no module")
    write_model(tmp_path / "wrong", Constant(1), "max_batch_size: many")
    repository = open_repository(tmp_path)
    repository.load_all(["broken", "net"], lambda: False)
    yield repository
    assert repository.close(HANGING_SECONDS)


@pytest.fixture
async def servicer(repository: ModelRepository) -> InferenceServicer:
    """The servicer, which takes loads by request."""

    async def loaded() -> None:
        """Nobody is to be told."""

    return InferenceServicer(repository, Delivery(), "1.2.3", lambda: True, ModelControl(repository, loaded))


def _message(rows: int = 1, model: str = "net", version: str = "", request_id: str = "r7") -> Any:
    request = infer(tensor(datatype="INT64", shape=[rows, 2]), raw=[bytes(16 * rows)], request_id=request_id)
    request.model_name, request.model_version = model, version
    return parse_infer_message(request.SerializeToString())


def _value(response: Any) -> list[int]:
    return np.frombuffer(response.raw_output_contents[0], np.int64).tolist()


async def _stream(servicer: InferenceServicer, call: Call, *messages: Any) -> list[Any]:
    async def sent() -> AsyncIterator[Any]:
        for message in messages:
            yield message

    return [response async for response in servicer.ModelStreamInfer(sent(), call)]


async def test_an_inference_is_answered_by_the_version_that_it_names(servicer: InferenceServicer) -> None:
    """Without a version the latest answers; the answer names who did, and has no parameters."""
    for version, expected in (("", 3), ("1", 1), ("3", 3)):
        response = await servicer.ModelInfer(_message(rows=2, version=version), Call())
        assert _value(response) == [expected] * 2
        assert (response.model_name, response.model_version, response.id) == ("net", str(expected), "r7")
        assert not response.parameters


async def test_an_inference_is_counted_once(servicer: InferenceServicer, repository: ModelRepository) -> None:
    """A success counts with its rows; what never reached the queue counts nowhere in the model."""
    await servicer.ModelInfer(_message(rows=2), Call())
    with pytest.raises(InvalidRequest):
        await servicer.ModelInfer(_message(rows=5), Call())
    statistics = repository.get("net").statistics
    assert (statistics.success.count, statistics.inference_count, statistics.fail.count) == (1, 2, 0)


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (_message(model="nope"), ModelNotFound, "Request for unknown model: 'nope' is not found"),
        (_message(model="nope", version="x"), InvalidRequest, "version string 'x'"),
        (_message(model="other"), ModelNotFound, "Request for unknown model: 'other' is not found"),
        (_message(model="broken"), ModelNotFound, "Request for unknown model: 'broken' has no available versions"),
        (_message(version="2"), ModelNotFound, "Request for unknown model: 'net' version 2 is not found"),
    ],
)
async def test_an_inference_of_what_is_not_there(
    servicer: InferenceServicer, message: Any, error: type[ServingError], text: str
) -> None:
    """Version, then model, then version of the model: each has its text."""
    with pytest.raises(error, match=text):
        await servicer.ModelInfer(message, Call())


async def test_a_full_queue_names_the_request(
    servicer: InferenceServicer, repository: ModelRepository, open_bench: OpenBench
) -> None:
    """As with Triton the text begins with the request's id."""
    bench, version = open_bench(queue_capacity=1), repository.get("net")
    await asyncio.to_thread(bench.occupy)
    bench.submit("waiting")
    real: Any = bench.batcher
    version.batcher, own = real, version.batcher
    with pytest.raises(QueueFull, match=r"^\[request id: r7\] Exceeds maximum queue size$"):
        await servicer.ModelInfer(_message(), Call())
    version.batcher = own


async def test_a_stream_goes_on_after_an_error(servicer: InferenceServicer) -> None:
    """An error is an answer in its turn, with the id alone, and is counted; good ones say that they are final."""
    call = Call()
    messages = [_message(request_id="a"), _message(model="nope", request_id="b"), _message(rows=9, request_id="")]
    good, unknown, large = await _stream(servicer, call, *messages)
    assert (_value(good.infer_response), good.error_message) == ([3], "")
    assert good.infer_response.parameters["triton_final_response"].bool_param
    assert unknown.error_message == "Request for unknown model: 'nope' is not found"
    assert unknown.infer_response == service_pb2.ModelInferResponse(id="b")
    assert large.error_message == "[request id: <id_unknown>] inference request batch-size must be <= 4 for 'net'"
    assert large.infer_response == service_pb2.ModelInferResponse()
    assert sorted(call.reasons) == ["invalid", "not_found"]


async def test_readiness_is_an_answer_not_an_error(servicer: InferenceServicer) -> None:
    """Models that are not there or broken are not ready; only a version that is no number is an error."""

    async def ready(name: str, version: str = "") -> bool:
        request = service_pb2.ModelReadyRequest(name=name, version=version)
        return bool((await servicer.ModelReady(request, Call())).ready)

    assert [await ready("net"), await ready("net", "1"), await ready("net", "3")] == [True] * 3
    assert [await ready(name) for name in ("nope", "other", "broken", "")] == [False] * 4
    assert not await ready("net", "2")
    with pytest.raises(InvalidRequest):
        await ready("nope", "x")


async def test_the_server_describes_itself(servicer: InferenceServicer) -> None:
    """Name, version and extensions; what it does not have it does not announce."""
    metadata = await servicer.ServerMetadata(None, Call())
    assert (metadata.name, metadata.version) == ("coordserve", "1.2.3")
    assert {"classification", "statistics", "binary_tensor_data"} <= set(metadata.extensions)
    assert not [name for name in metadata.extensions if "shared_memory" in name]
    assert (await servicer.ServerLive(None, Call())).live
    assert (await servicer.ServerReady(None, Call())).ready


async def test_metadata_tell_the_versions_that_answer(servicer: InferenceServicer) -> None:
    """All of them, or the one that was asked for."""
    for version, expected in (("", ["1", "3"]), ("1", ["1"])):
        request = service_pb2.ModelMetadataRequest(name="net", version=version)
        assert list((await servicer.ModelMetadata(request, Call())).versions) == expected
    config = await servicer.ModelConfig(service_pb2.ModelConfigRequest(name="net"), Call())
    assert config.config.max_batch_size == 4


async def test_statistics_are_of_one_model_or_all(servicer: InferenceServicer) -> None:
    """Without a name of every version that answers; what is not there is an error."""

    async def statistics(name: str = "", version: str = "") -> list[tuple[str, str]]:
        request = service_pb2.ModelStatisticsRequest(name=name, version=version)
        response = await servicer.ModelStatistics(request, Call())
        return [(each.name, each.version) for each in response.model_stats]

    assert await statistics() == await statistics("net") == [("net", "1"), ("net", "3")]
    assert await statistics("net", "3") == [("net", "3")]
    for name in ("nope", "broken"):
        with pytest.raises(InvalidRequest, match=f"requested model '{name}' is not available"):
            await statistics(name)
    with pytest.raises(InvalidRequest, match="requested model version is not available for model 'net'"):
        await statistics("net", "9")


async def test_the_index_tells_of_every_model(servicer: InferenceServicer) -> None:
    """A model that was never tried has its name alone; on request only those that are ready are told."""

    async def index(**fields: Any) -> list[tuple[str, str, str]]:
        response = await servicer.RepositoryIndex(service_pb2.RepositoryIndexRequest(**fields), Call())
        return [(each.name, each.version, each.state) for each in response.models]

    ready = [("net", "1", "READY"), ("net", "3", "READY")]
    assert await index() == [("broken", "1", "UNAVAILABLE"), *ready, ("other", "", ""), ("wrong", "", "")]
    assert await index(ready=True) == ready
    with pytest.raises(Unsupported, match="'repository_name' specification is not supported"):
        await index(repository_name="x")


def _load(name: str, **parameters: Any) -> Any:
    request = service_pb2.RepositoryModelLoadRequest(model_name=name)
    set_parameters(request.parameters, parameters)
    return request


async def test_models_come_and_go_by_request(servicer: InferenceServicer, repository: ModelRepository) -> None:
    """A load returns when the model answers, an unload takes it away, whether or not it was there."""
    await servicer.RepositoryModelLoad(_load("other"), Call())
    assert _value(await servicer.ModelInfer(_message(model="other"), Call())) == [1]
    override = {
        "platform": "pytorch_libtorch",
        "instance_group": [{"count": 2}],
        "input": [{"name": "x", "data_type": "TYPE_INT64", "dims": [1, 2]}],
        "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [1, 1]}],
    }
    await servicer.RepositoryModelLoad(_load("other", config=("string_param", json.dumps(override))), Call())
    assert repository.get("other").instances == 2
    for name in ("other", "other", "nope"):
        await servicer.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name=name), Call())
    with pytest.raises(ModelNotFound):
        await servicer.ModelInfer(_message(model="other"), Call())


@pytest.mark.parametrize(
    ("request_message", "error", "text"),
    [
        (_load("nope"), InvalidRequest, "load failed for model 'nope': no directory nope"),
        (_load("../net"), InvalidRequest, "no directory"),
        (_load("wrong"), InvalidRequest, r"load failed for model 'wrong': wrong/config\.pbtxt:1:17"),
        (_load("broken"), InvalidRequest, "load failed for model 'broken': model.pt is no TorchScript module"),
        (_load("net", config=("string_param", "{")), InvalidRequest, "load failed for model 'net': config override"),
        (_load("net", config=("int64_param", 1)), InvalidRequest, "expected string_param"),
        (_load("net", **{"file:1/model.pt": ("bytes_param", b"x")}), Unsupported, "loading a model from files"),
        (service_pb2.RepositoryModelLoadRequest(repository_name="x"), Unsupported, "repository_name"),
    ],
)
async def test_loads_that_fail_say_why_and_change_nothing(
    servicer: InferenceServicer, request_message: Any, error: type[ServingError], text: str
) -> None:
    """The caller learns what is wrong, and nothing of the machine's paths."""
    with pytest.raises(error, match=text) as raised:
        await servicer.RepositoryModelLoad(request_message, Call())
    assert "/tmp" not in str(raised.value)  # noqa: S108 - no path is used
    assert _value(await servicer.ModelInfer(_message(), Call())) == [3]


async def test_without_explicit_control_models_stay(repository: ModelRepository) -> None:
    """A server that serves its whole repository takes no loads, of whatever name; to ask for one is a mistake."""
    servicer = InferenceServicer(repository, Delivery(), "1.2.3", lambda: True, None)
    text = "explicit model load / unload is not allowed if polling is enabled"
    with pytest.raises(Unavailable, match=text) as raised:
        await servicer.RepositoryModelLoad(_load("net"), Call())
    assert raised.value.reason == "unsupported"
    with pytest.raises(Unavailable, match=text):
        await servicer.RepositoryModelUnload(service_pb2.RepositoryModelUnloadRequest(model_name="net"), Call())
