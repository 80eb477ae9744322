"""Teachers answer as they would be served, and what learns from them comes to say the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from modeling.checkpoint import save_checkpoint
from modeling.command import InputError
from modeling.distillation import Teachers, distillation_loss
from modeling.facts import ModelFacts
from modeling.recipe import Recipe
from modeling.servable import Precision, Servable
from modeling.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

CLASSES = ("a", "b", "c")
FACTS = ModelFacts(CLASSES, size=16, width=0.1, enlargement=2, temperature=0.5)


@pytest.fixture
def teacher(tmp_path: Path, trained: Callable[[ModelFacts], nn.Module]) -> tuple[str, Servable]:
    """A network's file, and the network as it is served."""
    network = trained(FACTS)
    path = tmp_path / "teacher.safetensors"
    save_checkpoint(path, network.state_dict(), FACTS)
    return str(path), Servable(network, FACTS)


def test_same_images(teacher: tuple[str, Servable]) -> None:
    """A teacher says of a view what it would say of the image as a caller sends it."""
    source, served = teacher
    images = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)

    found = Teachers([source], CLASSES, Precision.FP32).logits(images.permute(0, 3, 1, 2).float())

    # Weights are stored with half the precision.
    torch.testing.assert_close(found, served.logits(images), rtol=0.05, atol=0.05)


def test_larger_views(teacher: tuple[str, Servable]) -> None:
    """Of a view that was sampled more finely, a teacher sees what sampling at its own size gives."""
    teachers = Teachers([teacher[0]], CLASSES, Precision.FP32)
    large = torch.rand(2, 3, 48, 48) * 255

    torch.testing.assert_close(teachers.logits(large), teachers.logits(large[:, :, 1::3, 1::3]), rtol=1e-4, atol=1e-4)


def test_several_teachers(teacher: tuple[str, Servable], tmp_path: Path) -> None:
    """Several teachers say the mean of their logits; each may be another network and see another size."""
    facts = replace(FACTS, network="resnet9", attention="none", size=24, enlargement=1)
    torch.manual_seed(1)
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, facts.build().state_dict(), facts)
    views = torch.rand(2, 3, 48, 48) * 255

    one, two, both = (
        Teachers(sources, CLASSES, Precision.FP32).logits(views)
        for sources in ([teacher[0]], [str(other)], [teacher[0], str(other)])
    )

    torch.testing.assert_close(both, (one + two) / 2)
    assert not torch.equal(one, two)


def test_other_classes(teacher: tuple[str, Servable]) -> None:
    """A teacher for other classes is refused; so are the same ones in another order."""
    with pytest.raises(InputError, match=r"teacher\.safetensors knows other classes \(a, b, c\)"):
        Teachers([teacher[0]], ("c", "b", "a"), Precision.FP32)


def test_loss() -> None:
    """The loss is none where the probabilities agree, and otherwise as the paper has it."""
    torch.manual_seed(0)
    logits, taught = torch.randn(4, 3), torch.randn(4, 3)

    assert distillation_loss(taught + 5, taught, 3.0).item() == pytest.approx(0, abs=1e-6)
    right = functional.softmax(taught / 2, dim=1)
    expected = (right * (right.log() - functional.log_softmax(logits / 2, dim=1))).sum() / 4 * 2**2
    assert distillation_loss(logits, taught, 2.0).item() == pytest.approx(expected.item(), rel=1e-5)


def test_teachers_see_what_jpeg_loses(teacher: tuple[str, Servable], monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers are asked about a view before it is stored as JPEG, so that they can teach to see past the loss."""
    monkeypatch.setattr("modeling.training.augment", lambda pixels, *_: pixels.permute(0, 3, 1, 2).float())
    pixels = torch.randint(0, 256, (1, 16, 16, 3), dtype=torch.uint8).expand(4, 16, 16, 3)
    teachers = Teachers([teacher[0]], CLASSES, Precision.FP32)
    seen: list[Tensor] = []
    answer = teachers.logits
    monkeypatch.setattr(teachers, "logits", lambda views: (seen.append(views), answer(views))[1])
    recipe = Recipe(epochs=1, batch_size=4, sizes=(32,), variety="slight", jpeg_quality=20)

    Trainer(FACTS, pixels, torch.zeros(4).long(), recipe, teachers=teachers).train_step()

    assert torch.equal(seen[0], pixels.permute(0, 3, 1, 2).float())


def test_learning_from_teachers(teacher: tuple[str, Servable]) -> None:
    """With the whole loss from the teachers the labels count for nothing: the network says what they say."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (24, 1, 1, 3), dtype=torch.uint8).expand(24, 16, 16, 3).contiguous()
    taught = teacher[1](pixels).argmax(dim=1)
    wrong = (taught + 1) % 3
    recipe = Recipe(epochs=20, batch_size=12, sizes=(32,), learning_rate=0.03, average_decay=0.5, teacher_share=1.0)
    trainer = Trainer(FACTS, pixels, wrong, recipe, teachers=Teachers([teacher[0]], CLASSES, Precision.FP32))
    for _ in range(trainer.steps):
        trainer.train_step()

    answers = Servable(trainer.average, FACTS)(pixels).argmax(dim=1)
    assert (answers == taught).float().mean() > 0.8
