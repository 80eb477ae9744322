"""Quick training of a dense network on images of few pixels, after Jordan (2024, arXiv:2404.00498).

Steps of a large batch, with a high learning rate, a higher one for biases, and an average that the weights are set
back to (Lookahead: Zhang et al., 2019); an image is mirrored in every other epoch, and moved by whole pixels. Unlike
the paper's for 95 %, labels are not smoothed, for then a teacher says less of the other classes; images move by up to
four pixels; the bias of the whitening learns all the time, as fast as the others; and at the
end the weights are set back as at any other step. Randomness follows from the seed and the step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

from modeling.command import InputError
from modeling.network.airbench import Airbench
from modeling.servable import PROCESSOR, Normalisation

if TYPE_CHECKING:
    from torch import Tensor

    from modeling.facts import ModelFacts

# Of the pixels of CIFAR-10, as is usual for it.
MEAN = (125.307 / 255, 122.961 / 255, 113.8575 / 255)
STD = (51.5865 / 255, 50.847 / 255, 51.255 / 255)
BATCH_SIZE = 1024
_MOMENTUM = 0.85
# An image's gradient moves the weights by this many times the learning rate in the end.
_IMAGES_PER_RATE = 1024 * (1 + 1 / (1 - _MOMENTUM))
_LEARNING_RATE = 10.0
_BIAS_FACTOR = 64.0
_WEIGHT_DECAY = 0.0153
_START, _PEAK_AT, _END = 0.2, 0.23, 0.07  # of the learning rate, as shares of the highest and of the run
_SHIFT = 4  # pixels
_WHITENED_PIXELS = 5000 * 32 * 32
_LOOKAHEAD_STEPS = 5


class QuickTrainer:
    """A run: the network, its optimizer, and how far it has come.

    Args:
        facts: Which network, and how its input is normalised.
        pixels: uint8 [N, H, W, 3].
        labels: int64 [N].
        epochs: Passes over the images.
        bf16: Whether convolutions compute in bfloat16.
        seed: Decides everything that is random.
        device: Where it trains.

    Raises:
        InputError: There are fewer than two images.
    """

    def __init__(
        self,
        facts: ModelFacts,
        pixels: Tensor,
        labels: Tensor,
        epochs: int,
        *,
        bf16: bool = False,
        seed: int = 0,
        device: torch.device = PROCESSOR,
    ) -> None:
        if len(labels) < 2:  # noqa: PLR2004 - batch normalisation needs a variance
            raise InputError(f"training needs at least 2 images, got {len(labels)}")
        torch.manual_seed(seed)
        self.size = facts.size
        self._seed = seed
        self.step = 0
        self._batch_size = min(BATCH_SIZE, len(labels))
        self.steps_per_epoch = len(labels) // self._batch_size
        self.steps = self.steps_per_epoch * epochs
        self._bf16 = bf16
        self._device = device
        self._pixels, self._labels = pixels.to(device), labels.to(device)
        self._normalisation = Normalisation(facts, maximum=255).to(device)
        self.network = Airbench(len(facts.classes), facts.width, facts.attention).to(device)
        self.network.whiten(self._normalisation(_sample(self._pixels).permute(0, 3, 1, 2).float()))
        convert_conv2d_weight_memory_format(self.network, torch.channels_last)
        self._average = {name: each.clone() for name, each in self._averaged()}
        self._optimizer = self._make_optimizer()
        self._mirrored = torch.rand(len(labels)) < 0.5  # noqa: PLR2004 - half of the images

    @property
    def result(self) -> Airbench:
        """The network."""
        return self.network

    def size_of_epoch(self, _epoch: int) -> int:
        """Return the size at which the network sees the images, in pixels: the same in every epoch."""
        return self.size

    def train_step(self) -> float:
        """Train on the next batch and return its loss.

        Raises:
            InputError: The loss is not finite; the weights stay as they were.
        """
        views, labels = self._batch()
        self.network.train()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            logits = self.network(self._normalisation(views)).float()
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        value = loss.item()  # once: a GPU is waited for
        if not math.isfinite(value):
            raise InputError(f"the loss is not finite at step {self.step + 1}")
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in self._optimizer.param_groups:
            group["lr"] = group["highest_lr"] * _share_of_rate(self.step / self.steps)
        self._optimizer.step()
        self.step += 1
        if self.step % _LOOKAHEAD_STEPS == 0 or self.step == self.steps:
            self._look_ahead()
        return value / len(labels)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a run needs to go on; it needs no state of a random generator."""
        return {
            "network": self.network.state_dict(),
            "average": self._average,
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        for name, value in self._average.items():
            value.copy_(state["average"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _make_optimizer(self) -> torch.optim.SGD:
        """Scale rate and decay so that they mean the same with any batch size and momentum."""
        rate = _LEARNING_RATE / _IMAGES_PER_RATE
        decay = _WEIGHT_DECAY * self._batch_size / _IMAGES_PER_RATE  # a step
        learning = [each for each in self.network.parameters() if each.requires_grad]
        biases = self.network.biases()
        others = [each for each in learning if all(each is not bias for bias in biases)]
        groups = [
            {"params": parameters, "highest_lr": own_rate, "weight_decay": decay / own_rate}
            for parameters, own_rate in ((biases, rate * _BIAS_FACTOR), (others, rate))
        ]
        return torch.optim.SGD(groups, lr=rate, momentum=_MOMENTUM, nesterov=True)

    def _batch(self) -> tuple[Tensor, Tensor]:
        """Return the current step's views, float32 [N, 3, H, W], 0 to 255, and labels, int64 [N]."""
        epoch, index = divmod(self.step, self.steps_per_epoch)
        order = torch.randperm(len(self._labels), generator=self._generator(epoch))
        chosen = order[index * self._batch_size :][: self._batch_size]
        mirrored = self._mirrored[chosen] ^ (epoch % 2 == 1)
        chosen, mirrored = chosen.to(self._device), mirrored.to(self._device)
        moves = torch.randint(0, 2 * _SHIFT + 1, (2, len(chosen)), generator=self._generator(self.step))
        return _moved(self._pixels[chosen], mirrored, *moves.to(self._device)), self._labels[chosen]

    def _generator(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 1_000_003 + number)

    def _averaged(self) -> list[tuple[str, Tensor]]:
        return [(name, each) for name, each in self.network.state_dict().items() if each.is_floating_point()]

    @torch.no_grad()
    def _look_ahead(self) -> None:
        """Set the weights back to their average, which holds on to more of the past the longer the run lasts."""
        decay = 0.95**_LOOKAHEAD_STEPS * (self.step / self.steps) ** 3
        for name, value in self._averaged():
            value.copy_(self._average[name].lerp_(value, 1 - decay))


def _share_of_rate(progress: float) -> float:
    """Return which share of the highest learning rate to take after this share of the run."""
    if progress < _PEAK_AT:
        return _START + (1 - _START) * progress / _PEAK_AT
    return _END + (1 - _END) * (1 - progress) / (1 - _PEAK_AT)


def _sample(pixels: Tensor) -> Tensor:
    """Return images from all over the data, which may be sorted by class: few enough to hold all of their patches."""
    _, height, width, _ = pixels.shape
    count = max(1, min(len(pixels), _WHITENED_PIXELS // (height * width)))
    return pixels[torch.arange(count, device=pixels.device) * len(pixels) // count]


def _moved(pixels: Tensor, mirrored: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Move images and mirror some: float32 [N, 3, H, W], channels_last.

    Args:
        pixels: uint8 [N, H, W, 3].
        mirrored: bool [N].
        across: By how many pixels to the left, [N], 0 to 2 * _SHIFT; _SHIFT leaves an image where it is.
        down: ... and upwards.
    """
    count, height, width, _ = pixels.shape
    rows, columns = _places(height, down), _places(width, across)
    columns = torch.where(mirrored.unsqueeze(1), columns.flip(1), columns)
    images = torch.arange(count, device=pixels.device).view(-1, 1, 1)
    return pixels[images, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2).float()


def _places(side: int, start: Tensor) -> Tensor:
    """Return where the pixels of each moved image come from along a side, [N, side]; beyond its ends it is mirrored."""
    places = (torch.arange(side, device=start.device) + start.unsqueeze(1) - _SHIFT).abs()
    return torch.where(places < side, places, 2 * (side - 1) - places)
