"""SimAM computes what its paper says."""

from __future__ import annotations

import math

import torch

from modeling.attention.simam import SimAM


def test_formula() -> None:
    """Each activation is weighed by its squared deviation over four times its channel's variance, plus a half."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5)
    y = SimAM(3)(x)
    for image in range(2):
        for channel in range(3):
            values = x[image, channel].flatten().tolist()
            mean = sum(values) / 20
            variance = sum((value - mean) ** 2 for value in values) / 19
            gates = [1 / (1 + math.exp(-((v - mean) ** 2 / (4 * (variance + 1e-4)) + 0.5))) for v in values]
            expected = torch.tensor([value * gate for value, gate in zip(values, gates, strict=True)])
            torch.testing.assert_close(y[image, channel].flatten(), expected)


def test_no_parameters() -> None:
    """There is nothing to learn and nothing to store."""
    assert SimAM(8).state_dict() == {}


def test_lone_activation() -> None:
    """An activation that is alone in its channel does not stand out: it is weighed as one at the mean."""
    x = torch.randn(2, 8, 1, 1)

    torch.testing.assert_close(SimAM(8)(x), x * torch.sigmoid(torch.tensor(0.5)))
