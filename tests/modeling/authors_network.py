"""MobileNetV2 with Coordinate Attention as its authors' checkpoints have it, without anything of `modeling`.

A second reading of the two papers, to hold the package's network against: a function of a state dict under the authors'
names, with torch's own pooling and activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

# Expansion, channels, repeats and first stride of MobileNetV2's table 2.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def blocks() -> Iterator[tuple[str, int, int, int, int]]:
    """Yield name, channels in, expansion, channels out and stride of each block."""
    inputs = 32
    number = 0
    for expansion, outputs, repeats, first_stride in STAGES:
        for stride in (first_stride, *[1] * (repeats - 1)):
            number += 1
            yield f"features.{number}.conv", inputs, expansion, outputs, stride
            inputs = outputs


def random_state(classes: int, seed: int) -> dict[str, Tensor]:
    """Draw weights and statistics of every layer, under the authors' names."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def convolution(name: str, outputs: int, inputs: int, kernel: int, *, bias: bool = False) -> None:
        deviation = (2 / (inputs * kernel**2)) ** 0.5
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator) * deviation
        if bias:
            state[f"{name}.bias"] = torch.randn(outputs, generator=generator) + 1  # gates that are rather open

    def normalisation(name: str, channels: int) -> None:
        state[f"{name}.weight"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.bias"] = torch.randn(channels, generator=generator) * 0.1
        state[f"{name}.running_mean"] = torch.randn(channels, generator=generator) * 0.1
        state[f"{name}.running_var"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("features.0.0", 32, 3, 3)
    normalisation("features.0.1", 32)
    for name, inputs, expansion, outputs, _ in blocks():
        hidden = inputs * expansion
        expands = expansion > 1
        if expands:
            convolution(f"{name}.0", hidden, inputs, 1)
            normalisation(f"{name}.1", hidden)
            reduced = max(8, hidden // 32)
            convolution(f"{name}.6.conv1", reduced, hidden, 1, bias=True)
            normalisation(f"{name}.6.bn1", reduced)
            convolution(f"{name}.6.conv2", hidden, reduced, 1, bias=True)
            convolution(f"{name}.6.conv3", hidden, reduced, 1, bias=True)
        depthwise, project = (3, 7) if expands else (0, 3)
        convolution(f"{name}.{depthwise}", hidden, 1, 3)
        normalisation(f"{name}.{depthwise + 1}", hidden)
        convolution(f"{name}.{project}", outputs, hidden, 1)
        normalisation(f"{name}.{project + 1}", outputs)
    convolution("conv.0", 1280, 320, 1)
    normalisation("conv.1", 1280)
    state["classifier.1.weight"] = torch.randn(classes, 1280, generator=generator) * 0.05
    state["classifier.1.bias"] = torch.randn(classes, generator=generator)
    return state


def logits(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Map normalised RGB [N, 3, H, W] to logits [N, classes], with batch normalisation as in evaluation."""

    def normalised(x: Tensor, name: str) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])

    def attended(x: Tensor, name: str) -> Tensor:
        height, width = x.shape[2:]
        rows = functional.adaptive_avg_pool2d(x, (height, 1))
        columns = functional.adaptive_avg_pool2d(x, (1, width)).permute(0, 1, 3, 2)
        both = functional.conv2d(
            torch.cat((rows, columns), 2), state[f"{name}.conv1.weight"], state[f"{name}.conv1.bias"]
        )
        both = functional.hardswish(normalised(both, f"{name}.bn1"))
        rows, columns = both[:, :, :height], both[:, :, height:].permute(0, 1, 3, 2)
        row_gate = functional.conv2d(rows, state[f"{name}.conv2.weight"], state[f"{name}.conv2.bias"]).sigmoid()
        column_gate = functional.conv2d(columns, state[f"{name}.conv3.weight"], state[f"{name}.conv3.bias"]).sigmoid()
        return x * row_gate * column_gate

    x = functional.conv2d(images, state["features.0.0.weight"], stride=2, padding=1)
    x = functional.relu6(normalised(x, "features.0.1"))
    for name, inputs, expansion, outputs, stride in blocks():
        y, layer = x, 0
        if expansion > 1:
            y = functional.relu6(normalised(functional.conv2d(y, state[f"{name}.0.weight"]), f"{name}.1"))
            layer = 3
        y = functional.conv2d(y, state[f"{name}.{layer}.weight"], stride=stride, padding=1, groups=inputs * expansion)
        y = functional.relu6(normalised(y, f"{name}.{layer + 1}"))
        layer += 3
        if expansion > 1:
            y = attended(y, f"{name}.6")
            layer += 1
        y = normalised(functional.conv2d(y, state[f"{name}.{layer}.weight"]), f"{name}.{layer + 1}")
        x = x + y if stride == 1 and inputs == outputs else y
    x = functional.relu6(normalised(functional.conv2d(x, state["conv.0.weight"]), "conv.1"))
    x = functional.adaptive_avg_pool2d(x, 1).flatten(1)
    return functional.linear(x, state["classifier.1.weight"], state["classifier.1.bias"])
