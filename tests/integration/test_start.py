from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.serving import COORDSERVE, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the one line must name.
MISTAKES = {
    "grpc port in use": "cannot listen on 127.0.0.1:{taken} (gRPC)",
    "metrics port in use": "cannot listen on 127.0.0.1:{taken} (metrics)",
    "no repository": "model repository {directory}/nowhere is not a directory",
    "unparsable config": "{directory}/unparsable/model/config.pbtxt:2:",
    "bad option": "argument --grace-seconds: invalid float value: 'soon'",
    "unknown option": "unrecognized arguments: --grpc-prot 0",
    "bad variable": "COORDSERVE_STRICT_READINESS must be",
}


def _command(mistake: str, directory: Path, taken: int) -> list[str]:
    options = {
        "grpc port in use": ["--grpc-port", str(taken)],
        "metrics port in use": ["--metrics-port", str(taken)],
        "no repository": ["--model-repository", str(directory / "nowhere")],
        "unparsable config": ["--model-repository", str(directory / "unparsable")],
        "bad option": ["--grace-seconds", "soon"],
        "unknown option": ["--grpc-prot", "0"],
    }
    good = ["--model-repository", str(directory / "empty"), "--grpc-port", "0", "--metrics-port", "0"]
    return [*COORDSERVE, *good, *options.get(mistake, [])]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Repositories with one mistake each."""
    directory = tmp_path_factory.mktemp("mistakes")
    (directory / "empty").mkdir()
    (directory / "unparsable" / "model").mkdir(parents=True)
    (directory / "unparsable" / "model" / "config.pbtxt").write_text("max_batch_size: 8\nplatform: 8", encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def processes(directory: Path, taken: int) -> Iterator[dict[str, ServerProcess]]:
    """Servers with one mistake each; they start side by side, which takes less time."""
    variables = {"COORDSERVE_STRICT_READINESS": "maybe"}
    with contextlib.ExitStack() as running:
        processes = {}
        for mistake in MISTAKES:
            environment = variables if mistake == "bad variable" else {}
            process = ServerProcess(_command(mistake, directory, taken), environment)
            processes[mistake] = running.enter_context(contextlib.closing(process))
        yield processes


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_the_start_with_one_line_that_names_it(
    mistake: str, processes: dict[str, ServerProcess], directory: Path, taken: int
) -> None:
    """The person at the terminal reads one line, no trace, and the status tells of failure."""
    process = processes[mistake]
    assert process.wait_exit() in (1, 2), process.log
    assert len(process.lines) == 1, process.log
    assert MISTAKES[mistake].format(directory=directory, taken=taken) in process.lines[0]
