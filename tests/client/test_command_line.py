"""The command line: what it prints, where, and what it exits with."""

from __future__ import annotations

import json
import os
import re
import socket
from typing import TYPE_CHECKING

import numpy as np
import pytest

from client.command_line import main
from tests.client.conftest import NOBODY
from tests.client.servicers import PlainServicer, serving

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("environment", [{}, {"COORDSERVE_URL": ""}])
def test_address_has_a_default(environment: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    """Without $COORDSERVE_URL it is the server's own default."""
    with pytest.raises(SystemExit):
        main(["status", "--help"], environment)

    assert "now 127.0.0.1:8001" in capfd.readouterr().out
