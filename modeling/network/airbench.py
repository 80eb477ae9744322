"""The dense network of "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (Jordan, 2024), with attention.

For images of few pixels: it halves them only three times. A processor that multiplies matrices well is as fast with it
as with a mobile network of a sixth of its multiplications, and it learns more in an epoch: a teacher for the networks
that are served. It is the size of the paper's network for 95 %. `modeling.quick_training` trains it as the paper does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from modeling.attention import ATTENTION
from modeling.network.layers import scale_channels

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = (128, 384, 384)
LEAST_SIZE = 9  # pixels a side, or nothing is left after three halvings
_PATCH_SIZE = 2
_PATCH_VALUES = 3 * _PATCH_SIZE**2
_LEAST_VARIANCE = 5e-4  # of a direction of patches, so that rare ones are not blown up
_LOGIT_SCALE = 1 / 9


class Block(nn.Module):
    """Halve the size and filter twice; at first the filters let what they get pass.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        attention: Makes the attention from the number of channels.
    """

    def __init__(self, inputs: int, outputs: int, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = (nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4) for _ in range(2))
        self.attention = attention(outputs)
        for convolution in (self.conv1, self.conv2):
            nn.init.dirac_(convolution.weight.data[: convolution.in_channels])
        for normalisation in (self.bn1, self.bn2):
            normalisation.weight.requires_grad_(False)  # the next filter scales as well

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / 2, W / 2]."""
        x = functional.gelu(self.bn1(functional.max_pool2d(self.conv1(x), 2)))
        filtered: Tensor = self.attention(functional.gelu(self.bn2(self.conv2(x))))
        return filtered


class Airbench(nn.Module):
    """An image classifier: normalised RGB [N, 3, H, W], of at least LEAST_SIZE, to logits [N, classes].

    Args:
        classes: Number of classes.
        width: Multiplies the channels of every block.
        attention: A name in `ATTENTION`.
    """

    def __init__(self, classes: int = 1000, width: float = 1.0, attention: str = "ca") -> None:
        super().__init__()
        self.whitening = nn.Conv2d(3, 2 * _PATCH_VALUES, _PATCH_SIZE)
        channels = (2 * _PATCH_VALUES, *(scale_channels(each * width) for each in CHANNELS))
        blocks = [Block(*pair, ATTENTION[attention]) for pair in pairwise(channels)]
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(nn.Linear(channels[-1], classes, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised RGB [N, 3, H, W] to logits [N, classes]."""
        x = self.features(functional.gelu(self.whitening(x)))  # [N, 384, H / 8, W / 8]
        logits: Tensor = self.classifier(x.amax(dim=(2, 3))) * _LOGIT_SCALE  # [N, classes]
        return logits

    def biases(self) -> list[Tensor]:
        """Return the biases of the whitening and of the blocks' normalisations, whose scales are fixed."""
        layers: list[nn.Conv2d | nn.BatchNorm2d] = [self.whitening]
        for block in self.features:
            if isinstance(block, Block):
                layers += [block.bn1, block.bn2]
        return [layer.bias for layer in layers if layer.bias is not None]

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Fix the first filters: small patches of images become directions of the same variance, of either sign.

        Args:
            images: Normalised RGB [N, 3, H, W].
        """
        patches = images.unfold(2, _PATCH_SIZE, 1).unfold(3, _PATCH_SIZE, 1)  # [N, 3, H - 1, W - 1, 2, 2]
        values = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, _PATCH_VALUES)
        variances, directions = torch.linalg.eigh(values.T @ values / len(values))  # the smallest first
        filters = (
            (directions / (variances + _LEAST_VARIANCE).sqrt()).T.flip(0).reshape(self.whitening.weight[::2].shape)
        )
        self.whitening.weight.copy_(torch.cat((filters, -filters)))
        self.whitening.weight.requires_grad_(False)
