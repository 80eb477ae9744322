"""How fast the default network trains here: `python -m tests.benchmarks.training`.

Images a second of whole steps, augmentation and optimiser included, by whose kernels compute and in what precision: the
best of several rounds in which all take turns, since other work on the machine only ever adds.
"""

from __future__ import annotations

import itertools
import os
import time

import torch

from modeling.facts import ModelFacts
from modeling.recipe import Recipe
from modeling.training import Trainer

BATCH_SIZE = 128
SIZES = (64, 96)
ROUNDS = 3
STEPS_A_ROUND = 3


def main() -> None:
    """Print a line for each way to train."""
    print(f"{torch.get_num_threads()} threads, LD_PRELOAD={os.environ.get('LD_PRELOAD', '')}")
    for size in SIZES:
        trainers = {
            (kernels, precision): prepared(size, kernels, precision)
            for kernels, precision in itertools.product(("torch", "own"), ("fp32", "bf16"))
        }
        seconds = dict.fromkeys(trainers, float("inf"))
        for _ in range(ROUNDS):
            for way, trainer in trainers.items():
                seconds[way] = min(seconds[way], round_seconds(trainer))
        slowest = max(seconds.values())
        for (kernels, precision), spent in seconds.items():
            rate = STEPS_A_ROUND * BATCH_SIZE / spent
            print(f"{size}x{size}  {kernels:5} {precision}  {rate:6.0f} images/s  {slowest / spent:5.2f}")


def prepared(size: int, kernels: str, precision: str) -> Trainer:
    """Return a trainer that has made its first step."""
    facts = ModelFacts(tuple("abcdefghij"), size)
    pixels = torch.randint(0, 256, (BATCH_SIZE, 32, 32, 3), dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH_SIZE,))
    recipe = Recipe(epochs=1000, batch_size=BATCH_SIZE, sizes=(size,), kernels=kernels, precision=precision)
    trainer = Trainer(facts, pixels, labels, recipe)
    trainer.train_step()
    return trainer


def round_seconds(trainer: Trainer) -> float:
    """Return the seconds that a round takes."""
    started = time.perf_counter()
    for _ in range(STEPS_A_ROUND):
        trainer.train_step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
