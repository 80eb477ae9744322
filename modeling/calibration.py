"""Probabilities that are what they say: a temperature for the logits, fitted to labelled images.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from tqdm import tqdm

from imaging.evaluation import expected_calibration_error
from modeling.command import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from modeling.servable import Servable

_COLDEST, _HOTTEST = 1e-3, 1e3
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities are to be believed.

    Attributes:
        error: Expected calibration error, in 15 bins.
        likelihood_loss: Mean negative log-likelihood of the right classes, in nats.
    """

    error: float
    likelihood_loss: float


@torch.inference_mode()
def logits_of(servable: Servable, pixels: Tensor, batch_size: int = 64) -> Tensor:
    """Return the logits of all images, float64 [N, classes], of uint8 [N, H, W, 3]."""
    batches = tqdm(torch.split(pixels, batch_size), "classifying", unit="batch", disable=None, leave=False)
    return torch.cat([servable.logits(batch) for batch in batches]).double()


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature under which the labels are most likely.

    The likelihood's loss is convex in the inverse of the temperature, so where its slope changes sign is found by
    halving an interval.

    Args:
        logits: float64 [N, classes].
        labels: The right classes, int64 [N].

    Raises:
        InputError: There is no such temperature: all images are classified right, or no better than by chance, or the
            logits are no numbers.
    """
    right = logits.gather(1, labels[:, None])[:, 0]

    def slope(inverse: float) -> float:
        """Differentiate the loss: how much the logits that are expected exceed those of the right classes."""
        return float(((logits * inverse).softmax(dim=1) * logits).sum(dim=1).sub(right).mean())

    if not logits.isfinite().all():
        raise InputError("the model gives logits that are not finite")
    if (logits.argmax(dim=1) == labels).all():
        raise InputError(f"all {len(labels)} images to fit to are classified right: that takes more of them, or harder")
    low, high = 1 / _HOTTEST, 1 / _COLDEST
    if not slope(low) < 0 < slope(high):
        raise InputError("no temperature helps: on these images the model is no better than chance")
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / low


def measure_calibration(logits: Tensor, labels: Tensor, temperature: float) -> Calibration:
    """Measure the probabilities that a temperature gives.

    Args:
        logits: float64 [N, classes].
        labels: The right classes, int64 [N].
        temperature: What the logits are divided by.
    """
    confidence, chosen = (logits / temperature).softmax(dim=1).max(dim=1)
    error = expected_calibration_error(confidence.numpy(), (chosen == labels).numpy())
    return Calibration(error, float(functional.cross_entropy(logits / temperature, labels)))
