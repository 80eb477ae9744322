"""How often a model is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@torch.inference_mode()
def top_k_accuracy(
    model: Callable[[Tensor], Tensor], pixels: Tensor, labels: Tensor, ks: tuple[int, ...] = (1,), batch_size: int = 64
) -> tuple[float, ...]:
    """Measure in which share of images the right class is among the k most probable, for each k.

    Args:
        model: uint8 [N, H, W, 3] to a score for each class [N, classes].
        pixels: uint8 [N, H, W, 3].
        labels: int64 [N].
        ks: At most as many as there are classes.
        batch_size: Images at once, at most.
    """
    right = dict.fromkeys(ks, 0)
    for start in tqdm(range(0, len(labels), batch_size), "evaluating", unit="batch", disable=None, leave=False):
        batch = slice(start, start + batch_size)
        best = model(pixels[batch]).topk(max(ks), dim=1).indices  # [N, k]
        hits = best == labels[batch, None]
        for k in ks:
            right[k] += int(hits[:, :k].sum())
    return tuple(right[k] / len(labels) for k in ks)
