"""An exported ONNX model is what Triton needs, and this server tells that it is for another."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from modeling.export import Destination, export_model, main
from modeling.facts import ModelFacts
from modeling.model_config import Serving
from modeling.model_format import ModelFormat
from modeling.onnx_model import load_onnx
from modeling.servable import InputForm, Servable
from server.check.check import check_repository
from server.check.finding import Servers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn


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
    assert ModelFacts.from_json({each.key: each.value for each in exported.metadata_props}["coordserve"]) == facts
    run, reference = load_onnx(tmp_path / "tiny/1/model.onnx"), Servable(network, facts, form)
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
