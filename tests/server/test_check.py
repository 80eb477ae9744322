from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from server import model_config
from server.check import command
from server.check.check import check_model, check_repository
from server.check.module import order_faults
from server.check.source import Source
from tests.odd_models import BROKEN, CLEAN, FINE, ODD, Odd

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def _lines(directory: Path) -> list[str]:
    return [str(finding).removeprefix(f"{directory}/") for finding in check_model(directory)]


def _matches(line: str, expected: str) -> bool:
    start, _, middle = expected.partition("*")
    return line.startswith(start) and middle in line


def _assert_found(lines: Sequence[str], expected: Sequence[str]) -> None:
    assert len(lines) == len(expected), "\n".join(lines)
    for text in expected:
        assert any(_matches(line, text) for line in lines), f"{text!r} is not among\n" + "\n".join(lines)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_every_oddity_is_told_with_its_line(odd: Odd, tmp_path: Path) -> None:
    """What is wrong is told, at the right line and for the right server, and nothing else is."""
    _assert_found(_lines(odd.write(tmp_path)), odd.findings)


def test_a_directory_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the server: those behind it are checked."""
    (tmp_path / "lost+found").mkdir()
    BROKEN[0].write(tmp_path)
    monkeypatch.setattr("server.check.check.os.access", lambda path, _mode: path.name != "lost+found")
    found = [str(finding).removeprefix(f"{tmp_path}/") for finding in check_repository(tmp_path)]
    assert found[0] == "lost+found:1: warning: [both] the directory cannot be read: it is passed over"
    assert len(found) > 1


def test_surprises_are_warnings(tmp_path: Path) -> None:
    """Where Triton runs otherwise than one may think, it is told, and is no error."""
    config = (
        CLEAN.partition("parameters")[0]
        .replace("count: 1", "count: 2")
        .replace("max_batch_size: 2", "max_batch_size: 9")
    )
    queue = "default_queue_policy { default_timeout_microseconds: 9 max_queue_size: 3 }"
    directory = FINE[0].write(tmp_path)
    directory.joinpath("config.pbtxt").write_text(config.replace("dynamic_batching {", "dynamic_batching {\n" + queue))
    start = "config.pbtxt:{}: warning: [triton] {}".format
    expected = [
        start(1, "model_warmup has no batch size 1, 2, 3, 4, 5, 6, 7, 8, ...: the first such batch is slow"),
        start(1, "no parameter INTRA_OP_THREAD_COUNT: each instance of Triton's"),
        start(6, "default_timeout_microseconds turns off that Triton forms"),
        start(6, "max_queue_size turns off that Triton forms"),
    ]
    _assert_found(_lines(directory), expected)


def test_whose_choice_the_instances_are_is_told(tmp_path: Path) -> None:
    """Threads for each instance, but no count of them, mean another load under each server; neither is no surprise."""
    directory = FINE[0].write(tmp_path)
    config, text = directory / "config.pbtxt", CLEAN.replace("count: 1 ", "")
    config.write_text(text)
    _assert_found(_lines(directory), ["config.pbtxt:6: warning: [triton] instance_group has no count: Triton runs 1"])
    config.write_text(text.replace(text[text.index("parameters") : text.index("model_warmup")], "\n"))
    _assert_found(_lines(directory), [])


def test_batching_that_never_happens_is_told(tmp_path: Path) -> None:
    """Neither a batcher without batches nor batches without a batcher goes unnoticed."""
    directory = FINE[0].write(tmp_path)
    config = directory / "config.pbtxt"
    config.write_text(CLEAN.replace("dynamic_batching { }", ""))
    _assert_found(_lines(directory), ["config.pbtxt:2: warning: [triton] without dynamic_batching"])
    text = CLEAN.replace("max_batch_size: 2", "max_batch_size: 0")
    config.write_text(text)
    told = "dynamic_batching puts no requests together while max_batch_size is 0: only what it says of the queue"
    assert f"config.pbtxt:5: warning: [both] {told} has an effect" in _lines(directory)
    config.write_text(
        text.replace("dynamic_batching { }", "dynamic_batching { default_queue_policy { max_queue_size: 7 } }")
    )
    assert model_config.read(directory).queue.capacity == 7


def test_a_file_that_is_not_utf8_is_this_servers_error(tmp_path: Path) -> None:
    """Triton reads bytes; this server wants text."""
    directory = FINE[0].write(tmp_path)
    directory.joinpath("config.pbtxt").write_bytes(b"# caf\xe9\n" + CLEAN.encode())
    _assert_found(_lines(directory), ["config.pbtxt:1: error: [coordserve] not UTF-8"])


def test_directories_that_are_no_models_are_told(tmp_path: Path) -> None:
    """A directory without config.pbtxt is an error for both, a hidden one for Triton, a file for nobody."""
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README").write_text("no model")
    lines = [str(finding).removeprefix(f"{tmp_path}/") for finding in check_repository(tmp_path)]
    assert len(lines) == 2
    assert lines[0].startswith(".git:1: error: [triton] this server passes over hidden directories")
    assert lines[1].startswith("empty/config.pbtxt:1: error: [both] ")


def test_order_by_position_is_told() -> None:
    """Several inputs whose names tell no order are taken in the order of the file; it is told, unless names tell it."""
    config = model_config_pb2.ModelConfig(input=[{"name": "left"}, {"name": "right"}], output=[{"name": "any"}])
    assert list(order_faults(config, ["right", "left"])) == []
    ((path, text),) = order_faults(config, ["a", "b"])
    assert (path, text.partition(":")[0]) == (
        "input",
        "the inputs' names are neither the arguments' names nor like NAME__INDEX",
    )


def test_the_command_tells_and_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 with warnings alone, 1 with errors, as text or as JSON; 2, with a line on standard error, for no directory."""
    FINE[1].write(tmp_path / "fine")
    BROKEN[0].write(tmp_path / "broken")
    assert command.main(["--model-repository", str(tmp_path / "fine")], {}) == 0
    assert "warning: [both] allow_timeout_override" in capsys.readouterr().out
    assert command.main(["--json"], {"COORDSERVE_MODEL_REPOSITORY": str(tmp_path / "broken")}) == 1
    finding = json.loads(capsys.readouterr().out)
    assert Path(finding.pop("file")) == tmp_path / "broken" / BROKEN[0].name / "config.pbtxt"
    assert finding.pop("message")
    assert finding == {"line": 10, "severity": "error", "servers": "both"}
    with pytest.raises(SystemExit) as raised:
        command.main(["--model-repository", str(tmp_path / "none")], {})
    assert raised.value.code == 2
    assert "none: Not a directory" in capsys.readouterr().err


