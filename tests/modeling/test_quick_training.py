"""Quick training learns in a few steps, and goes on after a stop as if there had been none."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from modeling.command import InputError
from modeling.evaluation import measure_accuracy
from modeling.facts import ModelFacts
from modeling.quick_training import MEAN, STD, QuickTrainer, _sample, _share_of_rate
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
    """An image moves by whole pixels, up to four, with its mirror image beyond its edges, and is mirrored as a whole.

    Which images are mirrored alternates: who is in one epoch is not in the next.
    """
    image = torch.randint(0, 256, (12, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    trainer = QuickTrainer(FACTS, image.expand(200, 12, 12, 3), torch.arange(200) % 3, 2)
    padded = functional.pad(image.permute(2, 0, 1).float()[None], (4, 4, 4, 4), "reflect")[0]
    moved = torch.stack([padded[:, y : y + 12, x : x + 12] for y in range(9) for x in range(9)])
    mirrored = []
    for trainer.step in (0, 1):  # an epoch has one step
        views, _ = trainer._batch()
        plain, flipped = ((views.unsqueeze(1) == kind).flatten(2).all(dim=2) for kind in (moved, moved.flip(3)))
        assert views.shape == (200, 3, 12, 12)
        assert ((plain | flipped).sum(dim=1) == 1).all()
        assert (plain | flipped).any(dim=0).sum() > 60
        mirrored.append(flipped.any(dim=1).sum().item())

    assert 70 < mirrored[0] < 130
    assert sum(mirrored) == 200


def test_learning_rate() -> None:
    """It rises from a fifth to the whole in the first quarter, nearly, and falls in a line to nearly nothing."""
    assert [_share_of_rate(progress) for progress in (0, 0.23, 1)] == pytest.approx([0.2, 1, 0.07])
    assert _share_of_rate(0.115) == pytest.approx(0.6)
    assert _share_of_rate(0.615) == pytest.approx(0.535)


def test_biases(colours: tuple[Tensor, Tensor]) -> None:
    """Biases of the whitening and the blocks learn 64 times as fast as filters, and attention as filters do."""
    trainer = QuickTrainer(replace(FACTS, attention="ca"), *colours, 1)
    names = {parameter: name for name, parameter in trainer.network.named_parameters()}
    fast, slow = trainer._optimizer.param_groups

    biases = [f"features.{block}.bn{number}.bias" for block in range(3) for number in (1, 2)]
    assert sorted(names[each] for each in fast["params"]) == [*biases, "whitening.bias"]
    assert fast["highest_lr"] == pytest.approx(64 * slow["highest_lr"])
    fixed = {"whitening.weight", *(name.replace("bias", "weight") for name in biases)}
    assert {names[each] for each in slow["params"]} == {*names.values()} - fixed - {*biases, "whitening.bias"}


def test_average(colours: tuple[Tensor, Tensor]) -> None:
    """Every fifth step, and the last one, sets the weights to an average of what they were since the one before."""
    trainer = QuickTrainer(FACTS, *colours, 7)
    averaged = []
    for _ in range(trainer.steps):
        trainer.train_step()
        state = trainer.network.state_dict()
        averaged.append(all(torch.equal(state[name], value) for name, value in trainer.state_dict()["average"].items()))

    assert averaged == [False, False, False, False, True, False, True]


def test_whitened_by_all(colours: tuple[Tensor, Tensor]) -> None:
    """The first filters are those of images from all over the data, which may be sorted, and not of too many."""
    pixels, labels = colours
    order = labels.argsort()

    assert torch.equal(_sample(pixels[order]), pixels[order])
    large = torch.zeros(8, 1500, 1500, 1, dtype=torch.uint8) + torch.arange(8, dtype=torch.uint8).view(-1, 1, 1, 1)
    assert _sample(large)[:, 0, 0, 0].tolist() == [0, 4]


def test_few_images(colours: tuple[Tensor, Tensor]) -> None:
    """One image has nothing to be compared with."""
    pixels, labels = colours
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        QuickTrainer(FACTS, pixels[:1], labels[:1], 1)
