from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server import model_config
from server.model_config import ConfigError, QueuePolicy, parse_override
from server.tensor_types import BYTES, DATATYPES, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

_INPUT = 'input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]\n'
_OUTPUT = 'output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] } ]\n'
_TENSORS = _INPUT + _OUTPUT
_PLATFORM = 'platform: "pytorch_libtorch"\n'
_MINIMAL = _PLATFORM + _TENSORS


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An empty model directory."""
    path = tmp_path / "net"
    path.mkdir()
    return path


def _read(directory: Path, text: str) -> model_config.ModelConfig:
    (directory / "config.pbtxt").write_text(text, encoding="utf-8")
    return model_config.read(directory)


def _error(directory: Path, text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        _read(directory, text)
    message = str(raised.value)
    assert message.startswith(f"{directory / 'config.pbtxt'}:")
    assert "\n" not in message
    return message.removeprefix(f"{directory / 'config.pbtxt'}:").strip()


def test_a_minimal_file_is_a_model_that_does_not_batch(directory: Path) -> None:
    """Platform, inputs and outputs are enough; everything else has Triton's defaults."""
    config = _read(directory, _MINIMAL)
    assert config.name == "net"
    assert config.inputs == (TensorSpec("INPUT__0", "UINT8", (4, 4, 3)),)
    assert config.outputs == (TensorSpec("OUTPUT__0", "FP32", (5,)),)
    assert config.labels == {"OUTPUT__0": ()}
    assert (config.batches, config.dynamic, config.max_rows) == (False, False, 1)
    assert config.queue == QueuePolicy()
    assert (config.instances, config.threads, config.crop_fraction) == (None, None, 1.0)
    assert (config.model_file, config.ignored) == ("model.pt", ())


def test_a_full_file_is_read(directory: Path) -> None:
    """Every field that this server honours arrives in the model's facts."""
    (directory / "labels.txt").write_text("cat\ndog\n")
    config = _read(
        directory,
        _PLATFORM
        + _INPUT
        + """
        name: "net"
        backend: "pytorch"
        default_model_filename: "weights.pt"
        max_batch_size: 16
        output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ -1 ] label_filename: "labels.txt" } ]
        output [ { name: "OUTPUT__1" data_type: TYPE_INT64 dims: [ 2 ] } ]
        instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]
        dynamic_batching {
          max_queue_delay_microseconds: 1500
          default_queue_policy {
            default_timeout_microseconds: 250000 allow_timeout_override: true max_queue_size: 64
          }
        }
        parameters [ { key: "INTRA_OP_THREAD_COUNT" value: { string_value: "3" } } ]
        parameters [ { key: "CROP_FRACTION" value: { string_value: "0.875" } } ]
        model_warmup [ { name: "zeros" batch_size: 1 } ]
        """,
    )
    assert config.labels == {"OUTPUT__0": ("cat", "dog"), "OUTPUT__1": ()}
    assert (config.batches, config.dynamic, config.max_rows) == (True, True, 16)
    assert config.queue == QueuePolicy(0.0015, 0.25, timeout_override=True, capacity=64)
    assert (config.instances, config.threads, config.crop_fraction) == (3, 3, 0.875)
    assert (config.model_file, config.ignored) == ("weights.pt", ())


def test_batches_are_merged_only_where_the_file_says_so(directory: Path) -> None:
    """Without `dynamic_batching` requests may have many rows, but are not merged."""
    config = _read(directory, _MINIMAL + "max_batch_size: 4")
    assert (config.batches, config.dynamic, config.max_rows) == (True, False, 4)
    config = _read(directory, _MINIMAL + "dynamic_batching { }")
    assert (config.batches, config.dynamic, config.max_rows) == (False, False, 1)


@pytest.mark.parametrize("backend", ['platform: "pytorch_libtorch"', 'backend: "pytorch"'])
def test_platform_or_backend_is_enough(directory: Path, backend: str) -> None:
    """Either of the two names says what the model is, and both are told."""
    config = _read(directory, backend + _TENSORS)
    assert (config.proto.platform, config.proto.backend) == ("pytorch_libtorch", "pytorch")


