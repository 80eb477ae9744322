"""Weights are found by name and come with the right labels."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from modeling.checkpoint import save_checkpoint
from modeling.command import InputError
from modeling.export import main as export
from modeling.facts import ModelFacts
from modeling.network import MobileNetV2
from modeling.servable import Servable
from modeling.torchscript import save_torchscript
from modeling.weights import BUNDLED_FILE, IMAGENET_LABELS_FILE, load_weights, read_labels
from tests.modeling import authors_network

if TYPE_CHECKING:
    from pathlib import Path


def test_bundled_weights() -> None:
    """The package brings a CIFAR-10 classifier with an accuracy that was measured."""
    network, facts = load_weights("bundled")

    assert sum(parameter.numel() for parameter in network.parameters()) == 3_950_648 - 990 * 1281
    assert facts.classes[:2] == ("airplane", "automobile")
    assert (len(facts.classes), facts.size, facts.enlargement, facts.crop_fraction) == (10, 32, 3, 1.0)
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


def test_another_size() -> None:
    """Weights at another size than their own do not come with the accuracy that they have at their own."""
    assert load_weights("bundled")[1].accuracy is not None
    assert load_weights("bundled", size=40)[1].accuracy is None


def test_authors_logits(tmp_path: Path) -> None:
    """A file with random weights under the authors' names gives the logits of their network."""
    state = authors_network.random_state(classes=10, seed=0)
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "mbv2_ca.pth")

    network, facts = load_weights(str(tmp_path / "mbv2_ca.pth"), tuple("abcdefghij"))

    assert (facts.network, facts.width, facts.attention, facts.size) == ("mobilenetv2", 1.0, "ca", 224)
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = authors_network.logits(state, images)
        found = network.eval()(images)
    assert expected.std() > 0.1
    assert (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("network", "width", "attention"),
    [
        ("mobilenetv2", 0.35, "cbam"),
        ("mobilenext", 0.5, "ca"),
        ("shufflenetv2", 0.5, "sa"),
        ("mobilenetv2", 1.0, "none"),
    ],
)
def test_own_weights(tmp_path: Path, suffix: str, network: str, width: float, attention: str) -> None:
    """Of weights without facts the network, its width and its attention are read from the file; labels are given."""
    described = ModelFacts(("a", "b", "c"), 224, network, width, attention, crop_fraction=0.875)
    original = described.build().eval()
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pth":
        torch.save({"model_state_dict": original.state_dict(), "epoch": 9}, path)
    else:
        save_file(original.state_dict(), path)

    loaded, facts = load_weights(str(path), ("a", "b", "c"))

    assert facts == described
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(images), original(images))


def test_weights_without_a_place_for_attention(tmp_path: Path) -> None:
    """The plain MobileNetV2 from which the authors' code comes is read, though it counts and names layers otherwise."""
    original = MobileNetV2(3, 0.5, "none").eval()
    theirs = {}
    for name, tensor in original.state_dict().items():
        block = re.sub(r"^(features\.\d+\.conv)\.(7|8)\.", lambda match: f"{match[1]}.{int(match[2]) - 1}.", name)
        theirs[block.replace("classifier.1.", "classifier.")] = tensor
    torch.save(theirs, tmp_path / "mobilenetv2.pth")

    loaded, facts = load_weights(str(tmp_path / "mobilenetv2.pth"), ("a", "b", "c"))

    assert "features.2.conv.6.weight" in theirs
    assert (facts.network, facts.width, facts.attention) == ("mobilenetv2", 0.5, "none")
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded.eval()(images), original(images))


def test_labels_must_match(tmp_path: Path) -> None:
    """Weights of other classes than ImageNet's need labels, as many as they have classes."""
    path = tmp_path / "weights.pth"
    torch.save(MobileNetV2(classes=3).state_dict(), path)

    with pytest.raises(InputError, match=f"{path} has 3 classes and does not name them: give --labels FILE"):
        load_weights(str(path))
    with pytest.raises(InputError, match=f"there are 2 labels for the 3 classes of {path}"):
        load_weights(str(path), ("a", "b"))


@pytest.mark.parametrize("labels", [None, tuple(map(str, range(1000)))])
def test_names_that_are_only_likely(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, labels: tuple[str, ...] | None
) -> None:
    """A thousand classes without names are taken for ImageNet's, and that is told."""
    path = tmp_path / "weights.pth"
    torch.save(MobileNetV2().state_dict(), path)

    assert load_weights(str(path), labels)[1].classes == (labels or read_labels(IMAGENET_LABELS_FILE))
    told = [f"{path} does not name its classes, which are taken for ImageNet's: --labels FILE names others"]
    assert caplog.messages == ([] if labels else told)


