from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from server import model_config
from server.errors import InvalidRequest
from server.services.infer_request import read_infer_request
from server.services.wire import parse_infer_message
from tests.server.services.requests import infer, tensor

if TYPE_CHECKING:
    from pathlib import Path

    from server.model_config import ModelConfig

_CONFIG = """
    backend: "python"  max_batch_size: 4
    input [ { name: "TEXTS" data_type: TYPE_STRING dims: [ -1 ] } ]
    output [ { name: "FOUND" data_type: TYPE_INT32 dims: [ 1 ] } ]
"""


@pytest.fixture
def config(tmp_path: Path) -> ModelConfig:
    """A model that takes texts."""
    (tmp_path / "config.pbtxt").write_text(_CONFIG)
    return model_config.read(tmp_path)


def _texts(*elements: bytes, shape: tuple[int, ...]) -> Any:
    request = infer(tensor("TEXTS", "BYTES", shape, contents={"bytes_contents": elements}))
    return parse_infer_message(request.SerializeToString())


def test_elements_arrive_in_the_shape_of_their_tensor(config: ModelConfig) -> None:
    """Texts in a message's list are an array of bytes, as those of raw contents are."""
    [array] = read_infer_request(_texts(b"a", b"", b"ccc", b"d", shape=(2, 2)), config).payload
    assert array.tolist() == [[b"a", b""], [b"ccc", b"d"]]


@pytest.mark.parametrize(("count", "told"), [(1, "expected 2 string elements"), (3, "number of string elements 3")])
def test_more_or_fewer_elements_than_the_shape_says_are_refused(config: ModelConfig, count: int, told: str) -> None:
    """The text is the one for raw contents."""
    with pytest.raises(InvalidRequest, match=f"{told} for inference input 'TEXTS' for model"):
        read_infer_request(_texts(*[b"a"] * count, shape=(1, 2)), config)


@pytest.mark.parametrize("name", ["TEXTS", "OTHER"])
def test_nobody_pays_for_many_elements(config: ModelConfig, name: str) -> None:
    """What is refused for its name or its shape is not made a list of before."""
    message = _texts(*[b"abc"] * 16_000, shape=(1, 2))
    message.request.inputs[0].name = name
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            read_infer_request(message, config)
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()
