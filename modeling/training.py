"""The training loop. Its randomness follows from the seed and the step: a run that was cut short goes on as if not."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from modeling.augmentation import augment, mix
from modeling.checkpoint import load_strictly
from modeling.command import InputError
from modeling.kernels import quicken
from modeling.servable import Normalisation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from modeling.facts import ModelFacts


def _setting(default: Any, meaning: str, choices: tuple[str, ...] | None = None) -> Any:
    return field(default=default, metadata={"help": meaning, "choices": choices})


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; each field is an option of the command."""

    epochs: int = _setting(12, "passes over the training images")
    batch_size: int = _setting(128, "images a step")
    sizes: tuple[int, ...] = _setting(
        (48, 64), "sizes at which the network sees the images, for equal shares of the run"
    )
    learning_rate: float = _setting(3e-3, "AdamW's highest learning rate")
    warm_up: float = _setting(0.15, "share of the run over which the learning rate rises, to fall as a cosine after")
    weight_decay: float = _setting(0.05, "AdamW's decay of kernels and matrices")
    label_smoothing: float = _setting(0.1, "share of each label that is spread over all classes")
    average_decay: float = _setting(0.998, "share that the running average of the weights keeps at each step")
    precision: str = _setting("fp32", "what it computes in; bf16 is for processors that have it", ("fp32", "bf16"))
    kernels: str = _setting("torch", "whose; own ones are faster, and need a C++ compiler", ("torch", "own"))
    seed: int = _setting(0, "decides everything that is random")

    def __post_init__(self) -> None:
        least = {
            "epochs": (self.epochs, 1),
            "batch_size": (self.batch_size, 2),  # batch normalisation needs a variance
            "every size": (min(self.sizes, default=0), 1),
            "seed": (self.seed, 0),
        }
        for name, (value, minimum) in least.items():
            if value < minimum:
                raise InputError(f"{name} must be at least {minimum}, got {value}")
        if self.seed >= 2**32:
            raise InputError(f"seed must be less than {2**32}, got {self.seed}")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")
        shares = {name: getattr(self, name) for name in ("warm_up", "label_smoothing", "average_decay")}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise InputError(f"{name} must be in [0, 1), got {share}")
        for setting in fields(self):
            choices, value = setting.metadata["choices"], getattr(self, setting.name)
            if choices and value not in choices:
                raise InputError(f"{setting.name} must be one of {', '.join(choices)}, got {value}")

    def learning_rate_at(self, progress: float) -> float:
        """Return the learning rate after this share of the run."""
        if progress < self.warm_up:
            return self.learning_rate * progress / self.warm_up
        return self.learning_rate * (1 + math.cos(math.pi * (progress - self.warm_up) / (1 - self.warm_up))) / 2

    def size_at(self, progress: float) -> int:
        """Return the image size, in pixels, after this share of the run."""
        return self.sizes[int(progress * len(self.sizes))]


class Trainer:
    """A run: the network, the running average of its weights, which is the result, and how far it has come.

    Args:
        facts: Which network, and how its input is normalised.
        pixels: uint8 [N, H, W, 3].
        labels: int64 [N].
        recipe: How to train.
        start: Weights to start from, by name, in place of fresh ones.

    Raises:
        InputError: There are fewer than two images, or the kernels cannot be compiled.
    """

    def __init__(
        self,
        facts: ModelFacts,
        pixels: Tensor,
        labels: Tensor,
        recipe: Recipe,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        if len(labels) < 2:  # noqa: PLR2004 - batch normalisation needs a variance
            raise InputError(f"training needs at least 2 images, got {len(labels)}")
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.step = 0
        self.network = facts.build().train()
        load_strictly(self.network, {**self.network.state_dict(), **(start or {})})
        convert_conv2d_weight_memory_format(self.network, torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self._pixels, self._labels = pixels, labels
        self._normalisation = Normalisation(facts, maximum=255)
        self._batch_size = min(recipe.batch_size, len(labels))
        self.steps_per_epoch = len(labels) // self._batch_size
        self.steps = self.steps_per_epoch * recipe.epochs
        # Decay is for what is multiplied with activations, not for biases or batch normalisation.
        decayed = [parameter for parameter in self.network.parameters() if parameter.ndim > 1]
        others = [parameter for parameter in self.network.parameters() if parameter.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, foreach=True)
        if recipe.kernels == "own":
            quicken(self.network)

    @property
    def size(self) -> int:
        """The size at which the network sees the images of the next step, in pixels."""
        return self.recipe.size_at(self.step / self.steps)

    def size_of_epoch(self, epoch: int) -> int:
        """The size, in pixels, at which the network sees the images when an epoch, counted from 0, ends."""
        return self.recipe.size_at(((epoch + 1) * self.steps_per_epoch - 1) / self.steps)

    def train_step(self) -> float:
        """Train on the next batch and return its loss.

        Raises:
            InputError: The loss is not finite; the weights stay as they were.
        """
        torch.manual_seed(self._seed(self.step))  # for the augmentation and the dropout
        images, labels = self._batch()
        images, own = mix(images)
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(self.step / self.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            logits = self.network(images).float()
        loss = (own * self._losses(logits, labels) + (1 - own) * self._losses(logits, labels.roll(1))).mean()
        if not loss.isfinite():
            raise InputError(f"the loss is not finite at step {self.step + 1}: give a lower --learning-rate")
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._update_average()
        self.step += 1
        return loss.item()

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

    def _losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.recipe.label_smoothing
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")

    def _seed(self, number: int) -> int:
        return self.recipe.seed * 1_000_003 + number

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return the current step's normalised images, float32 [N, 3, size, size], and labels, int64 [N]."""
        epoch, index = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self._labels), generator=torch.Generator().manual_seed(self._seed(epoch)))
        chosen = order[index * self._batch_size :][: self._batch_size]
        return self._normalisation(augment(self._pixels[chosen], self.size)), self._labels[chosen]

    @torch.no_grad()
    def _update_average(self) -> None:
        # At the beginning the average forgets faster, or it would hold on to the first random weights.
        decay = min(self.recipe.average_decay, (1 + self.step) / (10 + self.step))
        for average, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if value.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)
