"""Training learns, follows its recipe, and goes on after a stop as if there had been none."""

from __future__ import annotations

import io
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from modeling.command import InputError
from modeling.evaluation import measure_accuracy
from modeling.recipe import Recipe
from modeling.run_file import read_run, save_run
from modeling.servable import Servable
from modeling.training import Trainer
from tests.modeling.commands import RECIPE
from tests.modeling.marks import NEEDS_A_COMPILER

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from modeling.facts import ModelFacts


def finish(trainer: Trainer) -> list[float]:
    """Train to the end and return the losses."""
    return [trainer.train_step() for _ in range(trainer.step, trainer.steps)]


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adamw", 0.03), ("muon", 0.03), ("sgd", 0.01)])
def test_learning(facts: ModelFacts, colours: tuple[Tensor, Tensor], optimizer: str, learning_rate: float) -> None:
    """The loss falls and the average of the weights tells three colours apart."""
    recipe = replace(RECIPE, epochs=60, batch_size=12, optimizer=optimizer, learning_rate=learning_rate)
    trainer = Trainer(facts, *colours, recipe)
    losses = finish(trainer)

    assert trainer.steps == len(losses) == 180
    assert median(losses[-9:]) < 0.8 * median(losses[:9])  # a hard batch of twelve is not the end of learning
    accuracy = measure_accuracy(Servable(trainer.average, facts), *colours)
    assert accuracy > 0.8


def test_mixed_labels(facts: ModelFacts, colours: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    """An image is learnt as what it shows: where it shows nothing but the image before, as that one's class."""
    monkeypatch.setattr("modeling.training.mix", lambda images, _: (images.roll(1, 0), torch.zeros(len(images))))
    trainer = Trainer(facts, *colours, replace(RECIPE, epochs=60, batch_size=12, learning_rate=0.03))
    finish(trainer)

    accuracy = measure_accuracy(Servable(trainer.average, facts), *colours)
    assert accuracy > 0.8


@pytest.mark.parametrize(
    ("stop", "recipe"),
    [
        (1, RECIPE),
        (4, RECIPE),
        (9, RECIPE),
        (4, replace(RECIPE, variety="slight", mixed_share=0.25, jpeg_quality=50)),
        (4, replace(RECIPE, optimizer="sgd")),
        (4, replace(RECIPE, optimizer="muon", variety="sharp")),
        pytest.param(4, replace(RECIPE, kernels="own", precision="bf16"), marks=NEEDS_A_COMPILER),
    ],
)
def test_resumed_run(
    facts: ModelFacts, colours: tuple[Tensor, Tensor], tmp_path: Path, stop: int, recipe: Recipe
) -> None:
    """A run that stops at any step and is resumed ends with the very weights of a run that does not stop."""
    whole = Trainer(facts, *colours, recipe)
    losses = finish(whole)
    first = Trainer(facts, *colours, recipe)
    first_losses = [first.train_step() for _ in range(stop)]
    save_run(tmp_path / "run.pth", first, {}, measured=True)
    torch.rand(5)  # whatever else the process draws
    second = Trainer(facts, *colours, recipe)
    saved = read_run(tmp_path / "run.pth", {})
    saved.restore(second)
    assert saved.measured

    assert first_losses + finish(second) == losses
    for expected, found in ((whole.average, second.average), (whole.network, second.network)):
        for name, tensor in expected.state_dict().items():
            assert torch.equal(tensor, found.state_dict()[name]), name


def test_seed(facts: ModelFacts, colours: tuple[Tensor, Tensor]) -> None:
    """The same seed gives the same losses, another seed others."""
    one, same, other = (finish(Trainer(facts, *colours, replace(RECIPE, epochs=1, seed=seed))) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def _unchanged(pixels: Tensor, *_: object) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float()


def test_views_as_served(facts: ModelFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network sees a view as if a caller had stored it, small as it is, as JPEG and a server had enlarged it."""
    monkeypatch.setattr("modeling.training.augment", framed := mock.Mock(side_effect=_unchanged))
    image = torch.randint(0, 256, (16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(epochs=1, batch_size=4, sizes=(32,), mixed_share=0, jpeg_quality=20)
    trainer = Trainer(replace(facts, size=16, enlargement=2), image.expand(4, 16, 16, 3), torch.zeros(4).long(), recipe)
    seen: list[Tensor] = []
    trainer.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    trainer.train_step()

    assert framed.call_args.args[1] == 16
    buffer = io.BytesIO()
    Image.fromarray(image.numpy()).save(buffer, "JPEG", quality=20)
    stored = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (facts.mean, facts.std))
    expected = functional.interpolate((stored - mean) / std, scale_factor=2, mode="bilinear")
    assert (seen[0] - expected).abs().mean() < 0.05  # of a standard deviation of the pixels: how either one rounds


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # to a device that holds no numbers
def test_images_are_kept_where_it_trains(facts: ModelFacts, colours: tuple[Tensor, Tensor]) -> None:
    """With network and average; own kernels are for processors."""
    device = torch.device("meta")
    trainer = Trainer(facts, *colours, RECIPE, device=device)
    networks = (trainer.network, trainer.average)

    assert {each.device for network in networks for each in network.state_dict().values()} == {device}
    assert {each.device for each in trainer._batch()} == {device}
    with pytest.raises(InputError, match="are for processors"):
        Trainer(facts, *colours, replace(RECIPE, kernels="own"), device=device)


def test_few_images(facts: ModelFacts, colours: tuple[Tensor, Tensor]) -> None:
    """Fewer images than a batch holds are one batch."""
    pixels, labels = colours
    trainer = Trainer(facts, pixels[::6], labels[::6], Recipe(epochs=1, sizes=(32,)))

    assert trainer.steps == 1
    assert trainer.train_step() > 0
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        Trainer(facts, pixels[:1], labels[:1], RECIPE)
