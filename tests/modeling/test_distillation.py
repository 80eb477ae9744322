"""Teachers answer as they would be served, and what learns from them comes to say the same."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image
from torch.nn import functional

from imaging import decode_crop
from modeling.checkpoint import save_checkpoint
from modeling.command import InputError
from modeling.distillation import Teachers, distillation_loss
from modeling.facts import ModelFacts
from modeling.recipe import Recipe
from modeling.servable import Precision, Servable
from modeling.training import Trainer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

CLASSES = ("a", "b", "c")
FACTS = ModelFacts(
    CLASSES, size=16, network="shufflenetv2", attention="none", width=0.1, enlargement=2, temperature=0.5
)


def plain_images(count: int) -> Tensor:
    """Draw images of one colour each: uint8 [count, 16, 16, 3]."""
    return torch.randint(0, 256, (count, 1, 1, 3), dtype=torch.uint8).expand(count, 16, 16, 3).contiguous()


@pytest.fixture
def teacher(tmp_path: Path) -> tuple[str, Servable]:
    """A network's file, and the network as it is served; it says something else of every image."""
    torch.manual_seed(0)
    network = FACTS.build()
    matrix = network.classifier[0]
    with torch.no_grad():
        logits = Servable(network, FACTS).logits(plain_images(64))
        matrix.weight.div_(logits.std(dim=0).unsqueeze(1))
        matrix.bias.copy_(-(logits / logits.std(dim=0)).mean(dim=0))
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
    """Of a larger view, a teacher sees what a server would make of it."""
    teachers = Teachers([teacher[0]], CLASSES, Precision.FP32)
    large = torch.randint(0, 256, (48, 48, 3), dtype=torch.uint8)
    buffer = io.BytesIO()
    Image.fromarray(large.numpy()).save(buffer, "PNG")
    small = torch.from_numpy(decode_crop(buffer.getvalue(), 16, 16))

    of_large, of_small = (teachers.logits(view.permute(2, 0, 1)[None].float()) for view in (large, small))

    torch.testing.assert_close(of_large, of_small, rtol=0.02, atol=0.02)  # a server rounds what it makes smaller
    of_few = teachers.logits(large[1::3, 1::3].permute(2, 0, 1)[None].float())
    assert (of_large - of_few).abs().max() > 0.1


def test_several_teachers(teacher: tuple[str, Servable], tmp_path: Path) -> None:
    """Several teachers say the mean of their logits; each may be another network and see another size."""
    facts = replace(FACTS, network="airbench", size=24, enlargement=1)
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
    recipe = Recipe(epochs=1, batch_size=4, sizes=(32,), mixed_share=0, jpeg_quality=20)

    Trainer(FACTS, pixels, torch.zeros(4).long(), recipe, teachers=teachers).train_step()

    assert torch.equal(seen[0], pixels.permute(0, 3, 1, 2).float())


def test_learning_from_teachers(teacher: tuple[str, Servable]) -> None:
    """With the whole loss from the teachers the labels count for nothing: the network says what they say."""
    torch.manual_seed(0)
    pixels = plain_images(24)
    taught = teacher[1](pixels).argmax(dim=1)
    assert len(taught.unique()) == 3
    wrong = (taught + 1) % 3
    recipe = Recipe(epochs=100, batch_size=12, sizes=(32,), learning_rate=0.03, average_decay=0.5, teacher_share=1.0)
    trainer = Trainer(FACTS, pixels, wrong, recipe, teachers=Teachers([teacher[0]], CLASSES, Precision.FP32))
    for _ in range(trainer.steps):
        trainer.train_step()

    answers = Servable(trainer.average, FACTS)(pixels).argmax(dim=1)
    assert (answers == taught).float().mean() > 0.5  # of the labels none is right
