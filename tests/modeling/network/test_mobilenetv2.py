"""MobileNetV2 is the papers' network, name by name."""

from __future__ import annotations

from modeling.network import MobileNetV2


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


def test_authors_names() -> None:
    """Every name in the authors' checkpoint is a name in the network, and no other."""
    assert set(MobileNetV2().state_dict()) == authors_names()


def test_plain_network_keeps_names() -> None:
    """Leaving the attention out renames no other layer."""
    without_attention = {name for name in authors_names() if ".conv.6." not in name}

    assert set(MobileNetV2(attention="none").state_dict()) == without_attention
