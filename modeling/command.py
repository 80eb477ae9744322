"""What the commands of this package share: how they read arguments and how they say that something is wrong."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING, NoReturn

from imaging.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INTERRUPTED", "USAGE_ERROR", "InputError", "Parser", "positive", "positive_number", "run", "seed"]

USAGE_ERROR = 2
INTERRUPTED = 130  # what shells report of a command that Ctrl-C ended


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows each default that says something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """Arguments with their defaults in the help, and errors of one line."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(program, description=description, formatter_class=_Help)

    def error(self, message: str) -> NoReturn:
        """Print the message and leave with exit code 2."""
        self.exit(USAGE_ERROR, f"{self.prog}: {message} (--help shows the options)\n")


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def positive_number(text: str) -> float:
    """Read a number above 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def seed(text: str) -> int:
    """Read what random generators of any kind begin with: a whole number of 32 bits."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"{number} is not from 0 to {2**32 - 1}")
    return number


def _out_of_memory(error: Exception) -> bool:
    # PyTorch's words for memory of the processor and of a GPU
    return isinstance(error, MemoryError) or any(
        words in str(error) for words in ("can't allocate memory", "out of memory")
    )


def run(program: str, command: Callable[[], int]) -> int:
    """Run a command and return its exit code.

    Bad input, unusable files and too little memory become one line and exit code 2.
    """
    try:
        return command()
    except (InputError, OSError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return USAGE_ERROR
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        sys.stderr.write(f"{program}: this takes more memory than there is\n")
        return USAGE_ERROR
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted\n")
        return INTERRUPTED