def test_weights_of_another_network(tmp_path: Path) -> None:
    """Weights of something else are refused."""
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")

    with pytest.raises(InputError, match=r"weights\.pth fits none of mobilenetv2, mobilenext, shufflenetv2, airbench"):
        load_weights(str(tmp_path / "weights.pth"))


def test_facts_that_do_not_fit(tmp_path: Path, facts: ModelFacts) -> None:
    """Weights that are not those of the network that their own facts describe are refused."""
    save_checkpoint(tmp_path / "model.safetensors", facts.build().state_dict(), replace(facts, attention="se"))

    with pytest.raises(InputError, match=r"the weights do not fit the network: missing .*conv\.6\.reduce"):
        load_weights(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("file", "labels", "message"),
    [
        ("own.pth", "two.txt", "there are 2 labels for the 3 classes of"),
        ("own.pth", "absent.txt", "cannot read labels from"),
        ("own.pth", None, "give --labels FILE"),
        ("other.pth", "three.txt", "fits none of mobilenetv2, mobilenext, shufflenetv2, airbench"),
        ("cut.pth", "three.txt", "cannot read"),
        ("cut.safetensors", "three.txt", "cannot read"),
    ],
)
def test_nothing_is_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, labels: str | None, message: str
) -> None:
    """Weights of others that are damaged, unknown or do not fit the labels make one line and no model."""
    state = MobileNetV2(3, 0.1).state_dict()
    torch.save(state, tmp_path / "own.pth")
    torch.save({**state, "conv.0.weight": torch.ones(2)}, tmp_path / "other.pth")
    save_file(state, tmp_path / "own.safetensors")
    for suffix in ("pth", "safetensors"):
        (tmp_path / f"cut.{suffix}").write_bytes((tmp_path / f"own.{suffix}").read_bytes()[:-100])
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    named = ["--labels", str(tmp_path / labels)] if labels else []

    assert export(["--weights", str(tmp_path / file), *named, "--model-repository", str(tmp_path / "repository")]) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "has no labels"), (b"a\n\nb\n", "line 2 is empty"), (b"\xff\xfe", "cannot read labels")],
)
def test_broken_labels(tmp_path: Path, content: bytes, message: str) -> None:
    """A file of labels has one in each line."""
    (tmp_path / "labels.txt").write_bytes(content)

    with pytest.raises(InputError, match=message):
        read_labels(tmp_path / "labels.txt")


def test_labels_of_other_editors(tmp_path: Path) -> None:
    """A mark of the encoding at the beginning is no part of a label, and only an end of line ends one."""
    (tmp_path / "labels.txt").write_bytes("\ufeffcat\r\nline\u2028separator\r\n".encode())

    assert read_labels(tmp_path / "labels.txt") == ("cat", "line\u2028separator")


def test_damaged_archive(tmp_path: Path, facts: ModelFacts) -> None:
    """An archive with names that are no text ends in one line that tells which file it is."""
    torch.save(facts.build().state_dict(), tmp_path / "model.pt")
    content = bytearray((tmp_path / "model.pt").read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 8 : entry + 10] = b"\0\x08"  # the flag of names in UTF-8
    content[entry + 46] = 0xFF  # the name's first byte
    (tmp_path / "model.pt").write_bytes(content)

    with pytest.raises(InputError, match=r"model\.pt"):
        load_weights(str(tmp_path / "model.pt"), ("a", "b", "c"))


def test_exported_module_is_no_file_of_weights(tmp_path: Path) -> None:
    """A module that was exported is told from a state dict, although both are archives; so is its directory."""
    facts = ModelFacts(("a", "b"), 32, width=0.1)
    save_torchscript(Servable(facts.build(), facts), facts, tmp_path / "model.pt")

    with pytest.raises(InputError, match="is an exported module"):
        load_weights(str(tmp_path / "model.pt"))
    with pytest.raises(InputError, match="is a directory"):
        load_weights(str(tmp_path))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(tmp_path: Path, number: float) -> None:
    """Weights with a number that is none, or is endless, are refused, and the tensor is named."""
    state = MobileNetV2(classes=2).state_dict()
    state["conv.0.weight"][3, 0] = number
    torch.save(state, tmp_path / "weights.pth")

    with pytest.raises(InputError, match=r"^conv\.0\.weight in .*weights\.pth has numbers that are not finite$"):
        load_weights(str(tmp_path / "weights.pth"), ("a", "b"))


def test_empty_file(tmp_path: Path) -> None:
    """A file without content is told to be so."""
    (tmp_path / "weights.pth").touch()

    with pytest.raises(InputError, match=r"weights\.pth as PyTorch weights \(it is empty or damaged\)"):
        load_weights(str(tmp_path / "weights.pth"))