def test_defaults_are_filled_in_as_triton_does(directory: Path) -> None:
    """What ModelConfig answers has the defaults that Triton would have put there."""
    proto = _read(directory, _MINIMAL + "max_batch_size: 8 dynamic_batching { }").proto
    assert proto.version_policy.latest.num_versions == 1
    assert proto.default_model_filename == "model.pt"
    assert list(proto.dynamic_batching.preferred_batch_size) == [8]
    assert proto.optimization.input_pinned_memory.enable
    assert proto.optimization.output_pinned_memory.enable
    proto = _read(directory, _MINIMAL + "max_batch_size: 8").proto
    assert not proto.HasField("dynamic_batching")


@pytest.mark.parametrize("datatype", DATATYPES.keys() - {BYTES})
def test_every_data_type_of_the_protocol_can_be_an_input(directory: Path, datatype: str) -> None:
    """All types with elements of one size are served."""
    config = _read(directory, _PLATFORM + _OUTPUT + f'input [ {{ name: "x" data_type: TYPE_{datatype} dims: 1 }} ]')
    assert config.inputs == (TensorSpec("x", datatype, (1,)),)


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("", [11]),
        ("version_policy { latest { num_versions: 2 } }", [3, 11]),
        ("version_policy { latest { num_versions: 9 } }", [1, 3, 11]),
        ("version_policy { latest { } }", [11]),
        ("version_policy { all { } }", [1, 3, 11]),
        ("version_policy { specific { versions: [ 3, 1, 7 ] } }", [1, 3]),
        ("version_policy { specific { versions: [ 7 ] } }", []),
        ("version_policy { specific { } }", []),
    ],
)
def test_the_version_policy_picks_versions(directory: Path, policy: str, versions: list[int]) -> None:
    """Versions are numbers, not texts, and only those that exist are served, in ascending order."""
    config = _read(directory, _MINIMAL + policy)
    assert config.versions_to_serve([11, 1, 3]) == versions
    assert config.ignored == ()


