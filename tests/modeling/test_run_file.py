"""A run on disk is gone on with as it was started, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from modeling.command import InputError
from modeling.run_file import read_run, save_run
from modeling.training import Trainer
from tests.modeling.commands import RECIPE
from tests.modeling.full_disk import files_of_at_most

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from modeling.facts import ModelFacts


def test_other_settings(facts: ModelFacts, colours: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """A run is not resumed with settings that it was not started with; the error names them."""
    trainer = Trainer(facts, *colours, RECIPE)
    save_run(tmp_path / "run.pth", trainer, {"seed": 0, "width": 1.0}, measured=True)

    with pytest.raises(InputError, match=r"other settings \(width: 1\.0 then, 0\.5 now\)"):
        read_run(tmp_path / "run.pth", {"seed": 0, "width": 0.5})


def test_older_runs(facts: ModelFacts, colours: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """A run from before there was a choice goes on as what it was, MobileNetV2 that saw its images as they came."""
    trainer = Trainer(facts, *colours, RECIPE)
    trainer.train_step()
    torch.save({"trainer": trainer.state_dict(), "settings": {"seed": 0}}, tmp_path / "run.pth")
    resumed = Trainer(facts, *colours, RECIPE)
    then = {"network": "mobilenetv2", "enlargement": 1, "precision": "fp32", "kernels": "torch"}

    saved = read_run(tmp_path / "run.pth", {"seed": 0, **then})
    saved.restore(resumed)
    assert saved.measured  # such runs were saved after a measurement
    assert resumed.step == 1
    with pytest.raises(InputError, match=r"other settings \(enlargement: 1 then, 3 now\)"):
        read_run(tmp_path / "run.pth", {"seed": 0, "network": "mobilenetv2", "enlargement": 3})
    with pytest.raises(InputError, match=r"other settings \(views: as enlarged then, as served now\)"):
        read_run(tmp_path / "run.pth", {"seed": 0, "views": "as served"})
    with pytest.raises(InputError, match=r"other settings \(held_out: by the seed then, each by itself now\)"):
        read_run(tmp_path / "run.pth", {"seed": 0, "held_out": "each by itself"})


def test_no_run(facts: ModelFacts, colours: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """A run that is not there, or is something else, is named."""
    path = tmp_path / "run.pth"
    with pytest.raises(InputError, match="no run to resume"):
        read_run(path, {})
    path.write_bytes(b"text")
    with pytest.raises(InputError, match="cannot read"):
        read_run(path, {})
    torch.save({"trainer": {}, "settings": RECIPE}, path)
    with pytest.raises(InputError, match=r"run\.pth as a training run: it is damaged, or holds more than numbers$"):
        read_run(path, {})
    for state in ({}, {"network": {}}, {"network": None}):
        torch.save({"trainer": state, "settings": {}}, path)
        with pytest.raises(InputError, match=r"cannot read .*run\.pth as a training run"):
            read_run(path, {}).restore(Trainer(facts, *colours, RECIPE))


def test_full_disk(facts: ModelFacts, colours: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """On a full disk saving fails as writing does elsewhere, and the run that was saved before stays."""
    trainer = Trainer(facts, *colours, RECIPE)
    path = tmp_path / "run.pth"
    save_run(path, trainer, {}, measured=True)
    before = path.read_bytes()
    with files_of_at_most(len(before) // 2), pytest.raises(OSError, match="too large"):
        save_run(path, trainer, {}, measured=False)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
