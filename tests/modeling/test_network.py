"""The network is the papers' network, layer by layer and name by name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modeling.network import ATTENTION, CoordinateAttention, HSwish, MobileNetV2, scale_channels


def parameters(network: nn.Module) -> int:
    """Count the numbers that training changes."""
    return sum(parameter.numel() for parameter in network.parameters())


def authors_names() -> set[str]:
    """List the names in the authors' checkpoint of MobileNetV2 1.0."""
    convolution, normalisation = ["weight"], ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    layers = {"features.0.0": convolution, "features.0.1": normalisation}
    layers |= {f"features.1.conv.{i}": convolution if i in {0, 3} else normalisation for i in (0, 1, 3, 4)}
    for block in range(2, 18):
        layers |= {f"features.{block}.conv.{i}": convolution for i in (0, 3, 7)}
        layers |= {f"features.{block}.conv.{i}": normalisation for i in (1, 4, 8)}
        layers |= {f"features.{block}.conv.6.conv{i}": ["weight", "bias"] for i in (1, 2, 3)}
        layers |= {f"features.{block}.conv.6.bn1": normalisation}
    layers |= {"conv.0": convolution, "conv.1": normalisation, "classifier.1": ["weight", "bias"]}
    return {f"{layer}.{part}" for layer, parts in layers.items() for part in parts}


def attention_by_hand(module: CoordinateAttention, x: Tensor) -> Tensor:
    """Compute section 3.2's equations row by row and column by column, with matrix products only."""

    def pointwise(convolution: nn.Conv2d, vectors: Tensor) -> Tensor:
        assert convolution.bias is not None
        return vectors @ convolution.weight[:, :, 0, 0].T + convolution.bias

    def encode(means: Tensor) -> Tensor:  # [N, C] to [N, C / r]
        bn = module.bn1
        reduced = pointwise(module.conv1, means)
        assert bn.running_mean is not None
        assert bn.running_var is not None
        reduced = (reduced - bn.running_mean) / (bn.running_var + bn.eps).sqrt() * bn.weight + bn.bias
        return reduced * (reduced + 3).clamp(0, 6) / 6

    def gate(convolution: nn.Conv2d, encoded: Tensor) -> Tensor:  # [N, C / r] to [N, C]
        return 1 / (1 + torch.exp(-pointwise(convolution, encoded)))

    result = torch.empty_like(x)
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            row_gate = gate(module.conv2, encode(x[:, :, row, :].sum(-1) / x.shape[3]))
            column_gate = gate(module.conv3, encode(x[:, :, :, column].sum(-1) / x.shape[2]))
            result[:, :, row, column] = x[:, :, row, column] * row_gate * column_gate
    return result


def randomised(network: nn.Module) -> nn.Module:
    """Give all weights and statistics values that tell them apart, and switch to inference."""
    for name, tensor in network.state_dict().items():
        if "running_var" in name:
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.uniform_(-0.5, 0.5)
    return network.eval()


def test_parameters_with_attention() -> None:
    """MobileNetV2 1.0 with Coordinate Attention has the paper's 3.95 M parameters for ImageNet, to the last one."""
    assert parameters(MobileNetV2()) == 3_950_648


def test_parameters_without_attention() -> None:
    """Without attention it is MobileNetV2 1.0 as everyone counts it."""
    assert parameters(MobileNetV2(attention="none")) == 3_504_872


def test_authors_names() -> None:
    """Every name in the authors' checkpoint is a name in the network, and no other."""
    assert set(MobileNetV2().state_dict()) == authors_names()


def test_plain_network_keeps_names() -> None:
    """Leaving the attention out renames no other layer."""
    without_attention = {name for name in authors_names() if ".conv.6." not in name}

    assert set(MobileNetV2(attention="none").state_dict()) == without_attention


@pytest.mark.parametrize(("height", "width"), [(56, 56), (1, 1), (1, 7), (9, 1), (5, 8)])
def test_attention_keeps_shape(height: int, width: int) -> None:
    """Coordinate Attention alone takes activations of any height and width and keeps their shape."""
    x = torch.randn(4, 256, height, width)

    assert CoordinateAttention(256)(x).shape == x.shape


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (1, 1)])
def test_attention_formula(height: int, width: int) -> None:
    """Coordinate Attention computes what the paper's equations say for each position."""
    torch.manual_seed(0)
    module = randomised(CoordinateAttention(96))
    assert isinstance(module, CoordinateAttention)
    x = torch.randn(2, 96, height, width)
    with torch.inference_mode():
        torch.testing.assert_close(module(x), attention_by_hand(module, x))


@pytest.mark.parametrize(("channels", "reduced"), [(16, 8), (256, 8), (320, 10), (960, 30)])
def test_attention_reduction(channels: int, reduced: int) -> None:
    """Both directions are encoded with a 32nd of the channels, and with 8 at least."""
    assert CoordinateAttention(channels).conv1.out_channels == reduced


def test_h_swish() -> None:
    """h-swish is zero below -3, the identity above 3 and x (x + 3) / 6 in between."""
    x = torch.tensor([-5.0, -3.0, 0.0, 1.0, 3.0, 5.0])

    torch.testing.assert_close(HSwish()(x), torch.tensor([0.0, 0.0, 0.0, 4 / 6, 3.0, 5.0]))


@pytest.mark.parametrize("attention", sorted(ATTENTION))
@pytest.mark.parametrize("width", [0.1, 0.5, 1.4])
def test_any_width(attention: str, width: float) -> None:
    """A network of any width maps images to a logit for each class."""
    network = MobileNetV2(classes=7, width=width, attention=attention).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 48)).shape == (2, 7)


def test_scaled_channels() -> None:
    """Channels are multiples of eight and lose at most a tenth by rounding."""
    assert [scale_channels(channels) for channels in (1.6, 8, 11, 12, 16.5, 24 * 1.4)] == [8, 8, 16, 16, 16, 32]
