"""Weights are found by name and come with the right labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from modeling.checkpoint import save_checkpoint
from modeling.command import InputError
from modeling.network import MobileNetV2
from modeling.weights import BUNDLED_FILE, IMAGENET_LABELS_FILE, load_weights, read_labels

if TYPE_CHECKING:
    from pathlib import Path

    from modeling.facts import ModelFacts


def test_bundled_weights() -> None:
    """The package brings a CIFAR-10 classifier with an accuracy that was measured."""
    network, facts = load_weights("bundled")

    assert sum(parameter.numel() for parameter in network.parameters()) == 3_950_648 - 990 * 1281
    assert facts.classes[:2] == ("airplane", "automobile")
    assert (len(facts.classes), facts.size, facts.crop_fraction) == (10, 64, 1.0)
    assert facts.accuracy_images == 5000
    assert BUNDLED_FILE.stat().st_size < 7e6


def test_imagenet_labels() -> None:
    """There are 1000 distinct ImageNet labels, in the order that all published weights have."""
    labels = read_labels(IMAGENET_LABELS_FILE)

    assert len(set(labels)) == 1000
    known = {0: "tench", 1: "goldfish", 207: "golden retriever", 281: "tabby", 340: "zebra", 388: "giant panda"}
    known |= {504: "coffee mug", 817: "sports car", 950: "orange", 954: "banana", 999: "toilet tissue"}
    assert {index: labels[index] for index in known} == known


def test_labels_replace_the_known_ones(tmp_path: Path, facts: ModelFacts) -> None:
    """Labels that are given stand in for those in the file, if there are as many."""
    save_checkpoint(tmp_path / "model.safetensors", facts.build().state_dict(), facts)

    assert load_weights(str(tmp_path / "model.safetensors"), ("a", "b", "c"))[1] == replace(
        facts, classes=("a", "b", "c")
    )
    with pytest.raises(InputError, match="2 labels for the 3 classes"):
        load_weights(str(tmp_path / "model.safetensors"), ("a", "b"))


def test_published_weights_of_other_classes(tmp_path: Path) -> None:
    """Weights of the authors' form for other classes than ImageNet's need labels."""
    torch.save(MobileNetV2(classes=3).state_dict(), tmp_path / "weights.pth")

    assert load_weights(str(tmp_path / "weights.pth"), ("a", "b", "c"))[1].classes == ("a", "b", "c")
    with pytest.raises(InputError, match="for 3 classes and there are 1000 labels: give --labels FILE"):
        load_weights(str(tmp_path / "weights.pth"))


def test_published_weights_without_attention(tmp_path: Path) -> None:
    """A plain MobileNetV2 is recognised by the names that it lacks."""
    torch.save(MobileNetV2(classes=3, attention="none").state_dict(), tmp_path / "weights.pth")

    assert load_weights(str(tmp_path / "weights.pth"), ("a", "b", "c"))[1].attention == "none"


def test_weights_of_another_network(tmp_path: Path) -> None:
    """Weights of something else are refused."""
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")

    with pytest.raises(InputError, match=r"missing classifier\.1\.weight"):
        load_weights(str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"\xff\xfe"])
def test_broken_labels(tmp_path: Path, content: bytes) -> None:
    """A file of labels has one in each line."""
    (tmp_path / "labels.txt").write_bytes(content)

    with pytest.raises(InputError, match="labels"):
        read_labels(tmp_path / "labels.txt")
