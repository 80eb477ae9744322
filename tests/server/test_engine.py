from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from server import model_config
from server.engine import EngineError, TorchScriptInstance, TorchScriptModel
from server.errors import ModelFailed
from server.tensor_types import BYTES, DATATYPES
from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from server.engine import Result


def _model(directory: Path, module: nn.Module | None, config: str) -> TorchScriptModel:
    path = directory / "model.pt"
    if module is not None:
        save_module(module, path)
    (directory / "config.pbtxt").write_text('platform: "pytorch_libtorch"\n' + config)
    return TorchScriptModel(path, model_config.read(directory))


def _instance(directory: Path, module: nn.Module, config: str) -> TorchScriptInstance:
    instance = TorchScriptInstance(_model(directory, module, config), torch.get_num_threads())
    instance.open()
    return instance


def _tensors(role: str, *tensors: tuple[str, str, list[int]]) -> str:
    return "".join(
        f'{role} [ {{ name: "{name}" data_type: TYPE_{kind} dims: {dims} }} ]\n' for name, kind, dims in tensors
    )


def _bytes(*arrays: Any) -> tuple[bytes, ...]:
    return tuple(np.asarray(array).tobytes() for array in arrays)


def _run(
    instance: TorchScriptInstance, *payloads: tuple[bytes | memoryview, ...], rows: list[int] | None = None
) -> list[Result]:
    return list(instance.run(payloads, rows or [1] * len(payloads)).results)


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


class Identity(nn.Module):
    """Gives back the very memory that it gets."""

    def forward(self, x: Tensor) -> Tensor:
        """The input itself."""
        return x


class Keeping(nn.Module):
    """Gives its answers in memory that it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("answer", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """The input, in the buffer."""
        return self.answer.copy_(x)


class FirstColumn(nn.Module):
    """Gives back a part of the memory that it gets."""

    def forward(self, x: Tensor) -> Tensor:
        """A view of the input."""
        return x[:, :1]


class Transpose(nn.Module):
    """An output that is not contiguous, in memory of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """The input with rows and columns exchanged, doubled."""
        return (x * 2).transpose(1, 2)