def test_no_versions_are_no_error_of_the_policy(directory: Path) -> None:
    """A directory without versions has none to serve."""
    assert _read(directory, _MINIMAL).versions_to_serve([]) == []


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("sequence_batching { }", ("sequence_batching",)),
        ("optimization { graph { } }", ("optimization.graph",)),
        ("dynamic_batching { default_queue_policy { } } instance_group [ { } ]", ()),
        (
            "dynamic_batching { default_queue_policy { timeout_action: DELAY } }",
            ("dynamic_batching.default_queue_policy.timeout_action",),
        ),
        (
            "sequence_batching { max_sequence_idle_microseconds: 5 }",
            ("sequence_batching.max_sequence_idle_microseconds",),
        ),
        (
            "dynamic_batching { preferred_batch_size: [ 2, 4 ] preserve_ordering: true }",
            ("dynamic_batching.preferred_batch_size", "dynamic_batching.preserve_ordering"),
        ),
        ("instance_group [ { gpus: [ 0 ] }, { gpus: [ 1 ] } ]", ("instance_group.gpus",)),
        (
            'parameters [ { key: "ENABLE_JIT_EXECUTOR" value: { string_value: "true" } } ]',
            ("parameters.ENABLE_JIT_EXECUTOR",),
        ),
        ('input [ { name: "x" data_type: TYPE_FP32 dims: 1 reshape { shape: [ 1, 1 ] } } ]', ("input.reshape.shape",)),
        ('parameters [ { key: "INFERENCE_MODE" value: { string_value: "true" } } ]', ()),  # as it always is
        (
            'parameters [ { key: "INFERENCE_MODE" value: { string_value: "false" } } ]',
            ("parameters.INFERENCE_MODE",),
        ),
        ("response_cache { enable: true }", ("response_cache.enable",)),
        ("optimization { cuda { graphs: true } }", ("optimization.cuda.graphs",)),
        ('metric_tags [ { key: "team" value: "vision" } ]', ("metric_tags",)),
        ('cc_model_filenames [ { key: "7.5" value: "x" } ]', ("cc_model_filenames",)),
        (
            "dynamic_batching { priority_queue_policy [ { key: 1 value: { max_queue_size: 2 } } ] }",
            ("dynamic_batching.priority_queue_policy",),
        ),
    ],
)
def test_fields_without_effect_are_named(directory: Path, text: str, ignored: tuple[str, ...]) -> None:
    """What the file sets and this server does not honour is told, each path once."""
    assert _read(directory, _MINIMAL + text).ignored == ignored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_MINIMAL + "max_batch_size: x", "4:17 : 'max_batch_size: x': Couldn't parse integer: x"),
        (_MINIMAL + "\n\nmax_batchsize: 8", '"inference.ModelConfig" has no field named "max_batchsize"'),
        (_MINIMAL + 'name: "net" name: "net"', 'should not have multiple "name" fields'),
        (_MINIMAL + "input [ {", "Expected"),
        ("\x00", ""),
        (_TENSORS, 'platform: "pytorch_libtorch" is missing'),
        ('platform: "onnxruntime_onnx"' + _TENSORS, 'platform "onnxruntime_onnx" is not served here, only'),
        ('backend: "dali"' + _TENSORS, 'backend "dali" is not served here, only "pytorch" or "python"'),
        (_MINIMAL + 'backend: "python"', 'platform "pytorch_libtorch" and backend "python" contradict each other'),
        (_MINIMAL + 'name: "other"', 'name is "other", but the directory is "net"'),
        (_MINIMAL + "max_batch_size: -1", "max_batch_size must be 0 or more"),
        ('backend: "python"' + _INPUT, "code that completes its configuration is not served here"),
        (_MINIMAL + "model_transaction_policy { decoupled: true }", "decoupled transaction policy are not served"),
        (_PLATFORM + _INPUT, "at least one input and one output are needed"),
        (_PLATFORM + _OUTPUT, "at least one input and one output are needed"),
        (_MINIMAL + 'output [ { name: "b" data_type: TYPE_STRING dims: 1 } ]', 'output "b": data type STRING'),
        (_MINIMAL + 'input [ { name: "b" dims: 1 } ]', 'input "b": data type INVALID cannot be served'),
        (_MINIMAL + "input [ { data_type: TYPE_FP32 dims: 1 } ]", "an input has no name"),
        (_MINIMAL + 'input [ { name: "b" data_type: TYPE_FP32 } ]', 'input "b": dims must all be given'),
        (_MINIMAL + 'input [ { name: "b" data_type: TYPE_FP32 dims: [ 2, -1 ] } ]', "positive, got [2, -1]"),
        (_MINIMAL + 'input [ { name: "b" data_type: TYPE_FP32 dims: [ 0 ] } ]', "positive, got [0]"),
        (_MINIMAL + _INPUT, 'input "INPUT__0" is there more than once'),
        (_MINIMAL + _OUTPUT, 'output "OUTPUT__0" is there more than once'),
        (_MINIMAL + "max_batch_size: 1000000000", "max_batch_size must be at most 4096, got 1000000000"),
        (
            _MINIMAL + 'input [ { name: "b" data_type: TYPE_UINT8 format: FORMAT_NCHW dims: [ 2 ] } ]',
            'input "b": the format is one of images, whose dims are three',
        ),
        (_MINIMAL + "instance_group [ { kind: KIND_GPU } ]", "only KIND_CPU and KIND_AUTO"),
        (_MINIMAL + "instance_group [ { count: -1 } ]", "instance_group: count must be 0 or more"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_served_says_where_and_why(directory: Path, text: str, message: str) -> None:
    """One line names the file, the place where there is one, and the mistake."""
    assert message in _error(directory, text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("INTRA_OP_THREAD_COUNT", value) for value in ("0", "-1", "two", "1.5", "²", "9" * 5000)),
        *(("CROP_FRACTION", value) for value in ("0", "-0.5", "1.01", "nan", "inf", "most")),
    ],
)
def test_a_parameter_out_of_range_is_an_error(directory: Path, key: str, value: str) -> None:
    """A parameter that this server reads must have a value that it can have."""
    text = f'{_MINIMAL} parameters [ {{ key: "{key}" value: {{ string_value: "{value}" }} }} ]'
    assert f"parameter {key} must be" in _error(directory, text)


def test_a_missing_file_is_an_error(directory: Path) -> None:
    """A directory without config.pbtxt is no model."""
    with pytest.raises(ConfigError, match=r"config\.pbtxt: No such file or directory"):
        model_config.read(directory)


