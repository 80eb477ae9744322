"""The training loop. Its randomness follows from the seed and the step: a run that was cut short goes on as if not."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import get_ema_multi_avg_fn

from modeling.augmentation import VARIETIES, augment, mix
from modeling.checkpoint import load_strictly
from modeling.command import InputError
from modeling.distillation import distillation_loss
from modeling.kernels import quicken
from modeling.optimizers import make_optimizer
from modeling.servable import PROCESSOR, Normalisation
from modeling.stored_view import as_jpeg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from modeling.distillation import Teachers
    from modeling.facts import ModelFacts
    from modeling.recipe import Recipe


class Trainer:
    """A run: the network, the running average of its weights, which is the result, and how far it has come.

    Args:
        facts: Which network, and how its input is normalised.
        pixels: uint8 [N, H, W, 3].
        labels: int64 [N].
        recipe: How to train.
        start: Weights to start from, by name, in place of fresh ones.
        teachers: Networks to learn from besides the labels, on the same device.
        device: Where it trains; the images are kept there.

    Raises:
        InputError: There are fewer than two images, the kernels cannot be compiled, or are not for the device.
    """

    def __init__(
        self,
        facts: ModelFacts,
        pixels: Tensor,
        labels: Tensor,
        recipe: Recipe,
        start: Mapping[str, Tensor] | None = None,
        teachers: Teachers | None = None,
        device: torch.device = PROCESSOR,
    ) -> None:
        if len(labels) < 2:  # noqa: PLR2004 - batch normalisation needs a variance
            raise InputError(f"training needs at least 2 images, got {len(labels)}")
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.step = 0
        self.network = facts.build().to(device).train()
        load_strictly(self.network, {**self.network.state_dict(), **(start or {})})
        convert_conv2d_weight_memory_format(self.network, torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self._device = device
        self._pixels, self._labels = pixels.to(device), labels.to(device)
        self._teachers = teachers
        self._order: Tensor | None = None  # of the images in the current epoch
        self._classes = len(facts.classes)
        self._normalisation = Normalisation(facts, maximum=255).to(device)
        self._served_size = facts.size
        self._batch_size = min(recipe.batch_size, len(labels))
        self.steps_per_epoch = len(labels) // self._batch_size
        self.steps = self.steps_per_epoch * recipe.epochs
        self._optimizer = make_optimizer(recipe.optimizer, self.network, recipe.weight_decay)
        if recipe.kernels == "own":
            if device.type != PROCESSOR.type:
                raise InputError("--kernels own are for processors: give --kernels torch, or --device cpu")
            quicken(self.network)

    @property
    def size(self) -> int:
        """The size at which the network sees the images of the next step, in pixels."""
        return self.recipe.size_at(self.step / self.steps)

    @property
    def result(self) -> nn.Module:
        """The running average of the weights."""
        return self.average

    def size_of_epoch(self, epoch: int) -> int:
        """The size, in pixels, at which the network sees the images when an epoch, counted from 0, ends."""
        return self.recipe.size_at(((epoch + 1) * self.steps_per_epoch - 1) / self.steps)

    def train_step(self) -> float:
        """Train on the next batch and return its loss.

        Raises:
            InputError: The loss is not finite; the weights stay as they were.
        """
        torch.manual_seed(self._seed(self.step))  # for the augmentation and the dropout
        views, labels = self._batch()
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(self.step / self.steps)
        inputs = self._normalisation(self._as_served(views))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            logits = self.network(inputs).float()
        loss = self._loss(logits, labels, views)
        value = loss.item()  # the only time in a step that a GPU is waited for
        if not math.isfinite(value):
            raise InputError(f"the loss is not finite at step {self.step + 1}: give a lower --learning-rate")
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._update_average()
        self.step += 1
        return value

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on; it needs no state of a random generator."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self._order = None

    def _loss(self, logits: Tensor, labels: Tensor, views: Tensor) -> Tensor:
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        if self._teachers is None:
            return loss
        share, temperature = self.recipe.teacher_share, self.recipe.teacher_temperature
        return (1 - share) * loss + share * distillation_loss(logits, self._teachers.logits(views), temperature)

    def _seed(self, number: int) -> int:
        return self.recipe.seed * 1_000_003 + number

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return the current step's views, float32 [N, 3, H, W], 0 to 255, and labels, float32 [N, classes]."""
        epoch, index = divmod(self.step, self.steps_per_epoch)
        if index == 0 or self._order is None:  # not at each step: a copy to a GPU waits until it has nothing else to do
            order = torch.randperm(len(self._labels), generator=torch.Generator().manual_seed(self._seed(epoch)))
            self._order = order.to(self._device)
        chosen = self._order[index * self._batch_size :][: self._batch_size]
        size = min(self.size, self._served_size)
        views, own = mix(augment(self._pixels[chosen], size, VARIETIES[self.recipe.variety]), self.recipe.mixed_share)
        labels = functional.one_hot(self._labels[chosen], self._classes)
        return views, torch.lerp(labels.roll(1, 0).float(), labels.float(), own.unsqueeze(1))

    def _as_served(self, views: Tensor) -> Tensor:
        """Return what the network gets to see of views that callers send: [N, 3, size, size]."""
        if self.recipe.jpeg_quality:
            views = as_jpeg(views, self.recipe.jpeg_quality)
        return functional.interpolate(views, size=(self.size, self.size), mode="bilinear")

    @torch.no_grad()
    def _update_average(self) -> None:
        # At the beginning the average forgets faster, or it would hold on to the first random weights.
        decay = min(self.recipe.average_decay, (1 + self.step) / (10 + self.step))
        averages, values = self.average.state_dict(), self.network.state_dict()
        real = [name for name, value in values.items() if value.is_floating_point()]
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # PyTorch does not annotate it
        move([averages.pop(name) for name in real], [values.pop(name) for name in real], 0)
        for name, count in averages.items():
            count.copy_(values[name])
