"""The command line's standard streams: terminals, pipes, full disks and closed ones, and Ctrl-C meanwhile."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import termios
import time
from array import array
from pathlib import Path
from typing import Any

import psutil
import pytest

from client.command_line import main
from tests.client.conftest import COMMAND, ROOT
from tests.client.servicers import Gate, NativeServicer, serving
from tests.terminal import Screen


def test_standard_input_is_an_image(
    url: str, photos: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is called - in the results."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photos[2])))

    assert main(["classify", "--json", "-", "--url", url], {}) == 0

    result = json.loads(capfd.readouterr().out)
    assert (result["file"], result["classes"][0]["label"]) == ("-", "bleu café")


def test_full_disk_is_told(url: str, folder: Path) -> None:
    """Results that cannot be written end the command with one line."""
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "classify", str(folder), "--url", url]
        result = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_bar_is_shown_on_a_terminal_and_results_stay_clean(url: str, folder: Path) -> None:
    """Standard error is a terminal, standard output a pipe: each gets its own."""
    command = [*COMMAND, "classify", str(folder), "--url", url, "--top-k", "1"]
    environment = {**os.environ, "TERM": "xterm"}
    with Screen() as screen:
        result = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=screen.end, env=environment, check=True
        )

    assert "3/3" in screen.text
    assert [line.split()[-1] for line in result.stdout.decode().splitlines()] == ["leaf", "red", "café"]
    assert b"\x1b" not in result.stdout


def test_json_on_a_terminal_stays_a_line(url: str, tmp_path: Path, photos: list[bytes]) -> None:
    """Lines that are longer than the terminal is wide are not folded: programs read them from there, too."""
    for number in range(2):
        (tmp_path / f"{'long' * 40}{number}.png").write_bytes(photos[0])
    command = [*COMMAND, "classify", "--json", str(tmp_path), "--url", url]
    environment = {**os.environ, "TERM": "xterm"}
    with Screen() as screen:
        subprocess.run(command, cwd=ROOT, stdout=screen.end, stderr=screen.end, env=environment, check=True)

    assert [json.loads(line)["error"] for line in screen.text.splitlines()] == [None, None]


def test_output_that_lacks_letters(url: str, photos: list[bytes]) -> None:
    """What a terminal's encoding lacks is shown as escapes."""
    command = [*COMMAND, "classify", "-", "--url", url, "--top-k", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, cwd=ROOT, input=photos[2], env=environment, capture_output=True, check=True)

    assert result.stdout.endswith(rb"bleu caf\xe9" + b"\n")
    assert result.stderr == b""


@pytest.mark.parametrize("arguments", [["classify", "FOLDER"], ["classify", "--json", "FOLDER"], ["status"]])
def test_closed_output(running_server: str, folder: Path, arguments: list[str]) -> None:
    """A command whose output nobody wants still tells by its exit code, also at a terminal."""
    arguments = [argument.replace("FOLDER", str(folder)) for argument in arguments]
    command = shlex.join([*COMMAND, *arguments, "--url", running_server])
    with Screen() as screen:
        result = subprocess.run(f"{command} >&-", cwd=ROOT, shell=True, stderr=screen.end, check=False)  # noqa: S602 - a shell closes it

    assert result.returncode == 0


def test_standard_input_may_take_longer_than_an_answer(url: str, photos: list[bytes]) -> None:
    """The time for the answer begins when the image is there."""
    command = [*COMMAND, "classify", "-", "--url", url, "--timeout", "3", "--top-k", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(7)  # it waits for the image for as long as it takes
        out, _ = process.communicate(photos[0])

    assert process.returncode == 0
    assert out.endswith(b"red\n")


def test_ctrl_c_while_standard_input_is_awaited(url: str, folder: Path) -> None:
    """It ends the command then, too."""
    command = [*COMMAND, "classify", "--json", str(folder / "red.png"), "-", "--concurrency", "1", "--url", url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        process.stdin.write(bytes(1 << 20))  # more than a pipe holds: when it is gone, somebody is reading
        process.stdin.flush()
        _wait_until_more_is_awaited(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT


def _wait_until_more_is_awaited(process: subprocess.Popen[bytes]) -> None:
    """Python looks for signals when one interrupts it in a read, and not between two: there it would come too early."""
    reader = psutil.Process(process.pid)
    assert process.stdin
    while _unread(process.stdin.fileno()) or reader.status() != psutil.STATUS_SLEEPING:
        time.sleep(0.01)


def _unread(pipe: int) -> int:
    """Returns how many bytes are in a pipe."""
    count = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_reader_that_leaves_ends_the_command_quietly(url: str, folder: Path) -> None:
    """As with any filter, nobody is told that a pipe broke."""
    images = [str(folder / "red.png")] * 200
    command = [*COMMAND, "classify", "--json", "--url", url, *images]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        first: Any = json.loads(process.stdout.readline())
        process.stdout.close()
        complaint = process.stderr.read()

    assert first["classes"][0]["label"] == "red"
    assert complaint == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_ctrl_c_ends_the_command_quietly(folder: Path) -> None:
    """Even while the server hangs."""
    gate = Gate()
    with serving(NativeServicer(on_request=lambda *_: gate.wait())) as url, gate:
        command = [*COMMAND, "classify", str(folder), "--url", url, "--timeout", "100"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            gate.reached.wait()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()

    assert (process.returncode, out, err) == (128 + signal.SIGINT, b"", b"")
