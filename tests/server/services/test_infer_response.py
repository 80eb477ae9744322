from __future__ import annotations

import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import InferResult, service_pb2

from server import model_config
from server.services.infer_request import Inference
from server.services.infer_response import build_infer_response, top_classes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_LABELS = ("cat", "dog", "bird")


def _respond(
    directory: Path,
    outputs: dict[str, Any],
    wanted: list[tuple[int, int]],
    *,
    batches: bool = True,
    labels: tuple[str, ...] = _LABELS,
) -> Any:
    """The response of a model with these outputs, `NAME: array`, to a request that wants some of them."""
    (directory / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    kinds = {"float32": "FP32", "float64": "FP64", "bool": "BOOL"}
    config = 'platform: "pytorch_libtorch" input [ { name: "x" data_type: TYPE_FP32 dims: 1 } ]'
    config += f"max_batch_size: {8 if batches else 0}"
    for name, array in outputs.items():
        dims = list(array.shape[1:] if batches else array.shape)
        kind = kinds.get(str(array.dtype), str(array.dtype).upper())
        config += f'\noutput [ {{ name: "{name}" data_type: TYPE_{kind} dims: {dims} label_filename: "labels.txt" }} ]'
    (directory / "config.pbtxt").write_text(config)
    model = SimpleNamespace(config=model_config.read(directory), version=3)
    request = service_pb2.ModelInferRequest(model_name="asked", id="r7")
    return build_infer_response(request, Inference((), 1, wanted, 0.0), tuple(outputs.values()), model)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory."""
    (tmp_path / "net").mkdir()
    return tmp_path / "net"


def _strings(response: Any, name: str = "Y") -> list[Any]:
    """The classes, as the client library decodes them."""
    return [[each.decode() for each in row] for row in np.atleast_2d(InferResult(response).as_numpy(name))]


def test_tensors_are_answered_raw(directory: Path) -> None:
    """The client library gets the arrays back, with the names of model and version and the request's id."""
    first = np.arange(6, dtype=np.float32).reshape(2, 3)
    second = np.array([[1], [-1]], np.int64)
    response = _respond(directory, {"Y": first, "Z": second}, [(0, 0), (1, 0)])
    assert (response.model_name, response.model_version, response.id) == ("net", "3", "r7")
    assert [output.name for output in response.outputs] == ["Y", "Z"]
    assert [output.datatype for output in response.outputs] == ["FP32", "INT64"]
    result = InferResult(response)
    np.testing.assert_array_equal(result.as_numpy("Y"), first)
    np.testing.assert_array_equal(result.as_numpy("Z"), second)
    assert not response.parameters


def test_only_what_was_asked_for_is_answered(directory: Path) -> None:
    """Raw contents belong to the outputs beside them."""
    outputs = {"Y": np.float32([[1]]), "Z": np.float32([[2]]), "W": np.float32([[3]])}
    response = _respond(directory, outputs, [(1, 0)])
    assert [output.name for output in response.outputs] == ["Z"]
    assert list(response.raw_output_contents) == [np.float32([2]).tobytes()]


@pytest.mark.parametrize(
    ("scores", "count", "expected"),
    [
        (np.float32([[0.1, 0.7, 0.2]]), 2, [["0.700000:1:dog", "0.200000:2:bird"]]),
        (np.float32([[0.1, 0.7, 0.2]]), 100, [["0.700000:1:dog", "0.200000:2:bird", "0.100000:0:cat"]]),
        (np.float32([[0.1, 0.7]]), (1 << 63) - 1, [["0.700000:1:dog", "0.100000:0:cat"]]),
        (np.float32([[0.25, 0.25, 0.25, 0.25]]), 3, [["0.250000:0:cat", "0.250000:1:dog", "0.250000:2:bird"]]),
        (np.float32([[0, 1, 0, 1, 2]]), 4, [["2.000000:4", "1.000000:1:dog", "1.000000:3", "0.000000:0:cat"]]),
        (np.float32([[-1, -3], [-4, -2]]), 1, [["-1.000000:0:cat"], ["-2.000000:1:dog"]]),
        (np.float64([[1e20, 0.1234567]]), 2, [["100000000000000000000.000000:0:cat", "0.123457:1:dog"]]),
        (np.array([[-4, 8]], np.int64), 2, [["8:1:dog", "-4:0:cat"]]),
        (np.array([[-(1 << 63), (1 << 63) - 1]], np.int64), 1, [["9223372036854775807:1:dog"]]),
        (np.array([[0, 255]], np.uint8), 2, [["255:1:dog", "0:0:cat"]]),
        (np.array([[0, (1 << 64) - 1]], np.uint64), 1, [["18446744073709551615:1:dog"]]),
        (np.array([[-128, 127]], np.int8), 2, [["127:1:dog", "-128:0:cat"]]),
        (np.float32([[[1, 2], [3, 0]]]), 2, [["3.000000:2:bird", "2.000000:1:dog"]]),  # dimensions are flattened
    ],
)  # fmt: skip
def test_classes_are_the_highest_scores(
    directory: Path, scores: NDArray[Any], count: int, expected: list[list[str]]
) -> None:
    """Each row's best classes come highest first, the first of equal ones first, with labels as far as there are."""
    response = _respond(directory, {"Y": scores}, [(0, count)])
    assert _strings(response) == expected
    assert response.outputs[0].datatype == "BYTES"
    assert list(response.outputs[0].shape) == [len(expected), len(expected[0])]


def test_classes_without_a_batch(directory: Path) -> None:
    """A model that does not batch has one row, and the shape says only how many classes."""
    response = _respond(directory, {"Y": np.float32([0.1, 0.7])}, [(0, 1)], batches=False)
    assert _strings(response) == [["0.700000:1:dog"]]
    assert list(response.outputs[0].shape) == [1]


def test_a_label_that_is_empty_is_none(directory: Path) -> None:
    """An empty line in the labels file leaves the class without a third field."""
    response = _respond(directory, {"Y": np.float32([[0.7, 0.1]])}, [(0, 1)], labels=("", "dog"))
    assert _strings(response) == [["0.700000:0"]]


def test_labels_are_utf8(directory: Path) -> None:
    """Labels of any language arrive as they are written."""
    response = _respond(directory, {"Y": np.float32([[0.7]])}, [(0, 1)], labels=("Käuzchen: 柴犬",))
    assert _strings(response) == [["0.700000:0:Käuzchen: 柴犬"]]


@pytest.mark.parametrize("batches", [True, False])
def test_no_scores_have_no_classes(directory: Path, *, batches: bool) -> None:
    """An output of no columns is answered with none."""
    scores = np.zeros((2, 0) if batches else (0,), np.float32)
    (directory / "config.pbtxt").write_text("")
    response = _respond_open(directory, scores, batches=batches)
    assert list(response.outputs[0].shape) == ([2, 0] if batches else [0])
    assert list(response.raw_output_contents) == [b""]


def _respond_open(directory: Path, scores: NDArray[Any], *, batches: bool) -> Any:
    config = 'platform: "pytorch_libtorch" input [ { name: "x" data_type: TYPE_FP32 dims: 1 } ]'
    config += f'max_batch_size: {8 if batches else 0} output [ {{ name: "Y" data_type: TYPE_FP32 dims: -1 }} ]'
    (directory / "config.pbtxt").write_text(config)
    model = SimpleNamespace(config=model_config.read(directory), version=1)
    inference = Inference((), 1, [(0, 5)], 0.0)
    return build_infer_response(service_pb2.ModelInferRequest(), inference, (scores,), model)


@given(
    st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=30).map(np.float32)
    | st.lists(st.integers(0, 3), min_size=1, max_size=30).map(np.uint8),
    st.integers(1, 40),
)
def test_top_classes_are_what_sorting_gives(scores: NDArray[Any], count: int) -> None:
    """The positions are those of a plain stable sort by falling score."""
    expected = sorted(range(len(scores)), key=lambda index: -float(scores[index]))[:count]
    assert top_classes(scores, count).tolist() == expected


def test_scores_that_are_no_numbers_break_nothing(directory: Path) -> None:
    """A model that went wrong is answered, and every class comes once."""
    response = _respond(directory, {"Y": np.float32([[math.nan, 1.0, -math.inf, math.inf]])}, [(0, 4)])
    [row] = _strings(response)
    assert sorted(string.split(":")[1] for string in row) == ["0", "1", "2", "3"]
