"""The network as a server runs it: pixels in, probabilities out, so that no caller has to know how it was trained."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional
from torch.nn.utils import convert_conv2d_weight_memory_format

if TYPE_CHECKING:
    from modeling.facts import ModelFacts


PROCESSOR = torch.device("cpu")


class InputForm(StrEnum):
    """How the caller gives images."""

    UINT8 = "uint8"  # [N, H, W, 3], as an image decoder gives them: a quarter of the bytes of float32
    FLOAT32 = "float32"  # [N, 3, H, W], 0 to 1, as most training code has them

    def shape(self, size: int) -> tuple[int, int, int]:
        """Return the shape of one image."""
        return (size, size, 3) if self is InputForm.UINT8 else (3, size, size)

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Turn decoded pixels, uint8 [N, H, W, 3], into this form."""
        return pixels if self is InputForm.UINT8 else pixels.permute(0, 3, 1, 2) / 255


class Precision(StrEnum):
    """What the network computes in; what comes in and goes out is the same with either."""

    FP32 = "fp32"
    BF16 = "bf16"  # half the memory traffic; fast where the processor has its instructions (AVX512-BF16, AMX)

    @property
    def dtype(self) -> torch.dtype:
        """PyTorch's type."""
        return torch.bfloat16 if self is Precision.BF16 else torch.float32

    @property
    def tolerance(self) -> float:
        """By how much an answer may differ from the network's in float32, see `modeling.comparison`.

        In float32 that is what folding the batch normalisation changes, most where activations grow from block to
        block, as in a fresh network with BAM; bfloat16 has 8 bits of precision.
        """
        return 0.2 if self is Precision.BF16 else 1e-3


class Normalisation(nn.Module):
    """Subtract each channel's mean and divide by its standard deviation: [N, 3, H, W] to the same shape.

    Args:
        facts: Mean and standard deviation, for values between 0 and 1.
        maximum: What 1 is in the values that come.
    """

    def __init__(self, facts: ModelFacts, maximum: float) -> None:
        super().__init__()
        mean, std = torch.tensor(facts.mean), torch.tensor(facts.std)
        self.register_buffer("scale", (1 / (std * maximum)).view(1, 3, 1, 1))
        self.register_buffer("offset", (-mean / std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise float32 images."""
        return images * self.scale + self.offset  # type: ignore[operator]  # buffers are typed as tensors or modules


class Servable(nn.Module):
    """Normalisation, enlargement, network, temperature and softmax in one module.

    Args:
        network: [N, 3, H, W] to logits [N, classes].
        facts: How its input is normalised and enlarged, and what its logits are divided by.
        form: How its callers give images.
        precision: What it computes in; the network itself stays as it is.
    """

    def __init__(
        self,
        network: nn.Module,
        facts: ModelFacts,
        form: InputForm = InputForm.UINT8,
        precision: Precision = Precision.FP32,
    ) -> None:
        super().__init__()
        self.form = form
        self.precision = precision
        self.enlargement = facts.enlargement
        self.temperature = facts.temperature
        self.normalisation = Normalisation(facts, 255 if form is InputForm.UINT8 else 1)
        # Folded before it is rounded, a batch normalisation costs half the error.
        self.network = fuse(network.eval()).to(torch.bfloat16) if precision is Precision.BF16 else network
        # With the channels innermost in memory, convolutions take half the time on a processor.
        convert_conv2d_weight_memory_format(self, torch.channels_last)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Map images in the caller's form to probabilities, float32 [N, classes]."""
        return (self.logits(images) / self.temperature).softmax(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Map images in the caller's form to what the network says of them, float32 [N, classes]."""
        if self.form is InputForm.UINT8:
            images = images.permute(0, 3, 1, 2).float()  # [N, 3, H, W]; the channels stay innermost in memory
        images = images.contiguous(memory_format=torch.channels_last)
        images = self.normalisation(images)
        if self.enlargement > 1:
            images = functional.interpolate(images, scale_factor=float(self.enlargement), mode="bilinear")
        logits: Tensor = self.network(images.to(self.precision.dtype))
        return logits.float()
