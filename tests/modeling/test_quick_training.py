"""Quick training learns in a few steps, and goes on after a stop as if there had been none."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from modeling.command import InputError
from modeling.evaluation import measure_accuracy
from modeling.facts import ModelFacts
from modeling.quick_training import MEAN, STD, QuickTrainer, _moved
from modeling.run_file import read_run, save_run
from modeling.servable import Servable
from modeling.sources import read_images
from tests.modeling.conftest import COLOURS

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FACTS = ModelFacts(tuple(COLOURS), 12, network="airbench", width=0.1, attention="none", mean=MEAN, std=STD)


@pytest.fixture(scope="module")
def colours(coloured_folder: Path) -> tuple[Tensor, Tensor]:
    """The pixels and labels of three colours."""
    return read_images(coloured_folder).decode(FACTS.size, 1.0)


def finish(trainer: QuickTrainer) -> list[float]:
    """Train to the end and return the losses."""
    return [trainer.train_step() for _ in range(trainer.step, trainer.steps)]


def test_learning(colours: tuple[Tensor, Tensor]) -> None:
    """The loss falls and the network tells three colours apart."""
    trainer = QuickTrainer(FACTS, *colours, 60)
    losses = finish(trainer)

    assert trainer.steps == len(losses) == 60
    assert mean(losses[-5:]) < 0.5 * mean(losses[:5])
    assert measure_accuracy(Servable(trainer.result.eval(), FACTS), *colours) > 0.9


@pytest.mark.parametrize("stop", [1, 5, 7])
def test_resumed_run(
    colours: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """A run that stops at any step and is resumed ends with the very weights of a run that does not stop."""
    monkeypatch.setattr("modeling.quick_training.BATCH_SIZE", 16)
    whole = QuickTrainer(FACTS, *colours, 6)
    losses = finish(whole)
    first = QuickTrainer(FACTS, *colours, 6)
    first_losses = [first.train_step() for _ in range(stop)]
    save_run(tmp_path / "run.pth", first, {}, measured=True)
    torch.rand(5)  # whatever else the process draws
    second = QuickTrainer(FACTS, *colours, 6)
    read_run(tmp_path / "run.pth", {}).restore(second)

    assert first_losses + finish(second) == losses
    assert whole.steps == 12
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name


def test_seed(colours: tuple[Tensor, Tensor]) -> None:
    """The same seed gives the same losses, another seed others."""
    one, same, other = (finish(QuickTrainer(FACTS, *colours, 3, seed=seed)) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_views() -> None:
    """An image moves by whole pixels, up to four, mirrored or not, with its mirror image beyond its edges."""
    torch.manual_seed(0)
    image = torch.randint(0, 256, (12, 12, 3), dtype=torch.uint8)
    mirrored = torch.arange(200) % 2 == 1
    views = _moved(image.expand(200, 12, 12, 3), mirrored)
    padded = functional.pad(image.permute(2, 0, 1).float()[None], (4, 4, 4, 4), "reflect")[0]
    moved = torch.stack([padded[:, y : y + 12, x : x + 12] for y in range(9) for x in range(9)])

    assert views.shape == (200, 3, 12, 12)
    for of_this_kind, expected in ((~mirrored, moved), (mirrored, moved.flip(3))):
        places = (views[of_this_kind].unsqueeze(1) == expected).flatten(2).all(dim=2)
        assert (places.sum(dim=1) == 1).all()
        assert places.any(dim=0).sum() > 40


def test_few_images(colours: tuple[Tensor, Tensor]) -> None:
    """One image has nothing to be compared with."""
    pixels, labels = colours
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        QuickTrainer(FACTS, pixels[:1], labels[:1], 1)
