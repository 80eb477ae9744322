from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2

from client.errors import ModelNotFound
from client.open_inference import _only_classifier

NETWORK = ("UINT8", [-1, 8, 8, 3])
STEP = ("BYTES", [-1, 1])


def answer(rpc: Any, models: dict[str, tuple[str, list[int]]]) -> Any:
    """What a server with `models`, data type and shape of each one's input, answers."""
    if rpc.method == "RepositoryIndex":
        return service_pb2.RepositoryIndexResponse(models=[{"name": name, "state": "READY"} for name in models])
    if rpc.method == "ModelMetadata":
        datatype, shape = models[rpc.request.name]
        tensor = {"name": "IN", "datatype": datatype, "shape": shape}
        return service_pb2.ModelMetadataResponse(name=rpc.request.name, inputs=[tensor])
    config = text_format.Parse('max_batch_size: 8 output { name: "OUT" }', model_config_pb2.ModelConfig())
    return service_pb2.ModelConfigResponse(config=config)


def chosen(models: dict[str, tuple[str, list[int]]]) -> str:
    """Which of `models` is taken when none is named."""
    steps = _only_classifier("")
    rpc = next(steps)
    try:
        while True:
            rpc = steps.send(answer(rpc, models))
    except StopIteration as end:
        return str(end.value.model)


def test_an_ensemble_and_its_steps_do_not_stand_in_the_networks_way() -> None:
    """Without a name, the one model that takes pixels is asked, whatever takes encoded images beside it."""
    assert chosen({"classify_image": STEP, "decode_image": STEP, "network": NETWORK}) == "network"


def test_two_networks_have_to_be_told_apart() -> None:
    """Only models that classify images are offered for choice."""
    with pytest.raises(ModelNotFound, match=r"the server has several: a, c$"):
        chosen({"a": NETWORK, "b": STEP, "c": NETWORK})


@pytest.mark.parametrize(("models", "text"), [({}, "classifies images$"), ({"a": STEP, "b": STEP}, "only a, b$")])
def test_a_server_without_a_network_is_told_of(models: dict[str, tuple[str, list[int]]], text: str) -> None:
    """The error tells what there is instead."""
    with pytest.raises(ModelNotFound, match=text):
        chosen(models)
