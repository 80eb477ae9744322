"""Layers that use the kernels compute what PyTorch's compute, and so do their gradients."""

from __future__ import annotations

import copy
import os
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modeling.attention.coordinate import CoordinateAttention
from modeling.kernels import quicken
from modeling.network import NETWORKS
from modeling.network.layers import conv_bn

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

pytestmark = pytest.mark.skipif(not (shutil.which("c++") or "CI" in os.environ), reason="needs a C++ compiler")

BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "batch normalisation": lambda channels: nn.Sequential(nn.BatchNorm2d(channels)),
    "with ReLU6": lambda channels: nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)),
    "depthwise": lambda channels: nn.Sequential(*conv_bn(channels, channels, 3, groups=channels)),
    "strided": lambda channels: nn.Sequential(*conv_bn(channels, channels, 3, stride=2, groups=channels)),
    "attention": CoordinateAttention,
}


def trained(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Compute with a network and return, in double, its output, all gradients and all running statistics."""
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    output = network.train()(images)
    generator = torch.Generator().manual_seed(1)
    (output * torch.randn(output.shape, generator=generator).to(output.dtype)).sum().backward()
    found = {"output": output, "gradient of the input": images.grad, **dict(network.named_buffers())}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in network.named_parameters()}
    return {name: tensor.detach().double() for name, tensor in found.items() if tensor is not None}


def distance(found: Tensor, expected: Tensor) -> float:
    """Return how far two tensors are apart, as a share of the expected one's length, or of one of ones."""
    return ((found - expected).norm() / expected.norm().clamp(min=expected.numel() ** 0.5)).item()


@pytest.mark.parametrize("block", BLOCKS)
@given(
    images=st.integers(2, 5),
    channels=st.sampled_from([8, 24, 96, 320]),
    height=st.integers(2, 12),
    width=st.integers(2, 12),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=10, deadline=None)
def test_blocks(block: str, images: int, channels: int, height: int, width: int, dtype: torch.dtype, seed: int) -> None:
    """Outputs, gradients and statistics are as near to those in double precision as PyTorch's own, or nearly so."""
    torch.manual_seed(seed)
    plain = BLOCKS[block](channels)
    quick, exact = quicken(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    batch = (torch.randn(images, channels, height, width) * 2 + 0.5).to(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found, usual = trained(quick, batch), trained(plain, batch)
    expected = trained(exact, batch.double())

    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        least = 1e-4 if dtype is torch.float32 else 0.02
        assert distance(found[name], tensor) < least + 3 * distance(usual[name], tensor), name


@pytest.mark.parametrize("network", NETWORKS)
def test_networks(network: str) -> None:
    """A whole network's gradients are as near to those in double precision as PyTorch's own are, or nearly so."""
    torch.manual_seed(0)
    plain = NETWORKS[network](3, 0.25, "ca")
    plain.classifier[0] = nn.Identity()  # type: ignore[operator]  # no dropout
    images = torch.randn(8, 3, 64, 72)
    quick, exact = quicken(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    found, usual, expected = (
        torch.cat([tensor.flatten() for tensor in trained(each, batch).values()])
        for each, batch in ((quick, images), (plain, images), (exact, images.double()))
    )

    assert distance(found, expected) < 0.01 + 3 * distance(usual, expected)


def test_weights_keep_their_names() -> None:
    """The weights of a network stay where they were, under the same names and in the same order."""
    plain = NETWORKS["mobilenetv2"](3, 0.25, "ca")
    before = plain.state_dict(keep_vars=True)
    quick = quicken(plain).state_dict(keep_vars=True)

    assert list(quick) == list(before)
    assert all(quick[name] is tensor for name, tensor in before.items())


def test_other_layers_stay() -> None:
    """What is not such a layer is left as it is: strided by 3, of other size or border, with a bias, not depthwise."""
    layers = [
        nn.Conv2d(8, 8, 3, stride=3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False),
        nn.BatchNorm1d(8),
        nn.ReLU6(),
    ]
    kinds = [type(layer) for layer in layers]
    quicken(nn.Sequential(*layers))

    assert [type(layer) for layer in layers] == kinds
