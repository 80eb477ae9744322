"""The command's table says what the counting finds."""

from __future__ import annotations

import pytest

from modeling.count import main


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """There is a line for each pair that was asked for, with exact numbers."""
    assert main(["--network", "mobilenetv2", "shufflenetv2", "--attention", "none"]) == 0

    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["network", "attention", "parameters", "M-Adds"]
    assert [line.split() for line in lines] == [
        ["mobilenetv2", "none", "3,504,872", "300,774,272"],
        ["shufflenetv2", "none", "2,278,604", "144,907,992"],
    ]


@pytest.mark.parametrize("options", [["--attention", "magic"], ["--size", "0"], ["--network"], ["--width", "0"]])
def test_refusals(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    """A wrong value ends in exit code 2 and one line."""
    with pytest.raises(SystemExit) as leaving:
        main(options)

    assert leaving.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--size", "8", "airbench must see at least 9 pixels a side, got 8"),
        ("--width", "1e300", "width must be at most 10, got 1e+300"),
        ("--size", "1" + "0" * 12, "size must be at most 100000, got 1e+12"),
        ("--classes", "1" + "0" * 30, "classes must be at most 100000, got 1e+30"),
    ],
)
def test_wrong_sizes(capsys: pytest.CaptureFixture[str], option: str, value: str, message: str) -> None:
    """A network or an image that fits into no machine, or is too small for a network, is not counted."""
    assert main([option, value]) == 2
    assert capsys.readouterr().err == f"python -m modeling.count: {message}\n"
