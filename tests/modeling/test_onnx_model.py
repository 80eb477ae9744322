"""An exported ONNX model is what Triton needs, and this server tells that it is for another."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from modeling.checkpoint import save_checkpoint
from modeling.evaluate import main as evaluate
from modeling.export import Destination, export_model, main
from modeling.model_config import Serving
from modeling.model_format import ModelFormat
from modeling.onnx_model import OPSET, load_onnx
from modeling.servable import InputForm, Servable
from server.check.check import check_repository
from server.check.finding import Servers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from modeling.facts import ModelFacts


@pytest.mark.parametrize(("form", "enlargement"), [(InputForm.UINT8, 2), (InputForm.FLOAT32, 1)])
def test_export(
    tmp_path: Path, facts: ModelFacts, trained: Callable[[ModelFacts], nn.Module], form: InputForm, enlargement: int
) -> None:
    """An ONNX model takes batches of any size, gives the network's probabilities, and is configured for Triton."""
    facts = replace(facts, enlargement=enlargement)
    network = trained(facts)
    serving = Serving(form, max_batch_size=2, instances=3, format=ModelFormat.ONNX)
    export_model(network, facts, Destination(tmp_path, "tiny"), serving)

    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"tiny/1/model.onnx", "tiny/config.pbtxt", "tiny/labels.txt"}
    exported = onnx.load(tmp_path / "tiny/1/model.onnx")
    onnx.checker.check_model(exported, full_check=True)
    assert [(opset.domain, opset.version) for opset in exported.opset_import] == [("", 21)]
    run, *said = load_onnx(tmp_path / "tiny/1/model.onnx")
    reference = Servable(network, facts, form)
    assert said == [facts, form]
    for batch_size in (1, 7):
        images = form.from_pixels(torch.randint(0, 256, (batch_size, 32, 32, 3), dtype=torch.uint8))
        with torch.inference_mode():
            torch.testing.assert_close(run(images), reference(images), rtol=0, atol=1e-5)
    config = text_format.Parse((tmp_path / "tiny/config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert (config.platform, config.parameters["intra_op_thread_count"].string_value) == ("onnxruntime_onnx", "1")
    [finding] = check_repository(tmp_path)
    assert finding.servers is Servers.COORDSERVE
    assert 'platform "onnxruntime_onnx" is not served here' in finding.message


@pytest.mark.parametrize(
    ("options", "message"), [(["--precision", "bf16"], "fp32 only"), ([], "pip install 'coordserve[onnx]'")]
)
def test_refusals(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    """What cannot be written as ONNX, or without its packages, is refused in one line; nothing is written."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it was not installed

    assert main(["--format", "onnx", "--model-repository", str(tmp_path / "repository"), *options]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "repository").exists()


def test_evaluated_as_its_network(
    tmp_path: Path,
    coloured_folder: Path,
    facts: ModelFacts,
    trained: Callable[[ModelFacts], nn.Module],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An ONNX model is measured like the weights that it was made of."""
    network = trained(facts)
    serving = Serving(InputForm.FLOAT32, max_batch_size=1, format=ModelFormat.ONNX)
    export_model(network, facts, Destination(tmp_path, "tiny"), serving)
    save_checkpoint(tmp_path / "weights.safetensors", network.state_dict(), facts)
    found = []
    for model in ("tiny/1/model.onnx", "weights.safetensors"):
        assert evaluate([str(tmp_path / model), "--data", str(coloured_folder), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))

    assert found[0]["confusion_matrix"] == found[1]["confusion_matrix"]
    assert found[0]["ece"] == pytest.approx(found[1]["ece"], abs=1e-3)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_foreign_file(
    tmp_path: Path, coloured_folder: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no ONNX model, or one of others, is refused in one line."""
    path = tmp_path / "model.onnx"
    if content is None:
        ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
        graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
        opset = [onnx.helper.make_opsetid("", OPSET)]
        onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    else:
        path.write_bytes(content)

    assert evaluate([str(path), "--data", str(coloured_folder)]) == 2

    error = capsys.readouterr().err
    assert ("was not written by this exporter" if content is None else f"cannot read {path} as ONNX (") in error
    assert error.count("\n") == 1


def test_evaluation_without_its_engine(
    monkeypatch: pytest.MonkeyPatch, coloured_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where ONNX Runtime is not installed, one line says what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    assert evaluate(["model.onnx", "--data", str(coloured_folder)]) == 2

    error = capsys.readouterr().err
    assert "pip install 'coordserve[onnx]'" in error
    assert error.count("\n") == 1