class Weighted(nn.Module):
    """A module with a parameter, which would make outputs ask for gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        """The input times the weight."""
        return x * self.weight


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


class Picky(nn.Module):
    """Raises for some inputs."""

    def forward(self, x: Tensor) -> Tensor:
        """The input plus one, if it is not negative."""
        if bool((x < 0).any()):
            raise ValueError("negative")
        return x + 1


_ONE = _tensors("input", ("INPUT__0", "FP32", [2])) + _tensors("output", ("OUTPUT__0", "FP32", [2]))
_OUT = _tensors("output", ("OUTPUT__0", "FP32", [1]))


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
    config = _tensors("input", (names[0], "FP32", [1]), (names[1], "FP32", [1])) + _OUT
    instance = _instance(tmp_path, Subtract(), "max_batch_size: 2\n" + config)
    [(result,)] = _run(instance, _bytes(np.float32([1]), np.float32([5])))
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
    config = _tensors("input", ("INPUT__0", "FP32", [1]))
    config += _tensors("output", (names[0], "FP32", [1]), (names[1], "FP32", [1]))
    [(first, second)] = _run(_instance(tmp_path, module, "max_batch_size: 2\n" + config), _bytes(np.float32([0])))
    assert (first.item(), second.item()) == values


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != BYTES])  # torch has no tensors of texts
@pytest.mark.parametrize("batch", ["max_batch_size: 3\n", ""])
def test_every_type_passes_unchanged(tmp_path: Path, datatype: str, batch: str) -> None:
    """The bytes of every data type reach the module and come back as they were."""
    dtype = DATATYPES[datatype]
    data = bytes([0, 1] * 4) if datatype == "BOOL" else bytes(range(1, 1 + 4 * dtype.itemsize))
    config = _tensors("input", ("x", datatype, [4])) + _tensors("output", ("y", datatype, [4]))
    [(result,)] = _run(_instance(tmp_path, Identity(), batch + config), (data[: 4 * dtype.itemsize],))
    assert result.tobytes() == data[: 4 * dtype.itemsize]
    assert result.dtype == dtype
    assert result.shape == ((1, 4) if batch else (4,))


def test_rows_of_a_batch_belong_to_their_requests(tmp_path: Path) -> None:
    """Requests of several rows are laid one after the other, and each gets its rows back."""
    instance = _instance(tmp_path, Weighted(), "max_batch_size: 6\n" + _ONE)
    arrays = [np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) + 10 * rows for rows in (1, 3, 2)]
    results = _run(instance, *map(_bytes, arrays), rows=[1, 3, 2])
    for array, (result,) in zip(arrays, results, strict=True):
        np.testing.assert_array_equal(result, array * 3)


def test_a_small_batch_sees_nothing_of_the_large_one_before(tmp_path: Path) -> None:
    """The module gets exactly the rows of its batch."""
    instance = _instance(tmp_path, Weighted(), "max_batch_size: 4\n" + _ONE)
    _run(instance, _bytes(np.full((4, 2), 7, np.float32)), rows=[4])
    [(result,)] = _run(instance, _bytes(np.float32([[1, 2]])))
    assert result.tolist() == [[3, 6]]


@pytest.mark.parametrize(
    ("module", "config", "expected"),
    [
        (Identity(), "max_batch_size: 2\n" + _ONE, [[1, 2]]),
        (Identity(), _ONE, [1, 2]),
        (FirstColumn(), "max_batch_size: 2\n" + _tensors("input", ("x", "FP32", [2])) + _OUT, [[1]]),
        (Keeping(), _ONE, [1, 2]),
    ],
)
def test_the_next_batch_does_not_overwrite_an_answer(
    tmp_path: Path, module: nn.Module, config: str, expected: list[Any]
) -> None:
    """A module may give back its own input, which the instance uses again, or a buffer that it writes to again."""
    instance = _instance(tmp_path, module, config)
    [(first,)] = _run(instance, _bytes(np.float32([1, 2])))
    _run(instance, _bytes(np.float32([8, 9])))
    assert first.tolist() == expected


def test_outputs_are_row_major(tmp_path: Path) -> None:
    """An output whose memory has another order arrives in the protocol's."""
    config = _tensors("input", ("x", "FP32", [2, 3])) + _tensors("output", ("y", "FP32", [3, 2]))
    instance = _instance(tmp_path, Transpose(), "max_batch_size: 2\n" + config)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    [(result,)] = _run(instance, _bytes(array))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result[0], array.T * 2)


def test_views_of_a_message_are_taken(tmp_path: Path) -> None:
    """A payload may be a part of a larger, read-only buffer."""
    message = b"header" + _bytes(np.float32([1, 2]))[0] + b"trailer"
    instance = _instance(tmp_path, Weighted(), "max_batch_size: 2\n" + _ONE)
    [(result,)] = _run(instance, (memoryview(message)[6:14],))
    assert result.tolist() == [[3, 6]]


def test_instances_share_nothing_that_a_batch_writes(tmp_path: Path) -> None:
    """Two instances of one module that run at the same time do not see each other's inputs."""
    model = _model(tmp_path, Weighted(), "max_batch_size: 1\n" + _ONE)
    instances = [TorchScriptInstance(model, 1) for _ in range(4)]

    def work(number: int) -> list[NDArray[Any]]:
        instances[number].open()
        return [_run(instances[number], _bytes(np.full(2, number, np.float32)))[0][0] for _ in range(50)]

    with ThreadPoolExecutor(len(instances)) as threads:
        for number, results in enumerate(threads.map(work, range(4))):
            np.testing.assert_array_equal(np.concatenate(results), np.full((50, 2), 3 * number))


