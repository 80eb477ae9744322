"""What config.pbtxt says of an exported model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from modeling.export import Destination, export_model
from modeling.model_config import Serving, model_config, warm_sizes
from modeling.model_format import ModelFormat
from modeling.servable import InputForm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

    from modeling.facts import ModelFacts

    Trained = Callable[[ModelFacts], nn.Module]


@pytest.mark.parametrize(
    ("form", "data_type", "dims", "layout"),
    [
        (InputForm.UINT8, model_config_pb2.TYPE_UINT8, [32, 32, 3], model_config_pb2.ModelInput.FORMAT_NONE),
        (InputForm.FLOAT32, model_config_pb2.TYPE_FP32, [3, 32, 32], model_config_pb2.ModelInput.FORMAT_NCHW),
    ],
)
def test_config(
    tmp_path: Path, facts: ModelFacts, trained: Trained, form: InputForm, data_type: int, dims: list[int], layout: int
) -> None:
    """The configuration says in Triton's schema what the module takes and gives."""
    export_model(trained(facts), facts, Destination(tmp_path, "tiny", 3), Serving(form, max_batch_size=4))
    text = (tmp_path / "tiny" / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())

    assert (config.name, config.platform, config.max_batch_size) == ("tiny", "pytorch_libtorch", 4)
    assert [(i.name, i.data_type, list(i.dims), i.format) for i in config.input] == [
        ("INPUT__0", data_type, dims, layout)
    ]
    assert [(o.name, o.data_type, list(o.dims)) for o in config.output] == [
        ("OUTPUT__0", model_config_pb2.TYPE_FP32, [3])
    ]
    assert config.HasField("dynamic_batching")
    assert [group.kind for group in config.instance_group] == [model_config_pb2.ModelInstanceGroup.KIND_CPU]
    assert config.instance_group[0].count == 0
    assert config.parameters["CROP_FRACTION"].string_value == "0.875"
    assert (tmp_path / "tiny" / config.output[0].label_filename).read_text() == "blue\ngreen\nred\n"
    assert (tmp_path / "tiny" / "3" / "model.pt").is_file()


def test_instances_have_a_thread_each(tmp_path: Path, facts: ModelFacts, trained: Trained) -> None:
    """Whoever knows the machine says how many instances there are, and both servers do so."""
    export_model(trained(facts), facts, Destination(tmp_path, "tiny"), Serving(instances=6))
    config = text_format.Parse((tmp_path / "tiny" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert [group.count for group in config.instance_group] == [6]
    assert config.parameters["INTRA_OP_THREAD_COUNT"].string_value == "1"


def test_onnx_has_one_instance(facts: ModelFacts) -> None:
    """Where nobody says how many instances an ONNX model has, Triton runs one on all cores."""
    text = model_config("tiny", facts, Serving(format=ModelFormat.ONNX))
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert [group.count for group in config.instance_group] == [1]
    assert "intra_op_thread_count" not in config.parameters


def test_few_sizes_are_warmed_up() -> None:
    """The first ones, and two to an octave beyond them."""
    assert warm_sizes(1) == [1]
    assert warm_sizes(40) == [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 40]
