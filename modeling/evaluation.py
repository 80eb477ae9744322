"""What a model says of labelled images."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from imaging.evaluation import MOST_RANKED, Evaluation, top_k_accuracy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from modeling.dataset import DataSet
    from modeling.facts import ModelFacts

_BATCH_SIZE, _BATCH_SIZE_OF_GPUS = 64, 256  # a GPU has little to do with fewer, and memory for so many


def evaluate(
    model: Callable[[Tensor], Tensor], facts: ModelFacts, images: DataSet, batch_size: int = _BATCH_SIZE
) -> Evaluation:
    """Ask a model for each image, decoded and cut as a server does it.

    Args:
        model: uint8 [N, H, W, 3] to probabilities [N, classes].
        facts: What it takes.
        images: By the model's classes.
        batch_size: Images at once, at most.

    Raises:
        InputError: An image cannot be read.
    """
    crops = tqdm(
        images.crops(facts.size, facts.crop_fraction), "evaluating", len(images.labels), unit="image", disable=None
    )
    ranked, confidence = _rank(model, _batches(crops, batch_size), min(MOST_RANKED, len(facts.classes)))
    return Evaluation(images.classes, np.asarray(images.labels), ranked, confidence)


def measure_accuracy(model: Callable[[Tensor], Tensor], pixels: Tensor, labels: Tensor) -> float:
    """Measure in which share of images the right class is the most probable.

    Args:
        model: uint8 [N, H, W, 3] to a score for each class [N, classes].
        pixels: uint8 [N, H, W, 3].
        labels: int64 [N].
    """
    batch_size = _BATCH_SIZE_OF_GPUS if pixels.is_cuda else _BATCH_SIZE
    batches = tqdm(torch.split(pixels, batch_size), "evaluating", unit="batch", disable=None, leave=False)
    ranked, _ = _rank(model, batches, 1)
    return top_k_accuracy(labels.cpu().numpy(), ranked, 1)


@torch.inference_mode()
def _rank(
    model: Callable[[Tensor], Tensor], batches: Iterable[Tensor], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the `k` most probable classes of each image [N, k], and the probability of the first [N]."""
    best = [model(batch).topk(k, dim=1) for batch in batches]
    ranked = torch.cat([each.indices for each in best])
    confidence = torch.cat([each.values[:, 0] for each in best])
    return ranked.cpu().numpy(), confidence.double().cpu().numpy()


def _batches(crops: Iterable[NDArray[np.uint8]], batch_size: int) -> Iterator[Tensor]:
    """Stack crops, uint8 [H, W, 3], to batches, uint8 [N, H, W, 3]."""
    rest = iter(crops)
    while batch := list(islice(rest, batch_size)):
        yield torch.from_numpy(np.stack(batch))