def test_an_instance_binds_its_threads_share_of_the_cores(tmp_path: Path) -> None:
    """The number of cores for one operation is set in the thread that will run the batches."""
    model = _model(tmp_path, Weighted(), _ONE)

    def threads_after_open(threads: int) -> int:
        TorchScriptInstance(model, threads).open()
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(threads_after_open, 1).result() == 1


def test_a_dimension_may_be_open(tmp_path: Path) -> None:
    """An output dimension of -1 takes whatever the module gives, nothing included."""
    config = "max_batch_size: 2\n" + _tensors("input", ("x", "FP32", [3])) + _tensors("output", ("y", "FP32", [-1]))
    instance = _instance(tmp_path, Cut(), config)
    for columns in (3, 1, 0):
        [(result,)] = _run(instance, _bytes(np.float32([columns, 0, 0])))
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
    config = "max_batch_size: 2\n" + _tensors("input", ("x", "FP32", [2])) + _tensors("output", *outputs)
    instance = _instance(tmp_path, module, config)
    with pytest.raises(ModelFailed) as raised:
        instance.warm_up(1)
    assert str(raised.value) == message


def test_what_the_module_raises_comes_out(tmp_path: Path) -> None:
    """An instance survives a module that raises, and the next batch is right."""
    instance = _instance(tmp_path, Picky(), "max_batch_size: 2\n" + _ONE)
    with pytest.raises(torch.jit.Error, match="negative"):
        _run(instance, _bytes(np.float32([-1, 1])))
    [(result,)] = _run(instance, _bytes(np.float32([1, 2])))
    assert result.tolist() == [[2, 3]]


def test_times_are_in_order(tmp_path: Path) -> None:
    """An execution tells when its three parts ended."""
    times = _instance(tmp_path, Weighted(), _ONE).run([_bytes(np.float32([1, 2]))], [1])
    instants = [times.started_ns, times.input_ready_ns, times.computed_ns, times.finished_ns]
    assert instants == sorted(instants)


class Without(nn.Module):
    """A module without `forward`."""

    @torch.jit.export
    def other(self, x: Tensor) -> Tensor:
        """Something else."""
        return x


def test_a_module_must_take_the_inputs_of_its_configuration(tmp_path: Path) -> None:
    """Another number of inputs, or no `forward` at all, is found out before anything is served."""
    with pytest.raises(EngineError, match=r"the module takes 2 inputs, config\.pbtxt has 1"):
        _model(tmp_path, Subtract(), _ONE)
    with pytest.raises(EngineError, match="the module has no method forward"):
        _model(tmp_path, Without(), _ONE)


def _archive(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"PK\x03\x04", _archive(), _archive(version=b"3"), b"\x80\x02}q\x00.", b"\0" * 4096],
    ids=["empty", "text", "signature", "empty archive", "no code", "pickle", "zeros"],
)
def test_a_file_that_is_no_module_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, the operator gets one line that names it."""
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(EngineError, match=r"^model\.pt is no TorchScript module that can be loaded$"):
        _model(tmp_path, None, _ONE)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_module_is_refused(tmp_path: Path, part: float) -> None:
    """A file whose copying was interrupted is refused."""
    path = tmp_path / "model.pt"
    save_module(Weighted(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(EngineError):
        _model(tmp_path, None, _ONE)


def test_a_file_that_is_missing_is_told_as_such(tmp_path: Path) -> None:
    """It is not taken for a broken one: models are often exported after the rest was copied."""
    with pytest.raises(EngineError, match=r"^model\.pt is missing$"):
        _model(tmp_path, None, _ONE)


@pytest.mark.parametrize("name", ["missing.pt", ".", r"nul\000.pt", "n" * 300])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    """A file name of the configuration that leads nowhere is the operator's to mend."""
    (tmp_path / "config.pbtxt").write_text(f'platform: "pytorch_libtorch" default_model_filename: "{name}"\n' + _ONE)
    config = model_config.read(tmp_path)
    with pytest.raises(EngineError):
        TorchScriptModel(tmp_path / config.model_file, config)
