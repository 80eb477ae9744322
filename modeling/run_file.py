"""A training run on disk, to go on with later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from modeling.command import InputError
from modeling.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from modeling.training import Trainer

# What runs were started with before there was a choice; only the classes of older runs are not known.
_FORMERLY = {
    "network": "mobilenetv2",
    "enlargement": 1,
    "precision": "fp32",
    "kernels": "torch",
    "teachers": None,
    "teacher_share": 0.9,
    "teacher_temperature": 4.0,
    "variety": "full",
    "jpeg_quality": 0,
}


def save_run(path: Path, trainer: Trainer, settings: dict[str, Any], *, measured: bool) -> None:
    """Write where a run stands, whether its last whole epoch was measured, and what settings it was started with."""
    with replacing(path) as temporary:
        torch.save({"trainer": trainer.state_dict(), "settings": settings, "measured": measured}, temporary)


def resume_run(path: Path, trainer: Trainer, settings: dict[str, Any]) -> bool:
    """Bring a fresh trainer to where a run stood; return whether its last whole epoch was measured.

    Raises:
        InputError: The file cannot be read, or the run was started with other settings.
    """
    try:
        run = torch.load(path, map_location="cpu", weights_only=True)
        unnamed = {"classes": settings.get("classes")}
        stored, state = {**_FORMERLY, **unnamed, **run["settings"]}, run["trainer"]
    except FileNotFoundError:
        raise InputError(f"there is no run to resume: {path} does not exist") from None
    except Exception as error:  # noqa: BLE001 - the unpickler meets garbage with errors of any kind
        reason = str(error).partition("\n")[0]
        raise InputError(f"cannot read {path} as a training run ({reason})") from None
    differing = [name for name, value in settings.items() if stored.get(name) != value]
    if differing:
        changes = ", ".join(f"{name}: {stored.get(name)} then, {settings[name]} now" for name in differing)
        raise InputError(f"the run in {path} was started with other settings ({changes})")
    trainer.load_state_dict(state)
    return bool(run.get("measured", True))
