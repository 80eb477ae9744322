"""Layers that use the kernels compute what PyTorch's compute, and so do their gradients."""

from __future__ import annotations

import copy
from itertools import product
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from modeling.attention import ATTENTION
from modeling.attention.coordinate import CoordinateAttention
from modeling.kernels import quicken
from modeling.kernels.library import kernels
from modeling.network import NETWORKS
from modeling.network.layers import conv_bn
from tests.modeling.marks import NEEDS_A_COMPILER

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

pytestmark = NEEDS_A_COMPILER

BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "batch normalisation": lambda channels: nn.Sequential(nn.BatchNorm2d(channels)),
    "with ReLU6": lambda channels: nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU6(inplace=True)),
    "depthwise": lambda channels: nn.Sequential(*conv_bn(channels, channels, 3, groups=channels)),
    "strided": lambda channels: nn.Sequential(*conv_bn(channels, channels, 3, stride=2, groups=channels)),
    "attention": CoordinateAttention,
}


def trained(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Compute with a network and return, in double, its output, all gradients and all running statistics."""
    images = images.detach().contiguous(memory_format=torch.channels_last).detach().requires_grad_()
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
    channels=st.sampled_from([1, 8, 24, 58, 320]),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    autocast=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=10)
def test_blocks(
    block: str,
    images: int,
    channels: int,
    height: int,
    width: int,
    dtype: torch.dtype,
    autocast: bool,  # noqa: FBT001 - drawn by hypothesis
    seed: int,
) -> None:
    """Outputs, gradients and statistics are as near to those in double precision as PyTorch's own, or nearly so."""
    torch.manual_seed(seed)
    plain = BLOCKS[block](channels)
    quick, exact = quicken(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    batch = (torch.randn(images, channels, height, width) * 2 + 0.5).to(dtype)
    halves = autocast or dtype is torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16, enabled=halves):
        found, usual = trained(quick, batch), trained(plain, batch)
    expected = trained(exact, batch.double())

    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        least = 0.02 if halves else 1e-4
        assert distance(found[name], tensor) < least + 3 * distance(usual[name], tensor), name


@pytest.mark.parametrize("block", ["batch normalisation", "with ReLU6"])
def test_far_from_zero(block: str) -> None:
    """Channels whose values hardly differ, far from 0, are normalised as exactly as PyTorch does it."""
    torch.manual_seed(0)
    plain = BLOCKS[block](24)
    quick, exact = quicken(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    batch = torch.randn(4, 24, 9, 9) + 3000
    found, usual, expected = trained(quick, batch), trained(plain, batch), trained(exact, batch.double())

    for name, tensor in expected.items():
        assert distance(found[name], tensor) < 1e-4 + 3 * distance(usual[name], tensor), name


def network_and_images(network: str, attention: str, seed: int) -> tuple[nn.Module, Tensor]:
    """Make a small network without dropout, and images for it."""
    torch.manual_seed(seed)
    made = NETWORKS[network](3, 0.25, attention)
    made.classifier[0] = nn.Identity()  # type: ignore[operator]
    return made, torch.randn(8, 3, 64, 72)


def farthest(network: str, attention: str, seed: int) -> float:
    """Return how far the farthest of all tensors is from that in double precision."""
    plain, images = network_and_images(network, attention, seed)
    quick, exact = quicken(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    found, expected = trained(quick, images), trained(exact, images.double())
    assert found.keys() == expected.keys()
    return max(distance(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("network", "attention"), [*product(NETWORKS, ["ca"]), *product(["shufflenetv2"], sorted(set(ATTENTION) - {"ca"}))]
)
def test_networks(network: str, attention: str) -> None:
    """A whole network's gradients are those in double precision, one by one.

    Not for each seed: a value that rounding moves past the kink of a ReLU changes gradients by percents, PyTorch's too.
    """
    assert any(farthest(network, attention, seed) < 1e-3 for seed in range(4))


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_in_half_precision(network: str) -> None:
    """In bfloat16 all of a network's gradients together are as near as PyTorch's own are, or nearly so."""
    plain, images = network_and_images(network, "ca", 0)
    quick, exact = quicken(copy.deepcopy(plain)), copy.deepcopy(plain).double()
    with torch.autocast("cpu", torch.bfloat16):
        halves = trained(quick, images), trained(plain, images)
    found, usual, expected = (
        torch.cat([tensor.flatten() for tensor in tensors.values()])
        for tensors in (*halves, trained(exact, images.double()))
    )

    assert distance(found, expected) < 0.02 + 1.5 * distance(usual, expected)


def test_evaluation() -> None:
    """A network that no longer trains computes what PyTorch's computes, with the statistics that it has."""
    plain = NETWORKS["mobilenetv2"](3, 0.25, "ca")
    quick = quicken(copy.deepcopy(plain)).eval()
    images = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    before = copy.deepcopy(quick.state_dict())

    torch.testing.assert_close(quick(images), plain.eval()(images), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in quick.state_dict().items())


def test_single_pixel() -> None:
    """A single pixel has no variance: an error, as PyTorch's own, and no statistics that are not numbers."""
    layer = quicken(nn.Sequential(nn.BatchNorm2d(8)))
    with pytest.raises(RuntimeError, match="a single pixel has no variance"):
        layer(torch.zeros(1, 8, 1, 1))

    assert all(buffer.isfinite().all() for buffer in layer.buffers())


def test_weights_keep_their_names() -> None:
    """The weights of a network stay where they were, under the same names and in the same order."""
    plain = NETWORKS["mobilenetv2"](3, 0.25, "ca")
    before = plain.state_dict(keep_vars=True)
    quick = quicken(plain).state_dict(keep_vars=True)

    assert list(quick) == list(before)
    assert all(quick[name] is tensor for name, tensor in before.items())


def test_other_layers_stay() -> None:
    """What is not such a layer is left as it is: strided by 3, dilated, of other size or border, biased, not depthwise.

    So is normalisation without weights, without running statistics or with those of all batches alike.
    """
    layers = [
        nn.Conv2d(8, 8, 3, stride=3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, dilation=2, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect", groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 16, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False),
        nn.BatchNorm1d(8),
        nn.BatchNorm2d(8, affine=False),
        nn.BatchNorm2d(8, momentum=None),
        nn.BatchNorm2d(8, track_running_stats=False),
        nn.ReLU6(),
    ]
    kinds = [type(layer) for layer in layers]
    quicken(nn.Sequential(*layers))

    assert [type(layer) for layer in layers] == kinds


def test_denormal_numbers_stay() -> None:
    """The process that loads the kernels goes on computing with numbers too small for an exponent of their own."""
    kernels()

    assert (torch.tensor([1e-39]) * 0.5).item() > 0
