"""An exported model next to the network that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from modeling.servable import InputForm

_ROUNDING = 1e-6  # what is left of a logarithm of a probability in float32, and of its mean


class ExportError(Exception):
    """The exported model does not compute what the network computes."""


def largest_difference(
    network: Callable[[Tensor], Tensor],
    exported: Callable[[Tensor], Tensor],
    form: InputForm,
    size: int,
    batch_sizes: Sequence[int],
    tolerance: float,
) -> float:
    """Give both the same images and compare what they answer.

    Probabilities are compared by their logarithms, without the mean of each image's: fresh networks, and large
    temperatures, make all classes nearly as likely, and a module that ignores its images would be near enough.

    Args:
        network: Images in `form` to probabilities, float32 [N, classes].
        exported: The same.
        form: How both take images.
        size: Height and width of the images, in pixels.
        batch_sizes: The sizes to compare at.
        tolerance: By how much such a logarithm may differ, as a share of the largest one.

    Returns:
        The largest difference of a probability.

    Raises:
        ExportError: A shape or a probability differs.
    """
    largest = 0.0
    with torch.inference_mode():
        for batch_size in batch_sizes:
            images = form.from_pixels(noise(batch_size, size))
            expected, found = network(images), exported(images)
            if found.shape != expected.shape or found.dtype != torch.float32:
                raise ExportError(f"a batch of {batch_size} gave {found.dtype} {list(found.shape)}")
            difference = float((found - expected).abs().max())
            scores = _scores(expected)
            # Unlike its opposite, this is true of what is not a number.
            if not float((_scores(found) - scores).abs().max()) <= tolerance * float(scores.abs().max()) + _ROUNDING:
                raise ExportError(f"a batch of {batch_size} differs from the network by {difference:.1e}")
            largest = max(largest, difference)
    return largest


def _scores(probabilities: Tensor) -> Tensor:
    """Return what the softmax was made of, but for what is added to all classes: [N, classes], its mean 0."""
    logarithms = probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()
    return logarithms - logarithms.mean(dim=1, keepdim=True)


def noise(count: int, size: int) -> Tensor:
    """Return the same pixels each time, uint8 [count, size, size, 3]."""
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator)
