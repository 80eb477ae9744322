"""A module's arguments and results, and the inputs and outputs of config.pbtxt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from server.engine import EngineError
from server.errors import ModelFailed
from server.tensor_types import BYTES, DATATYPES
from tests.server.torchscript_engine import (
    ONE,
    OUT,
    Identity,
    Weighted,
    make_instance,
    make_model,
    payload,
    run,
    tensors,
)

if TYPE_CHECKING:
    from pathlib import Path


class Subtract(nn.Module):
    """Tells its arguments apart."""

    def forward(self, minuend: Tensor, subtrahend: Tensor) -> Tensor:
        """The difference."""
        return minuend - subtrahend


class Both(nn.Module):
    """Two outputs that can be told apart."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The input, plus one and plus two."""
        return x + 1, x + 2


class Listed(nn.Module):
    """Two outputs in a list."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """The input, plus one and plus two."""
        return [x + 1, x + 2]


class Named(nn.Module):
    """An output in a dictionary."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The input under a name."""
        return {"OUTPUT__0": x}


class Counted(nn.Module):
    """An output that is no tensor."""

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        """The input and its rows."""
        return x, x.shape[0]


class Nothing(nn.Module):
    """No output at all."""

    def forward(self, x: Tensor) -> None:
        """Nothing."""


class Cut(nn.Module):
    """As many columns as the first number of the input says."""

    def forward(self, x: Tensor) -> Tensor:
        """A part of the input, plus one."""
        return x[:, : int(x[0, 0])] + 1


class FewerRows(nn.Module):
    """Loses a row."""

    def forward(self, x: Tensor) -> Tensor:
        """All rows but the first, plus one."""
        return x[1:] + 1


class Without(nn.Module):
    """A module without `forward`."""

    @torch.jit.export
    def other(self, x: Tensor) -> Tensor:
        """Something else."""
        return x


@pytest.mark.parametrize(
    ("names", "difference"),
    [
        (("subtrahend", "minuend"), 4),  # by argument name, whatever the order in the file
        (("minuend", "subtrahend"), -4),
        (("INPUT__1", "INPUT__0"), 4),  # by index
        (("a__0", "b__1"), -4),
        (("second", "first"), -4),  # by order
        (("INPUT__1", "minuend"), -4),
        (("INPUT__1", "INPUT__2"), -4),
        (("a__b__1", "a__b__0"), -4),  # what follows the first underscores is no number
    ],
)
def test_inputs_find_their_arguments(tmp_path: Path, names: tuple[str, str], difference: float) -> None:
    """An input is an argument by its name, else by the index in the name, else by its place in the file."""
    config = tensors("input", (names[0], "FP32", [1]), (names[1], "FP32", [1])) + OUT
    instance = make_instance(tmp_path, Subtract(), "max_batch_size: 2\n" + config)
    [(result,)] = run(instance, payload(np.float32([1]), np.float32([5])))
    assert result.tolist() == [[difference]]


@pytest.mark.parametrize("module", [Both(), Listed()])
@pytest.mark.parametrize(
    ("names", "values"),
    [(("OUTPUT__1", "OUTPUT__0"), (2, 1)), (("OUTPUT__0", "OUTPUT__1"), (1, 2)), (("b", "a"), (1, 2))],
)
def test_outputs_find_their_results(
    tmp_path: Path, module: nn.Module, names: tuple[str, str], values: tuple[float, float]
) -> None:
    """An output is a result by the index in its name, else by its place; results are in the file's order."""
    config = tensors("input", ("INPUT__0", "FP32", [1]))
    config += tensors("output", (names[0], "FP32", [1]), (names[1], "FP32", [1]))
    [(first, second)] = run(make_instance(tmp_path, module, "max_batch_size: 2\n" + config), payload(np.float32([0])))
    assert (first.item(), second.item()) == values


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != BYTES])  # torch has no tensors of texts
@pytest.mark.parametrize("batch", ["max_batch_size: 3\n", ""])
def test_every_type_passes_unchanged(tmp_path: Path, datatype: str, batch: str) -> None:
    """The bytes of every data type reach the module and come back as they were."""
    dtype = DATATYPES[datatype]
    data = bytes([0, 1] * 4) if datatype == "BOOL" else bytes(range(1, 1 + 4 * dtype.itemsize))
    config = tensors("input", ("x", datatype, [4])) + tensors("output", ("y", datatype, [4]))
    [(result,)] = run(make_instance(tmp_path, Identity(), batch + config), (data[: 4 * dtype.itemsize],))
    assert result.tobytes() == data[: 4 * dtype.itemsize]
    assert result.dtype == dtype
    assert result.shape == ((1, 4) if batch else (4,))


def test_a_dimension_may_be_open(tmp_path: Path) -> None:
    """An output dimension of -1 takes whatever the module gives, nothing included."""
    config = "max_batch_size: 2\n" + tensors("input", ("x", "FP32", [3])) + tensors("output", ("y", "FP32", [-1]))
    instance = make_instance(tmp_path, Cut(), config)
    for columns in (3, 1, 0):
        [(result,)] = run(instance, payload(np.float32([columns, 0, 0])))
        assert result.shape == (1, columns)


@pytest.mark.parametrize(
    ("module", "outputs", "message"),
    [
        (Weighted(), [("y", "FP64", [2])], "output y of the model has type torch.float32, config.pbtxt says FP64"),
        (Weighted(), [("y", "FP32", [3])], "output y of the model has shape [1, 2], expected [1, 3]"),
        (Weighted(), [("y", "FP32", [2, 1])], "output y of the model has shape [1, 2], expected [1, 2, 1]"),
        (Weighted(), [("y", "FP32", [-1, -1])], "output y of the model has shape [1, 2], expected [1, -1, -1]"),
        (FewerRows(), [("y", "FP32", [2])], "output y of the model has shape [0, 2], expected [1, 2]"),
        (Weighted(), [("y", "FP32", [2]), ("z", "FP32", [2])], "the model gave 1 outputs instead of 2"),
        (Both(), [("y", "FP32", [2])], "the model gave 2 outputs instead of 1"),
        (Counted(), [("y", "FP32", [2]), ("z", "INT64", [1])], "output z of the model is no tensor"),
        (Named(), [("y", "FP32", [2])], "the model gave a dict instead of tensors"),
        (Nothing(), [("y", "FP32", [2])], "the model gave a NoneType instead of tensors"),
    ],
)
def test_outputs_other_than_configured_are_a_failure(
    tmp_path: Path, module: nn.Module, outputs: list[tuple[str, str, list[int]]], message: str
) -> None:
    """Nobody gets a tensor that is not what the configuration promises; warm-up finds that out."""
    config = "max_batch_size: 2\n" + tensors("input", ("x", "FP32", [2])) + tensors("output", *outputs)
    instance = make_instance(tmp_path, module, config)
    with pytest.raises(ModelFailed) as raised:
        instance.warm_up(1)
    assert str(raised.value) == message


def test_a_module_must_take_the_inputs_of_its_configuration(tmp_path: Path) -> None:
    """Another number of inputs, or no `forward` at all, is found out before anything is served."""
    with pytest.raises(EngineError, match=r"the module takes 2 inputs, config\.pbtxt has 1"):
        make_model(tmp_path, Subtract(), ONE)
    with pytest.raises(EngineError, match="the module has no method forward"):
        make_model(tmp_path, Without(), ONE)
