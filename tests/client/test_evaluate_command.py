"""`evaluate`: what it measures of a server, what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from client.command_line import main
from tests.client.conftest import COLOURS, COMMAND, NOBODY, ROOT, encoded
from tests.client.servicers import LABELS, Gate, NativeServicer, serving
from tests.terminal import Screen

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

EVALUATE = [*COMMAND, "evaluate"]
RED, GREEN, BLUE = LABELS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two class folders: of three red images one is green; of two green ones none is anything else."""
    for name, colours in ((RED, ["red", "green", "red"]), (GREEN, ["green", "green"])):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number, colour in enumerate(colours):
            (tmp_path / "data" / name / f"{number}.png").write_bytes(encoded(COLOURS[colour]))
    return tmp_path / "data"


def evaluate(url: str, *arguments: object) -> int:
    """Runs the command in this process."""
    return main(["evaluate", "--url", url, *map(str, arguments)], {})


def measured(url: str, data: Path, capfd: pytest.CaptureFixture[str], status: int = 0) -> dict[str, Any]:
    """Runs the command with this exit code and returns its object."""
    assert evaluate(url, data, "--json") == status
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    return found


@pytest.mark.parametrize("server", ["running_server", "running_triton"])
def test_real_servers(
    server: str, data: Path, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both servers are measured by the same command; labels with colons are names like others."""
    found = measured(request.getfixturevalue(server), data, capfd)

    assert (found["model"], found["version"], found["images"], found["failed"]) == ("colour", "1", 5, 0)
    assert (found["top_1"], found["top_5"]) == (0.8, None)
    assert found["confusion_matrix"] == {RED: {RED: 2, GREEN: 1}, GREEN: {GREEN: 2}}
    assert 0 < found["ece"] < 1
    assert found["images_per_second"] == pytest.approx(5 / found["seconds"])


def test_text(url: str, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """People read what was asked, then the same numbers."""
    assert evaluate(url, data) == 0

    out, err = capfd.readouterr()
    assert err == ""
    assert out.startswith(f"colour version 1 at {url}, {data}\nimages      5, none failed\ntop-1       80.00%\nECE ")
    assert out.endswith("    0  red               3   66.7%  2  1\n    1  green: leaf       2  100.0%  .  2\n")


def test_failed_images_are_wrong(url: str, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Images that cannot be read count, wherever they stand, and are told with their reason."""
    broken, absent = data / RED / "-.png", data / GREEN / "9.png"
    broken.write_bytes(b"text")
    absent.symlink_to("nowhere")
    found = measured(url, data, capfd, status=1)

    assert (found["images"], found["failed"], found["top_1"]) == (7, 2, pytest.approx(4 / 7))
    assert [each["image"] for each in found["failures"]] == [str(absent), str(broken)]
    assert found["failures"][0]["error"] == "cannot read the image: No such file or directory"
    assert evaluate(url, data) == 1
    out, err = capfd.readouterr()
    assert "images      7, 2 failed, counted as wrong\n" in out
    assert err.endswith("2 of 7 images failed\n")
    assert f"{broken}: " in err


def test_no_answer_at_all(url: str, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where every image fails there is nothing to measure, and not every failure is told."""
    for name in (RED, GREEN):
        for number in range(20):
            (data / name / f"{number}.png").write_bytes(b"text")

    assert evaluate(url, data, "--json") == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("... and 30 more\n40 of 40 images failed\n")


def test_classes_that_the_model_does_not_know(url: str, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """They are named, in one line, and nothing else is printed."""
    (data / RED).rename(data / "rot")

    assert evaluate(url, data) == 2
    assert capfd.readouterr() == ("", f"{data} has the class 'rot', which the model does not know\n")


def test_models_without_labels(data: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without names there is nothing to compare."""
    monkeypatch.setattr("tests.client.servicers.LABELS", ("", "", ""))
    with serving(NativeServicer()) as address:
        assert evaluate(address, data) == 2

    assert capfd.readouterr().err.startswith("model 'colour' has no labels: ")


def test_data_that_is_none(tmp_path: Path, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is refused before anybody is asked: a folder without classes, an empty class, no packed file, nothing."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.npz").write_text("text")
    (data / BLUE).mkdir()

    for source, complaint in [
        (tmp_path / "empty", "has no classes"),
        (data, f"no image of class '{BLUE}'"),
        (tmp_path / "text.npz", "as packed images"),
        (tmp_path / "absent", "no such file or folder"),
    ]:
        assert evaluate(NOBODY, source) == 2
        out, err = capfd.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(str(source)) or f"cannot read {source}" in err
        assert complaint in err


def test_nobody_there(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A server that cannot be reached has an exit code of its own."""
    assert evaluate(NOBODY, data) == 3
    assert capfd.readouterr().err.startswith(f"cannot reach the server at {NOBODY}: ")


def test_wrong_model(running_server: str, data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What holds for every image is said once."""
    assert evaluate(running_server, data, "--model", "absent") == 1

    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "'absent' is not found" in err


def test_one_version_is_measured(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """After the first answer all images are asked of the version that gave it."""
    asked: list[tuple[str, str]] = []

    def note(request: Any, _context: grpc.ServicerContext) -> None:
        asked.append((request.model_name, request.model_version))

    with serving(NativeServicer(on_request=note)) as address:
        measured(address, data, capfd)

    assert asked == [("", ""), *[("colour", "1")] * 4]


def test_bar_on_a_terminal(url: str, data: Path) -> None:
    """Standard error is a terminal, standard output a pipe: each gets its own."""
    command = [*EVALUATE, str(data), "--url", url, "--json"]
    environment = {**os.environ, "TERM": "xterm"}
    with Screen() as screen:
        result = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=screen.end, env=environment, check=True
        )

    assert "evaluating" in screen.text
    assert "5/5" in screen.text
    assert json.loads(result.stdout)["images"] == 5


def test_ctrl_c(data: Path) -> None:
    """It ends at once, also while the server hangs, and says how far it was."""
    gate = Gate()
    with serving(NativeServicer(on_request=lambda *_: gate.wait())) as url, gate:
        command = [*EVALUATE, str(data), "--url", url, "--timeout", "100"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            gate.reached.wait()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()

    assert (process.returncode, out) == (128 + signal.SIGINT, "")
    assert err == "interrupted after 0 of 5 images: nothing is told\n"
