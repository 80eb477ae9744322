"""Channels are dealt out as cards are."""

from __future__ import annotations

import torch

from modeling.channel_shuffle import shuffle_channels


def test_order() -> None:
    """The first channels of all groups come first, then the second ones; positions stay where they are."""
    pixels = torch.arange(2 * 6).view(1, 2, 1, 6)

    assert shuffle_channels(pixels, 2).flatten(1, 2).tolist() == [[[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]]
    assert torch.equal(shuffle_channels(shuffle_channels(pixels, 2), 3), pixels)
