"""A training run on disk, to go on with later."""

from __future__ import annotations

import io
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from modeling.command import InputError
from modeling.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from modeling.training_run import Training

# What runs were started with before there was a choice.
_FORMERLY = {
    "network": "mobilenetv2",
    "enlargement": 1,
    "precision": "fp32",
    "kernels": "torch",
    "teachers": None,
    "teacher_share": 0.9,
    "teacher_temperature": 4.0,
    "views": "as enlarged",
    "variety": "full",
    "mixed_share": 0.5,
    "optimizer": "adamw",
    "jpeg_quality": 0,
    "held_out": "by the seed",
}
SOURCES = ("weights", "teachers")  # settings that name files
_UNKNOWN = ("classes", "data", "test_data", "teachers_weights")  # of older runs


class SavedRun(NamedTuple):
    """Where a run stood.

    Attributes:
        path: The file that says so.
        state: The training's.
        measured: Whether the last whole epoch was measured.
        sources: The files that it was started with, by their names then.
    """

    path: Path
    state: dict[str, Any]
    measured: bool
    sources: dict[str, Any]

    def restore(self, training: Training) -> None:
        """Bring a fresh training to where the run stood.

        Raises:
            InputError: The state is not that of such a training.
        """
        try:
            training.load_state_dict(self.state)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise _unreadable(self.path, error) from None


def save_run(path: Path, training: Training, settings: dict[str, Any], *, measured: bool) -> None:
    """Write where a run stands, whether its last whole epoch was measured, and what settings it was started with."""
    content = io.BytesIO()  # written to the disk itself, PyTorch would not say that it is full
    torch.save({"trainer": training.state_dict(), "settings": settings, "measured": measured}, content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_run(path: Path, settings: dict[str, Any]) -> SavedRun:
    """Read where a run stood that was started with these settings.

    The weights that it began with are not read again, and teachers are known by what they are: their names may differ.

    Raises:
        InputError: The file cannot be read, or the run was started with other settings.
    """
    try:
        run = torch.load(path, map_location="cpu", weights_only=True)
        unknown = {name: settings.get(name) for name in _UNKNOWN}
        stored, state = {**_FORMERLY, **unknown, **run["settings"]}, run["trainer"]
    except FileNotFoundError:
        raise InputError(f"there is no run to resume: {path} does not exist") from None
    except UnpicklingError:
        raise InputError(f"cannot read {path} as a training run: it is damaged, or holds more than numbers") from None
    except Exception as error:  # noqa: BLE001 - the unpickler meets garbage with errors of any kind
        raise _unreadable(path, error) from None
    known = all("teachers_weights" in each for each in (run["settings"], settings))
    may_differ = SOURCES if known else ("weights",)
    differing = [name for name, value in settings.items() if name not in may_differ and stored.get(name) != value]
    if differing:
        changes = ", ".join(f"{name}: {stored.get(name)} then, {settings[name]} now" for name in differing)
        raise InputError(f"the run in {path} was started with other settings ({changes})")
    sources = {name: stored[name] for name in SOURCES if name in stored}
    return SavedRun(path, state, bool(run.get("measured", True)), sources)


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = str(error).partition("\n")[0]
    return InputError(f"cannot read {path} as a training run ({reason})")