def test_a_file_that_is_no_text_is_an_error(directory: Path) -> None:
    """Bytes that are not UTF-8 are told as such."""
    (directory / "config.pbtxt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"config\.pbtxt: not UTF-8"):
        model_config.read(directory)


@pytest.mark.parametrize("name", ["../labels.txt", "/etc/passwd", "a/../../b", ".."])
@pytest.mark.parametrize(
    "field",
    [
        'default_model_filename: "{}"',
        'output [ {{ name: "b" data_type: TYPE_FP32 dims: 1 label_filename: "{}" }} ]',
        'model_warmup [ {{ inputs {{ key: "a" value {{ input_data_file: "{}" }} }} }} ]',
    ],
)
def test_no_file_outside_the_directory_is_read(directory: Path, field: str, name: str) -> None:
    """File names that lead out of the model's directory are refused."""
    assert f'file name "{name}" leads out of the model\'s directory' in _error(directory, _MINIMAL + field.format(name))


def _with_labels(name: str) -> str:
    return (
        _PLATFORM
        + _INPUT
        + f'output [ {{ name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] label_filename: "{name}" }} ]'
    )


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b"cat\ndog", ("cat", "dog")),
        (b"cat\r\ndog\r\n", ("cat", "dog")),
        (b"cat\n\ndog\n", ("cat", "", "dog")),
        (b"", ()),
        ("Käuzchen\n柴犬\n".encode(), ("Käuzchen", "柴犬")),
        ("one\u2028line\x0c\nnext\n".encode(), ("one\u2028line\x0c", "next")),
    ],
)
def test_labels_are_lines(directory: Path, content: bytes, labels: tuple[str, ...]) -> None:
    """Line N of a labels file names class N, whatever stands on the lines."""
    (directory / "labels.txt").write_bytes(content)
    assert _read(directory, _with_labels("labels.txt")).labels == {"OUTPUT__0": labels}


@pytest.mark.parametrize("name", ["missing.txt", "directory", "latin1.txt", r"nul\000.txt", "n" * 300])
def test_labels_that_cannot_be_read_are_an_error(directory: Path, name: str) -> None:
    """A labels file that is missing or no text is told when the model loads, not when somebody asks for classes."""
    (directory / "directory").mkdir()
    (directory / "latin1.txt").write_bytes("Käuzchen".encode("latin1"))
    assert "cannot be read" in _error(directory, _with_labels(name))


_JSON: dict[str, Any] = {
    "platform": "pytorch_libtorch",
    "input": [{"name": "INPUT__0", "data_type": "TYPE_UINT8", "dims": [4, 4, 3]}],
    "output": [{"name": "OUTPUT__0", "data_type": "TYPE_FP32", "dims": ["5"]}],
}


def test_a_configuration_can_be_given_as_json(directory: Path) -> None:
    """A load request's override replaces the file, names in either spelling of JSON."""
    config = parse_override(json.dumps(_JSON | {"maxBatchSize": 4, "dynamic_batching": {}}), directory)
    assert (config.name, config.max_rows, config.dynamic) == ("net", 4, True)
    assert config.inputs == (TensorSpec("INPUT__0", "UINT8", (4, 4, 3)),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        '{"max_batchsize": 8}',
        '{"max_batch_size": "many"}',
        '{"name": "\\ud800"}',
        "[" * 100_000,
        '{"input":' * 100_000,
        json.dumps(_JSON | {"name": "other"}),
        json.dumps(_JSON | {"default_model_filename": "../other/1/model.pt"}),
    ],
)
def test_an_override_that_cannot_be_served_is_an_error(directory: Path, text: str) -> None:
    """What comes with a request is checked like a file, and no text of it breaks anything else."""
    with pytest.raises(ConfigError) as raised:
        parse_override(text, directory)
    assert len(str(raised.value)) < 1000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=60)
    | st.lists(st.sampled_from([*"{}[]:,<>\"'#-", "input", "name", "dims", "1", " ", "\n"])).map("".join)
)
def test_no_text_breaks_the_reader(directory: Path, text: str) -> None:
    """Any text is a configuration or an error of its own kind."""
    for read in (lambda: _read(directory, text), lambda: parse_override(text, directory)):
        with pytest.raises(ConfigError):
            read()
