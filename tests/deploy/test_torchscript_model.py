from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import torch

from deploy.triton.backends.pytorch.torchscript_model import (
    ModelError,
    TorchScriptModel,
    in_argument_order,
    intra_op_threads,
)
from server.engine import _positions
from server.tensor_types import TensorSpec
from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path

# Triton's PyTorch models are TorchScript, deprecated or not.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.load.* is deprecated:DeprecationWarning")


class SumAndCount(torch.nn.Module):
    """Two inputs, two outputs; rows are independent, but for the number of them."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add up; count the rows of the batch."""
        if bool((first < 0).any()):
            raise ValueError("negative")
        return first + second, torch.full([len(first), 1], len(first))


def config_of(**changes: Any) -> dict[str, Any]:
    """The configuration of SumAndCount, as Triton hands it to a backend."""
    floats = {"data_type": "TYPE_FP32", "dims": [2]}
    return {
        "input": [{"name": "INPUT__1", **floats}, {"name": "INPUT__0", **floats}],
        "output": [{"name": "OUTPUT__0", **floats}, {"name": "OUTPUT__1", "data_type": "TYPE_INT64", "dims": [1]}],
        "instance_group": [{"count": 1}],
        "default_model_filename": "model.pt",
        "parameters": {"INTRA_OP_THREAD_COUNT": {"string_value": "1"}},
        **changes,
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A version directory with SumAndCount in it."""
    save_module(SumAndCount(), tmp_path / "model.pt")
    return tmp_path


def rows(*values: float) -> torch.Tensor:
    """[N, 2], each value twice."""
    return torch.tensor([[value, value] for value in values], dtype=torch.float32)


def test_inputs_are_ordered_by_their_index(directory: Path) -> None:
    """The order of arguments is that of the names' indices, not of the file."""
    assert TorchScriptModel(config_of(), directory).input_names == ["INPUT__0", "INPUT__1"]


@pytest.mark.parametrize(
    ("names", "arguments", "ordered"),
    [
        (["b__1", "a__0"], ["x", "y"], ["a__0", "b__1"]),
        (["b__01", "a__0"], ["x", "y"], ["a__0", "b__01"]),
        (["b__1", "a__0"], [], ["a__0", "b__1"]),  # results have no names
        (["y", "x"], ["x", "y"], ["x", "y"]),
        (["y__0", "x__1"], ["x__1", "y__0"], ["x__1", "y__0"]),  # names count more than indices
        (["y", "z"], ["x", "y"], ["y", "z"]),
        (["b", "a__0"], ["x", "y"], ["b", "a__0"]),
        (["b__x", "a__0"], ["x", "y"], ["b__x", "a__0"]),
        (["b__10", "a__9"], ["x", "y"], ["b__10", "a__9"]),  # no 0 and 1
        (["b__1", "a__1"], ["x", "y"], ["b__1", "a__1"]),
        (["a__b__1", "a__b__0"], ["x", "y"], ["a__b__1", "a__b__0"]),  # no index after the first underscores
    ],
)
def test_both_servers_order_tensors_by_one_rule(names: list[str], arguments: list[str], ordered: list[str]) -> None:
    """By the arguments' names, else by indices that are complete, else in the order of the file."""
    assert in_argument_order(names, arguments) == ordered
    positions = _positions([TensorSpec(name, "FP32", (2,)) for name in names], arguments)
    assert [name for _, name in sorted(zip(positions, names, strict=True))] == ordered


def test_inputs_with_the_names_of_arguments_are_in_their_order(directory: Path) -> None:
    """The module's own names are asked for, whatever the order of the file."""
    tensors = [{"name": name, "data_type": "TYPE_FP32", "dims": [2]} for name in ("second", "first")]
    assert TorchScriptModel(config_of(input=tensors), directory).input_names == ["first", "second"]


def test_requests_run_as_one_batch_and_get_their_own_rows(directory: Path) -> None:
    """Each request gets the rows that it brought, from one forward pass over all."""
    model = TorchScriptModel(config_of(), directory)
    answers = model.forward([[rows(1, 2), rows(10, 20)], [rows(3), rows(30)]])
    assert [answer[0].tolist() for answer in answers] == [[[11, 11], [22, 22]], [[33, 33]]]
    assert [answer[1].tolist() for answer in answers] == [[[3], [3]], [[3]]]


def test_a_failing_module_is_a_model_error(directory: Path) -> None:
    """What the module raises is told in one ModelError."""
    model = TorchScriptModel(config_of(), directory)
    with pytest.raises(ModelError, match="negative"):
        model.forward([[rows(-1), rows(1)]])


def test_requests_that_do_not_fit_together_are_a_model_error(directory: Path) -> None:
    """A request of another shape cannot end the process."""
    model = TorchScriptModel(config_of(), directory)
    with pytest.raises(ModelError, match="do not fit into one batch"):
        model.forward([[rows(1), rows(1)], [torch.ones(3), torch.ones(3)]])


def test_outputs_of_another_type_are_a_model_error(directory: Path) -> None:
    """The types of config.pbtxt are checked against what the module returns."""
    output = [{"name": f"OUTPUT__{index}", "data_type": "TYPE_FP64", "dims": [2]} for index in range(2)]
    model = TorchScriptModel(config_of(output=output), directory)
    with pytest.raises(ModelError, match=r"float32 for inference output 'OUTPUT__0', expecting torch\.float64"):
        model.forward([[rows(1), rows(1)]])


def test_outputs_that_are_missing_are_a_model_error(directory: Path) -> None:
    """A module with fewer outputs than config.pbtxt names is told of."""
    output = [{"name": f"OUTPUT__{index}", "data_type": "TYPE_FP32", "dims": [2]} for index in range(3)]
    model = TorchScriptModel(config_of(output=output), directory)
    with pytest.raises(ModelError, match="returned 2 outputs, expected 3"):
        model.forward([[rows(1), rows(1)]])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"input": []}, "must name the model's inputs"),
        ({"input": [{"name": "INPUT__0", "data_type": "TYPE_STRING", "dims": [1]}]}, "no counterpart of TYPE_STRING"),
        ({"default_model_filename": "absent.pt"}, "failed to load absent.pt"),
        ({"default_model_filename": "broken.pt"}, "failed to load broken.pt"),
    ],
)
def test_what_cannot_be_served_does_not_load(directory: Path, changes: dict[str, Any], reason: str) -> None:
    """A model is refused when it is loaded, with the reason, rather than at its first request."""
    (directory / "broken.pt").write_bytes(b"no TorchScript")
    with pytest.raises(ModelError, match=reason):
        TorchScriptModel(config_of(**changes), directory)


def test_threads_are_configured_or_an_equal_share_of_the_cores() -> None:
    """INTRA_OP_THREAD_COUNT decides; without it, instances share the cores, and each has one at least."""
    cores = len(os.sched_getaffinity(0))
    groups = [{"count": 1}, {"count": cores}]
    assert intra_op_threads(config_of(parameters={"INTRA_OP_THREAD_COUNT": {"string_value": "3"}})) == 3
    assert intra_op_threads(config_of(parameters={})) == cores
    assert intra_op_threads(config_of(parameters={}, instance_group=groups)) == 1
