"""MobileNeXt is its authors' network, block by block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modeling.attention import ATTENTION
from modeling.attention.coordinate import CoordinateAttention
from modeling.network import MobileNeXt
from modeling.network.mobilenext import Sandglass, hidden_channels


def sandglasses() -> list[Sandglass]:
    """Return the blocks of MobileNeXt 1.0 with Coordinate Attention."""
    return [module for module in MobileNeXt().modules() if isinstance(module, Sandglass)]


def convolutions(block: Sandglass) -> list[tuple[int, int, int]]:
    """List a block's kernel sizes, groups and strides."""
    layers = [layer for layer in block.conv if isinstance(layer, nn.Conv2d)]
    return [(layer.kernel_size[0], layer.groups, layer.stride[0]) for layer in layers]


def test_blocks() -> None:
    """A block filters at its wide ends; one that changes the channels does without what the authors' does without."""
    blocks = sandglasses()

    assert convolutions(blocks[0]) == [(3, 32, 1), (1, 1, 1), (1, 1, 1), (3, 96, 2)]
    assert convolutions(blocks[1]) == [(3, 96, 1), (1, 1, 1), (1, 1, 1), (3, 144, 1)]
    assert convolutions(blocks[2]) == [(1, 1, 1), (1, 1, 1), (3, 192, 2)]  # to more channels, with a stride
    assert convolutions(blocks[3]) == [(3, 192, 1), (1, 1, 1), (1, 1, 1), (3, 192, 1)]
    assert convolutions(blocks[8]) == [(1, 1, 1), (1, 1, 1)]  # to more channels, without a stride
    assert len(blocks) == 20


def test_shortcuts() -> None:
    """What a block takes is added to what it gives wherever both have the same shape."""
    assert [number for number, block in enumerate(sandglasses()) if block.adds_input] == [
        *(3, 4),
        *(6, 7),
        *(9, 10, 11),
        *(13, 14, 15),
        *(17, 18),
    ]


def test_attention_is_behind_the_first_filter() -> None:
    """Attention stands behind the first depthwise convolution of each block that has one, and nowhere else."""
    for block in sandglasses():
        positions = [number for number, layer in enumerate(block.conv) if isinstance(layer, CoordinateAttention)]
        assert positions == ([3] if convolutions(block)[0][0] == 3 else [])


@pytest.mark.parametrize(
    ("inputs", "outputs", "reduction", "hidden"),
    [(32, 96, 2, 16), (96, 144, 6, 32), (192, 192, 6, 32), (192, 288, 6, 48), (960, 1280, 6, 208)],
)
def test_hidden_channels(inputs: int, outputs: int, reduction: int, hidden: int) -> None:
    """A block is a sixth of its wider end inside, in steps of sixteen where it widens."""
    assert hidden_channels(inputs, outputs, reduction) == hidden


def test_plain_block_by_hand() -> None:
    """A block gives what its layers give, one after the other, and adds what it took."""
    torch.manual_seed(0)
    block = Sandglass(48, 48, 1, 6, whole=False, attention=ATTENTION["none"]).eval()
    x = torch.randn(2, 48, 5, 5)
    expected = x
    for layer in block.conv:
        expected = layer(expected.clone())

    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected + x)