def test_the_server_has_the_command(tmp_path: Path) -> None:
    """`python -m server check` is this command, and writes findings and how many there are."""
    FINE[0].write(tmp_path)
    arguments = [sys.executable, "-m", "server", "check", "--model-repository", str(tmp_path)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 model, 0 errors, 0 warnings\n", "")


_NAMES = st.text("abc", min_size=1, max_size=3)
_DIMS = st.lists(st.integers(-1, 9), max_size=3)
_TENSORS: st.SearchStrategy[list[dict[str, object]]] = st.lists(st.builds(dict, name=_NAMES, dims=_DIMS), max_size=3)
_CONFIGS = st.builds(
    model_config_pb2.ModelConfig,
    name=_NAMES,
    max_batch_size=st.integers(1, 9),
    input=_TENSORS,
    output=_TENSORS,
    metric_tags=st.dictionaries(_NAMES, _NAMES, max_size=2),
    dynamic_batching=st.builds(dict, preferred_batch_size=st.lists(st.integers(1, 9), max_size=3)),
)


@given(_CONFIGS)
def test_fields_are_found_in_whatever_is_written(config: model_config_pb2.ModelConfig) -> None:
    """In a file with a field a line, each field is found in the line that has it, however its values are written."""
    for short in (False, True):
        text = text_format.MessageToString(config, use_short_repeated_primitives=short)
        source, lines = Source(text, model_config_pb2.ModelConfig.DESCRIPTOR), text.split("\n")
        assert lines[source.line("max_batch_size") - 1] == f"max_batch_size: {config.max_batch_size}"
        starts = [number for number, line in enumerate(lines, 1) if line == "input {"]
        assert [source.line(f"input[{index}]") for index in range(len(starts))] == starts
        for index, tensor in enumerate(config.input):
            assert lines[source.line(f"input[{index}].name") - 1] == f'  name: "{tensor.name}"'
        assert f'"{config.name}"' in lines[source.line_of_value(config.name) - 1]


@given(st.text("ab_{}[]<>:,;#\"' \n01", max_size=40))
def test_no_text_breaks_the_search(text: str) -> None:
    """What is no config.pbtxt has lines, too: the first."""
    assert Source(text, model_config_pb2.ModelConfig.DESCRIPTOR).line("max_batch_size") == 1
