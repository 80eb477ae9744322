from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests import serving
from tests.parity import ensemble_models
from tests.parity.ensemble_cases import ask_ensemble, photograph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = serving.PATIENCE_SECONDS


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[service_pb2_grpc.GRPCInferenceServiceStub]:
    """A server with an ensemble, which loads and unloads by request."""
    repository = tmp_path_factory.mktemp("ensembles")
    ensemble_models.write_repository(repository)
    flags = ("--model-control-mode", "explicit", "--load-model", "classify_image")
    with serving.started(repository, *flags) as process, grpc.insecure_channel(process.grpc_address) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_steps_are_reloaded_under_an_ensemble_without_a_failed_request(
    inference: service_pb2_grpc.GRPCInferenceServiceStub,
) -> None:
    """While its models are loaded anew, again and again, every request of the ensemble is answered."""
    request, stop, answered = ask_ensemble(photograph(1), photograph(2)), threading.Event(), 0
    expected = inference.ModelInfer(request, timeout=SECONDS).raw_output_contents
    errors: list[grpc.RpcError] = []

    def reload() -> None:
        try:
            for name in ("decode_image", "network", "classify_image") * 4:
                inference.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=name), timeout=SECONDS)
        except grpc.RpcError as error:
            errors.append(error)
        finally:
            stop.set()

    reloading = threading.Thread(target=reload)
    reloading.start()
    while not stop.is_set():
        assert inference.ModelInfer(request, timeout=SECONDS).raw_output_contents == expected
        answered += 1
    reloading.join()
    assert not errors
    assert answered > 0


def test_a_deadline_holds_for_the_whole_ensemble(inference: service_pb2_grpc.GRPCInferenceServiceStub) -> None:
    """A request that cannot be answered in time is refused as late, whichever step it is at."""
    with pytest.raises(grpc.RpcError) as caught:
        inference.ModelInfer(ask_ensemble(*[photograph()] * 8), timeout=1e-4)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert inference.ModelInfer(ask_ensemble(photograph()), timeout=SECONDS).outputs[0].shape == [1, 5]


def test_the_decoding_step_has_limits_of_its_own(tmp_path: Path) -> None:
    """Its configuration says what a file may cost, under either server."""
    ensemble_models.write_repository(tmp_path)
    with (tmp_path / "decode_image" / "config.pbtxt").open("a", encoding="utf-8") as config:
        config.write('parameters { key: "MAX_IMAGE_PIXELS" value { string_value: "100" } }\n')
    with serving.started(tmp_path) as process, grpc.insecure_channel(process.grpc_address) as channel:
        inference = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="the limit is 100") as caught:
            inference.ModelInfer(ask_ensemble(photograph()), timeout=SECONDS)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
