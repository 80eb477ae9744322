from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from server import model_config
from server.model_warmup import Sample, WarmUpError, read_samples
from tests.server.models import ROW, open_repository, write_model
from tests.server.workshop import HANGING_SECONDS
from tests.torchscript_models import Worker

if TYPE_CHECKING:
    from pathlib import Path

TWO_INPUTS = """
    backend: "python"  max_batch_size: 4
    input [ { name: "text" data_type: TYPE_STRING dims: [ 2 ] }, { name: "flags" data_type: TYPE_BOOL dims: [ -1 ] } ]
    output [ { name: "out" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""


def _input(key: str = "INPUT__0", facts: str = "TYPE_INT64 dims: [ 2 ]", data: str = "zero_data: true") -> str:
    return f'inputs {{ key: "{key}" value {{ data_type: {facts} {data} }} }}'


def _read(directory: Path, entries: str, config: str = ROW) -> list[Sample]:
    model = directory / "net"
    model.mkdir(exist_ok=True)
    (model / "config.pbtxt").write_text(config + entries)
    return read_samples(model_config.read(model), model)


def _warm_up(*inputs: str, batch_size: int = 1, more: str = "") -> str:
    return f'model_warmup {{ name: "w" batch_size: {batch_size} {more} {" ".join(inputs)} }}'


def test_each_entry_is_a_sample(tmp_path: Path) -> None:
    """Their order is that of the file; a batch size of 0 is skipped, and a count of 0 is one."""
    entries = _warm_up(_input(), batch_size=3) + _warm_up(_input(), batch_size=0) + _warm_up(_input(), more="count: 5")
    samples = _read(tmp_path, entries)
    assert [(sample.index, sample.rows, sample.count) for sample in samples] == [(0, 3, 1), (2, 1, 5)]


def test_data_are_zeros_or_random_or_a_files(tmp_path: Path) -> None:
    """A file may be longer than a row; a row has a batch dimension where the model batches."""
    (tmp_path / "net" / "warmup").mkdir(parents=True)
    (tmp_path / "net" / "warmup" / "row").write_bytes(struct.pack("<qqq", 1, 2, 3))
    data = ["zero_data: true", "random_data: true", 'input_data_file: "row"']
    zeros, noise, file = (s.tensors[0] for s in _read(tmp_path, "".join(_warm_up(_input(data=d)) for d in data)))
    assert zeros.tolist() == [[0, 0]]
    assert noise.shape == (1, 2)
    assert np.unique(noise).size == 2
    assert file.tolist() == [[1, 2]]


def test_several_inputs_come_in_the_order_of_the_configuration(tmp_path: Path) -> None:
    """Texts are told from a file by their lengths, and are empty otherwise; dims of any size are those of the entry."""
    (tmp_path / "net" / "warmup").mkdir(parents=True)
    (tmp_path / "net" / "warmup" / "text").write_bytes(struct.pack("<I2sI", 2, b"ab", 0))
    flags = _input("flags", "TYPE_BOOL dims: [ 3 ]")
    for data, expected in (('input_data_file: "text"', [b"ab", b""]), ("random_data: true", [b"", b""])):
        entry = _warm_up(flags, _input("text", "TYPE_STRING dims: [ 2 ]", data))
        [sample] = _read(tmp_path, entry, TWO_INPUTS)
        assert [tensor.tolist() for tensor in sample.tensors] == [[expected], [[False] * 3]]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (_warm_up(_input(), batch_size=5), "batch_size 5, which is above max_batch_size"),
        (_warm_up(), "model_warmup has no input INPUT__0"),
        (_warm_up(_input("OTHER")), "model_warmup has no input INPUT__0"),
        (_warm_up(_input(facts="TYPE_FP32 dims: [ 2 ]")), 'input "INPUT__0" has TYPE_INT64'),
        (_warm_up(_input(facts="TYPE_INT64 dims: [ 3 ]")), r'input "INPUT__0" has dims \[2\]'),
        (_warm_up(_input(facts="TYPE_INT64 dims: [ -1 ]")), "needs dims that are all given"),
        (_warm_up(_input(data="")), "needs zero_data, random_data or input_data_file"),
        (_warm_up(_input(data='input_data_file: "none"')), 'needs a file "warmup/none": there is no such file'),
        (_warm_up(_input(data='input_data_file: "short"')), 'needs 16 bytes, "warmup/short" has 15'),
        (_warm_up(_input(data='input_data_file: "."')), 'needs a file "warmup/.": there is no such file'),
    ],
)
def test_what_is_no_request_of_the_model_is_told(tmp_path: Path, entry: str, text: str) -> None:
    """With the position of the entry."""
    (tmp_path / "net" / "warmup").mkdir(parents=True)
    (tmp_path / "net" / "warmup" / "short").write_bytes(bytes(15))
    with pytest.raises(WarmUpError, match=text) as raised:
        _read(tmp_path, _warm_up(_input()) + entry)
    assert raised.value.index == 1


def test_an_input_that_the_model_has_not_is_passed_over(tmp_path: Path) -> None:
    """As Triton does."""
    [sample] = _read(tmp_path, _warm_up(_input(), _input("OTHER")))
    assert len(sample.tensors) == 1


def test_a_model_that_fails_on_a_sample_does_not_load(tmp_path: Path) -> None:
    """What the model says is told, and the model serves once the sample is good."""
    (tmp_path / "net" / "warmup").mkdir(parents=True)
    poison = tmp_path / "net" / "warmup" / "poison"
    poison.write_bytes(struct.pack("<qq", 1, -1))
    write_model(tmp_path / "net", Worker(), ROW + _warm_up(_input(data='input_data_file: "poison"'), batch_size=2))
    repository = open_repository(tmp_path)
    repository.load_all(["net"], lambda: False)
    [entry] = repository.index()
    assert entry.reason == "failed to run warmup sample 'w': builtins.ValueError: poison"
    poison.write_bytes(struct.pack("<qq", 1, 0))
    repository.load("net")
    assert [version.config.name for version in repository.ready()] == ["net"]
    assert repository.close(HANGING_SECONDS)
