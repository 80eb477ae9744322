"""How a network is trained: the settings of a run, and what follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from modeling.augmentation import VARIETIES
from modeling.command import InputError
from modeling.optimizers import OPTIMIZERS
from modeling.stored_view import BEST_JPEG


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
    variety: str = _setting(
        "full",
        "how much the views of an image differ; slight is nearly what callers send, sharp is for images of few pixels",
        tuple(VARIETIES),
    )
    mixed_share: float = _setting(0.5, "share of the views of which a part shows another image")
    jpeg_quality: int = _setting(
        0, "quality of the JPEG that each view is stored as before the network sees it, as callers may do; 0: none"
    )
    optimizer: str = _setting(
        "adamw",
        "what changes the weights; muon does so with pointwise convolutions, sgd is with Nesterov's momentum",
        tuple(OPTIMIZERS),
    )
    learning_rate: float = _setting(3e-3, "the optimizer's highest learning rate")
    warm_up: float = _setting(0.15, "share of the run over which the learning rate rises, to fall as a cosine after")
    weight_decay: float = _setting(0.05, "the optimizer's decay of kernels and matrices")
    label_smoothing: float = _setting(0.1, "share of each label that is spread over all classes")
    teacher_share: float = _setting(0.9, "share of the loss that compares with the teachers; the rest is of the labels")
    teacher_temperature: float = _setting(4.0, "what logits are divided by to be compared")
    average_decay: float = _setting(0.998, "share that the running average of the weights keeps at each step")
    precision: str = _setting("fp32", "what it computes in; bf16 is for processors that have it", ("fp32", "bf16"))
    kernels: str = _setting("torch", "whose; own ones are faster, and need a C++ compiler", ("torch", "own"))
    seed: int = _setting(0, "decides everything that is random")

    def __post_init__(self) -> None:
        requirements = {
            "epochs must be at least 1": self.epochs >= 1,
            "batch_size must be at least 2": self.batch_size >= 2,  # noqa: PLR2004 - batch normalisation needs a variance
            "sizes must be at least 1 each": min(self.sizes, default=0) >= 1,
            "mixed_share must be in [0, 1]": 0 <= self.mixed_share <= 1,
            f"jpeg_quality must be from 0 to {BEST_JPEG}": 0 <= self.jpeg_quality <= BEST_JPEG,
            "learning_rate must be at least 0 and finite": 0 <= self.learning_rate < math.inf,
            "warm_up must be in [0, 1)": 0 <= self.warm_up < 1,
            "weight_decay must be at least 0 and finite": 0 <= self.weight_decay < math.inf,
            "label_smoothing must be in [0, 1)": 0 <= self.label_smoothing < 1,
            "teacher_share must be in [0, 1]": 0 <= self.teacher_share <= 1,
            "teacher_temperature must be positive and finite": 0 < self.teacher_temperature < math.inf,
            "average_decay must be in [0, 1)": 0 <= self.average_decay < 1,
            f"seed must be from 0 to {2**32 - 1}": 0 <= self.seed < 2**32,
        }
        for requirement, holds in requirements.items():
            if not holds:
                raise InputError(f"{requirement}, got {getattr(self, requirement.partition(' ')[0])}")
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
