"""Learning from other networks as well as from labels: Hinton, Vinyals and Dean, 2015.

The teachers answer for the very view that the network sees (Beyer et al., 2022), which labels cannot: they say what is
left of a thing at the view's edge, and what it could be taken for.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from modeling.command import InputError
from modeling.servable import InputForm, Precision, Servable
from modeling.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence


class Teachers:
    """Networks that are trained already; together they say the mean of their logits.

    Attributes:
        fingerprint: Tells their weights, and how they see images, from others, whatever the names of the files.

    Args:
        sources: Their weights, as in `load_weights`.
        classes: The classes of the network that learns, which must be theirs.
        precision: What they compute in.
        device: Where.

    Raises:
        InputError: The weights cannot be had, or are for other classes.
    """

    def __init__(
        self, sources: Sequence[str], classes: tuple[str, ...], precision: Precision, device: torch.device | None = None
    ) -> None:
        self._members: list[tuple[Servable, int]] = []
        weights = hashlib.sha256()
        for source in sources:
            network, facts = load_weights(source)
            if facts.classes != classes:
                raise InputError(f"the teacher {source} knows other classes ({', '.join(facts.classes)})")
            weights.update(repr((facts.size, facts.enlargement, facts.mean, facts.std)).encode())
            for each in network.state_dict().values():
                weights.update(each.numpy().tobytes())
            self._members.append((Servable(network, facts, InputForm.FLOAT32, precision).to(device), facts.size))
        self.fingerprint = weights.hexdigest()[:16]

    @torch.inference_mode()
    def logits(self, views: Tensor) -> Tensor:
        """Map views of any size, float32 [N, 3, H, W], 0 to 255, to logits, float32 [N, classes]."""
        shares = views / 255
        answers = [member.logits(_resize(shares, size)) for member, size in self._members]
        return torch.stack(answers).mean(dim=0)


def distillation_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Return how far a network's answers are from its teachers', the mean over a batch.

    It is the Kullback-Leibler divergence of both at the temperature, times the temperature's square, which keeps the
    size of the gradient.

    Args:
        logits: The network's, [N, classes].
        taught: The teachers', [N, classes].
        temperature: What both are divided by; the higher, the more the classes count that are not likely.
    """
    said, right = ((each / temperature).log_softmax(dim=1) for each in (logits, taught))
    return functional.kl_div(said, right, reduction="batchmean", log_target=True) * temperature**2


def _resize(views: Tensor, size: int) -> Tensor:
    # Antialiased, as a server makes a photograph smaller.
    return functional.interpolate(views, size=(size, size), mode="bilinear", antialias=True)
