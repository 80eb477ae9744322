"""What the commands share when something is wrong."""

from __future__ import annotations

from typing import NoReturn

import pytest
import torch

from modeling.command import USAGE_ERROR, InputError, run


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("no such data"), "program: no such data\n"),
        (FileNotFoundError(2, "No such file", "absent"), "program: [Errno 2] No such file: 'absent'\n"),
        (MemoryError(), "program: this takes more memory than there is\n"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "program: this takes more memory than there is\n"),
    ],
)
def test_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input, files that cannot be used and too little memory become one line and exit code 2."""

    def fail() -> NoReturn:
        raise error

    assert run("program", fail) == USAGE_ERROR
    assert capsys.readouterr().err == line


def test_memory_that_pytorch_does_not_get(capsys: pytest.CaptureFixture[str]) -> None:
    """PyTorch has an error of its own for too little memory."""
    assert run("program", lambda: len(torch.empty(2**50))) == USAGE_ERROR
    assert capsys.readouterr().err == "program: this takes more memory than there is\n"


def test_mistakes_of_ours() -> None:
    """Any other error is a mistake in the program, and shows where."""
    with pytest.raises(RuntimeError, match="the size of tensor"):
        run("program", lambda: len(torch.ones(2) + torch.ones(3)))
