"""Checkpoint, exported module and server get the same numbers, and what cannot be measured is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from client.command_line import main as client
from modeling.checkpoint import save_checkpoint
from modeling.command import INTERRUPTED
from modeling.evaluate import main
from modeling.export import Destination, export_model
from modeling.export import main as export
from modeling.facts import ModelFacts
from modeling.model_config import Serving
from modeling.servable import InputForm
from modeling.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import nn

    from tests.serving import ServerProcess


@pytest.fixture
def checkpoint(tmp_path: Path, facts: ModelFacts, trained: Callable[[ModelFacts], nn.Module]) -> Path:
    """A file of weights that tell the colours apart more or less."""
    save_checkpoint(tmp_path / "tiny.safetensors", trained(facts).state_dict(), facts)
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def exported(tmp_path: Path, checkpoint: Path) -> Path:
    """A model repository with the same as `tiny`."""
    destination = Destination(tmp_path / "repository", "tiny")
    export_model(*load_weights(str(checkpoint)), destination, Serving(InputForm.UINT8, max_batch_size=2))
    return destination.repository


def test_server_and_module_agree(
    coloured_folder: Path,
    packed_file: Path,
    exported: Path,
    start_server: Callable[..., AbstractContextManager[ServerProcess]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same images give the same numbers from the exported file and from the server that serves it."""
    with start_server(exported) as server:
        for data in (str(coloured_folder), str(packed_file)):
            assert main([str(exported / "tiny" / "1" / "model.pt"), "--data", data, "--json"]) == 0
            of_module = json.loads(capsys.readouterr().out)
            assert client(["evaluate", data, "--url", server.grpc_address, "--json"], {}) == 0
            of_server = json.loads(capsys.readouterr().out)

            assert of_module.keys() == of_server.keys()
            for name in ("images", "failed", "top_1", "top_5", "classes", "confusion_matrix", "failures"):
                assert of_module[name] == of_server[name], name
            assert 0 < of_module["ece"] < 1
            assert of_module["ece"] == pytest.approx(of_server["ece"], abs=1e-5)


def test_module_and_weights_agree(
    coloured_folder: Path, checkpoint: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint is evaluated as what is exported from it; people read the same as programs."""
    texts = []
    for model in (checkpoint, exported / "tiny" / "1" / "model.pt"):
        assert main([str(model), "--data", str(coloured_folder), "--batch-size", "5"]) == 0
        texts.append(capsys.readouterr().out.splitlines())
    weights, module = texts

    assert weights[0] == f"{checkpoint}, {coloured_folder}"
    assert weights[1] == "images      36, none failed"
    assert weights[7].split() == ["class", "images", "right", "0", "1", "2"]
    assert [*weights[1:4], *weights[5:]] == [*module[1:4], *module[5:]]  # all but the throughput


def test_interruption(coloured_folder: Path, tmp_path: Path) -> None:
    """Ctrl-C ends the evaluation with one line."""
    for name in ("airplane", "bird"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").symlink_to(coloured_folder / "red" / "0.png")
    pipe = tmp_path / "bird" / "1.png"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "modeling.evaluate", "bundled", "--data", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with pipe.open("wb"):  # which waits until the command reads it
            process.send_signal(signal.SIGINT)
        output = process.communicate()

    assert (process.returncode, *output) == (INTERRUPTED, "", "python -m modeling.evaluate: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.safetensors"], "absent.safetensors"),
        (["absent.pt"], "absent.pt"),
        (["bundled"], "which the model does not know"),
        (["bundled", "--labels", "absent.txt"], "absent.txt"),
        (["bundled", "--size", "20"], "which the model does not know"),
    ],
)
def test_refusals(
    coloured_folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """What cannot be measured ends in exit code 2 and one line that says why."""
    assert main([*arguments, "--data", str(coloured_folder)]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_foreign_module(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TorchScript that is no exported module is refused."""
    torch.jit.save(torch.jit.script(torch.nn.Identity()), tmp_path / "model.pt")  # type: ignore[no-untyped-call]

    assert main([str(tmp_path / "model.pt"), "--data", str(coloured_folder)]) == 2
    assert "was not written by this exporter" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("facts", "form"), [(b"\xff", b"uint8"), (b"{}", b"uint8"), (None, b"float64"), (b"[]", b"uint8")]
)
def test_module_with_other_facts(
    coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], facts: bytes | None, form: bytes
) -> None:
    """TorchScript that says something unusable of itself is refused in one line."""
    known = facts or ModelFacts(("a", "b"), 32).to_json().encode()
    module = torch.jit.script(torch.nn.Identity())  # type: ignore[no-untyped-call]
    contents = {"coordserve.json": known, "coordserve.input": form}
    torch.jit.save(module, tmp_path / "model.pt", contents)  # type: ignore[no-untyped-call]

    assert main([str(tmp_path / "model.pt"), "--data", str(coloured_folder)]) == 2
    error = capsys.readouterr().err
    assert "cannot be used" in error
    assert error.count("\n") == 1


def test_weights_named_like_a_module(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in a file decides whether it is read as weights, not its name."""
    torch.save({"epoch": 3}, tmp_path / "model.pt")

    assert main([str(tmp_path / "model.pt"), "--data", str(coloured_folder)]) == 2
    assert "holds no state dict" in capsys.readouterr().err


def test_another_size(
    coloured_folder: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights are evaluated at the size that is asked for, as what is exported at that size; a module has its own."""
    ece = []
    size = ["--size", "40"]
    assert export(["--weights", str(checkpoint), *size, "--model-repository", str(tmp_path / "larger")]) == 0
    module = str(tmp_path / "larger" / "tiny" / "1" / "model.pt")
    for arguments in ([str(checkpoint)], [str(checkpoint), *size], [module]):
        capsys.readouterr()
        assert main([*arguments, "--data", str(coloured_folder), "--json"]) == 0
        ece.append(json.loads(capsys.readouterr().out)["ece"])

    assert abs(ece[1] - ece[2]) < abs(ece[0] - ece[2]) / 2
    assert main([module, *size, "--data", str(coloured_folder)]) == 2
    assert "--labels and --size are for weights; an exported model knows its own\n" in capsys.readouterr().err
