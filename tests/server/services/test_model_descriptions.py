from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import text_format

from server import model_config
from server.instance import Execution, Reply
from server.services.model_descriptions import describe_config, describe_metadata, describe_statistics
from server.statistics import ModelStatistics

if TYPE_CHECKING:
    from pathlib import Path

_TENSORS = """
    platform: "pytorch_libtorch"
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
_MS = 1_000_000


def _model(directory: Path, text: str, instances: int = 3) -> Any:
    (directory / "net").mkdir()
    (directory / "net" / "config.pbtxt").write_text(_TENSORS + text)
    config = model_config.read(directory / "net")
    return SimpleNamespace(
        config=config, version=2, instances=config.instances or instances, statistics=ModelStatistics()
    )


@pytest.mark.parametrize(("text", "batch"), [("max_batch_size: 8", [-1]), ("", [])])
def test_metadata_has_the_shapes_of_requests(tmp_path: Path, text: str, batch: list[int]) -> None:
    """Where the model batches, shapes begin with a dimension that is open."""
    message = describe_metadata(_model(tmp_path, text).config, [3, 1])
    assert (message.name, message.platform, list(message.versions)) == ("net", "pytorch_libtorch", ["1", "3"])
    [tensor], [output] = message.inputs, message.outputs
    assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("INPUT__0", "UINT8", [*batch, 4, 4, 3])
    assert (output.name, output.datatype, list(output.shape)) == ("OUTPUT__0", "FP32", [*batch, -1])


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("", [("net", 3)]),  # what the server chose
        ("instance_group [ { count: 2 } ]", [("net_0", 2)]),
        ('instance_group [ { name: "a" count: 2 kind: KIND_CPU }, { count: 1 } ]', [("a", 2), ("net_1", 1)]),
        ("instance_group [ { } ]", [("net_0", 3)]),
    ],
)
def test_the_configuration_tells_the_instances_that_run(
    tmp_path: Path, groups: str, expected: list[tuple[str, int]]
) -> None:
    """Names, numbers and kinds that the file leaves open are filled in."""
    model = _model(tmp_path, groups)
    told = describe_config(model).config.instance_group
    assert [(group.name, group.count) for group in told] == expected
    assert {text_format.MessageToString(group).split("kind: ")[1].strip() for group in told} == {"KIND_CPU"}
    assert describe_config(model) == describe_config(model)  # the model's own facts stay as they are


def test_statistics_are_those_of_the_model(tmp_path: Path) -> None:
    """Counts and nanoseconds stand where clients of the protocol look for them."""
    model = _model(tmp_path, "max_batch_size: 8")
    execution = Execution(["a"], 10 * _MS, 11 * _MS, 31 * _MS, 33 * _MS)
    for rows in (4, 1):
        model.statistics.executed(rows, execution)
    model.statistics.succeeded(2, Reply("a", 4 * _MS, 4, execution), 36 * _MS)
    model.statistics.failed("OTHER", 5 * _MS)
    message = describe_statistics(model)
    assert (message.name, message.version) == ("net", "2")
    assert (message.inference_count, message.execution_count) == (2, 2)
    assert message.last_inference == model.statistics.last_inference_ms > 0
    durations = {field.name: value for field, value in message.inference_stats.ListFields()}
    assert {name: (value.count, value.ns // _MS) for name, value in durations.items()} == {
        "success": (1, 36),
        "fail": (1, 5),
        "queue": (1, 6),
        "compute_input": (1, 1),
        "compute_infer": (1, 20),
        "compute_output": (1, 2),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
    assert [batch.batch_size for batch in message.batch_stats] == [1, 4]
    assert [batch.compute_infer.ns for batch in message.batch_stats] == [20 * _MS] * 2
    assert {batch.compute_input.count for batch in message.batch_stats} == {1}
