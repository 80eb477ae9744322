"""The command line: what it prints, where, and what it exits with."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from client.command_line import main
from tests.client.conftest import NOBODY
from tests.client.servicers import Gate, NativeServicer, PlainServicer, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "client"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a server."""
    with serving(NativeServicer()) as address:
        yield address


def run(url: str, *arguments: object) -> int:
    """Runs a command in this process; the server's address comes from the environment."""
    return main([str(argument) for argument in arguments], {"COORDSERVE_URL": url})


def test_results_are_aligned_and_in_order(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One line for each class: file, probability, label."""
    monkeypatch.chdir(folder)

    assert run(url, "classify", ".", "--top-k", 2) == 0

    out, err = capfd.readouterr()
    assert err == ""
    lines = [re.sub(r"\d\.\d{4}", "<number>", line) for line in out.splitlines()]
    assert lines[::2] == [
        "./green.JPG    <number>  green: leaf",
        "./red.png      <number>  red",
        "./a/blue.webp  <number>  bleu café",
    ]
    assert all(line.startswith(" " * 15 + "<number>  ") for line in lines[1::2])


def test_json_is_one_object_a_line(url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Failures stand among the results, with the names that were asked for."""
    files = [str(folder / "red.png"), str(folder / "absent.jpg"), str(folder / "notes.txt")]

    assert run(url, "classify", "--json", "--top-k", "1", "--model", "m", "--version", "3", *files) == 1

    red, absent, notes = map(json.loads, capfd.readouterr().out.splitlines())
    assert list(red) == ["file", "model", "version", "classes", "error"]
    assert (red["file"], red["model"], red["version"], red["error"]) == (files[0], "m", "3", None)
    assert [(each["index"], each["label"]) for each in red["classes"]] == [(0, "red")]
    assert absent == {
        "file": files[1],
        "model": "m",
        "version": "3",
        "classes": [],
        "error": "cannot read the image: No such file or directory",
    }
    assert "supported" in notes["error"]


def test_json_has_null_where_a_probability_is_no_number(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a broken model says is still JSON for parsers that keep to the standard."""
    monkeypatch.setattr("tests.client.servicers.probabilities", lambda _: np.full(3, np.nan))

    assert run(url, "classify", "--json", folder / "red.png") == 0
    line = json.loads(capfd.readouterr().out, parse_constant=pytest.fail)
    assert [each["probability"] for each in line["classes"]] == [None] * 3


def test_failures_do_not_stop_the_rest(url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """People read failures on standard error."""
    assert run(url, "classify", folder / "absent.jpg", folder / "red.png", "--top-k", 1) == 1

    out, err = capfd.readouterr()
    assert out.endswith("red\n")
    assert err == f"{folder / 'absent.jpg'}: cannot read the image: No such file or directory\n1 of 2 images failed\n"


def test_standard_input_is_an_image(
    url: str, photos: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is called - in the results."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photos[2])))

    assert run(url, "classify", "--json", "-") == 0

    result = json.loads(capfd.readouterr().out)
    assert (result["file"], result["classes"][0]["label"]) == ("-", "bleu café")


def test_names_that_a_terminal_would_obey_are_escaped(
    url: str, photos: list[bytes], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """For people; programs get the name as it is, whatever its bytes."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\x1b[2J\xff.png")
    with open(path, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write(photos[0])

    assert run(url, "classify", tmp_path) == 0
    assert "\\x1b[2J\\udcff.png" in capfd.readouterr().out
    assert run(url, "classify", tmp_path, "--json") == 0
    assert json.loads(capfd.readouterr().out)["file"] == path


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["classify"],
        ["classify", "--top-k", "0", "x.jpg"],
        ["classify", "--top-k", "many", "x.jpg"],
        ["classify", "--top-k", "2147483648", "x.jpg"],
        ["classify", "--model", "\udcff", "x.jpg"],
        ["status", "--url", "\udcff:8001"],
        ["classify", "--concurrency", "-1", "x.jpg"],
        ["classify", "--timeout", "0", "x.jpg"],
        ["classify", "--timeout", "inf", "x.jpg"],
        ["classify", "--timeout", "soon", "x.jpg"],
        ["status", "x.jpg"],
        ["status", "--url", ""],
        ["status", "--url", "http://127.0.0.1:8001"],
        ["status", "--url", "127.0.0.1"],
        ["status", "--url", "::1"],
        ["status", "--url", "localhost:port"],
    ],
)
def test_senseless_command_lines_exit_2(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """The usage is shown and nothing is sent."""
    with pytest.raises(SystemExit) as raised:
        run(NOBODY, *arguments)

    assert raised.value.code == 2
    assert "usage: python -m client" in capfd.readouterr().err


def test_no_image_exits_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A directory without images is a mistake in the command line."""
    assert run(NOBODY, "classify", tmp_path) == 2
    assert capfd.readouterr().err == f"no image in {tmp_path}\n"


def test_an_empty_directory_beside_images_exits_1(url: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is named, and the others' images are classified."""
    (folder / "empty").mkdir()

    assert run(url, "classify", folder / "empty", folder / "a", "--top-k", 1) == 1
    out, err = capfd.readouterr()
    assert out.endswith("bleu café\n")
    assert err == f"no image in {folder / 'empty'}\n"


@pytest.mark.parametrize("arguments", [["classify", "x.jpg"], ["classify", "--json", "x.jpg"], ["status"]])
def test_unreachable_server_exits_3(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """The address that was tried is named."""
    assert run(NOBODY, *arguments) == 3

    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"cannot reach the server at {NOBODY}: ")


def test_silent_server_exits_3(capfd: pytest.CaptureFixture[str]) -> None:
    """Something that accepts connections and says nothing is no server."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        assert run(url, "classify", "x.jpg", "--timeout", 0.2) == 3
        assert run(url, "status", "--timeout", 0.2) == 3

    assert capfd.readouterr().err == f"cannot reach the server at {url}: no answer in time\n" * 2


def test_server_that_refuses_exits_1(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What holds for every image is said once."""
    with serving(PlainServicer()) as url:
        assert run(url, "classify", folder, "--model", "other") == 1
        assert capfd.readouterr().err == f"{url}: Request for unknown model: 'other' is not found\n"


@pytest.mark.parametrize("arguments", [["--help"], ["classify", "--help"], ["status", "--help"]])
def test_help_tells_exit_codes(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Scripts need them."""
    with pytest.raises(SystemExit) as raised:
        run("somewhere:8001", *arguments)

    assert raised.value.code == 0
    assert "3  the server could not be reached" in capfd.readouterr().out


def test_address_with_a_zone(capfd: pytest.CaptureFixture[str]) -> None:
    """The help shows the address as it is, its % too."""
    with pytest.raises(SystemExit) as raised:
        main(["status", "--help"], {"COORDSERVE_URL": "[fe80::1%eth0]:8001"})

    assert raised.value.code == 0
    assert "now [fe80::1%eth0]:8001" in " ".join(capfd.readouterr().out.split())


def test_what_a_server_says_is_escaped(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A terminal obeys nothing that an error's text holds."""
    with serving(PlainServicer()) as url:
        assert run(url, "classify", folder, "--model", "\x1b[2J") == 1
    assert "\\x1b[2J" in capfd.readouterr().err


def test_full_disk_is_told(url: str, folder: Path) -> None:
    """Results that cannot be written end the command with one line."""
    with Path("/dev/full").open("w") as full:
        command = [*COMMAND, "classify", str(folder), "--url", url]
        result = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("environment", [{}, {"COORDSERVE_URL": ""}])
def test_address_has_a_default(environment: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    """Without $COORDSERVE_URL it is the server's own default."""
    with pytest.raises(SystemExit):
        main(["status", "--help"], environment)

    assert "now 127.0.0.1:8001" in capfd.readouterr().out


def test_bar_is_shown_on_a_terminal_and_results_stay_clean(url: str, folder: Path) -> None:
    """Standard error is a terminal, standard output a pipe: each gets its own."""
    terminal, end = os.openpty()
    try:
        command = [*COMMAND, "classify", str(folder), "--url", url, "--top-k", "1"]
        environment = {**os.environ, "TERM": "xterm"}
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=end, env=environment, check=True)
        shown = os.read(terminal, 100_000).decode()
    finally:
        os.close(end)
        os.close(terminal)

    assert "3/3" in shown
    assert [line.split()[-1] for line in result.stdout.decode().splitlines()] == ["leaf", "red", "café"]
    assert b"\x1b" not in result.stdout


def test_json_on_a_terminal_stays_a_line(url: str, tmp_path: Path, photos: list[bytes]) -> None:
    """Lines that are longer than the terminal is wide are not folded: programs read them from there, too."""
    for number in range(2):
        (tmp_path / f"{'long' * 40}{number}.png").write_bytes(photos[0])
    terminal, end = os.openpty()
    try:
        command = [*COMMAND, "classify", "--json", str(tmp_path), "--url", url]
        subprocess.run(command, cwd=ROOT, stdout=end, stderr=end, env={**os.environ, "TERM": "xterm"}, check=True)
        shown = os.read(terminal, 100_000).decode()
    finally:
        os.close(end)
        os.close(terminal)

    assert [json.loads(line)["error"] for line in shown.splitlines()] == [None, None]


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
    terminal, end = os.openpty()
    arguments = [argument.replace("FOLDER", str(folder)) for argument in arguments]
    command = shlex.join([*COMMAND, *arguments, "--url", running_server])
    result = subprocess.run(f"{command} >&-", cwd=ROOT, shell=True, stderr=end, check=False)  # noqa: S602 - a shell closes it
    os.close(end)
    os.close(terminal)

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
        assert process.stdout
        process.stdout.readline()  # the first image is done
        _wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT


def _wait_until_it_reads(pid: int) -> None:
    """Wait until the main thread of a process is in read() of its standard input, as the kernel tells."""
    end = time.monotonic() + 30
    while not Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 "):
        assert time.monotonic() < end, "it never read"
        time.sleep(0.01)


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
