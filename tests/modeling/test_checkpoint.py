"""Weights survive files, and files that do not fit say why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from modeling.checkpoint import as_stored, load_checkpoint, load_state_file, load_strictly, save_checkpoint
from modeling.command import InputError
from modeling.facts import ModelFacts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    """Compare two state dicts exactly."""
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


def test_round_trip(tmp_path: Path, facts: ModelFacts, trained: Callable[[ModelFacts], nn.Module]) -> None:
    """A checkpoint gives back its facts, its vectors exactly and its kernels as half precision holds them."""
    state = trained(facts).state_dict()
    save_checkpoint(tmp_path / "model.safetensors", state, facts)

    loaded, loaded_facts = load_checkpoint(tmp_path / "model.safetensors")

    assert loaded_facts == facts
    assert_same(loaded, {name: tensor.half().float() if tensor.ndim > 1 else tensor for name, tensor in state.items()})
    assert all(tensor.dtype in {torch.float32, torch.int64} for tensor in loaded.values())


def test_facts_beside_the_weights(tmp_path: Path, facts: ModelFacts) -> None:
    """The facts lie beside the weights as JSON, and both are readable by whom other files are."""
    save_checkpoint(tmp_path / "model.safetensors", facts.build().state_dict(), facts)
    (tmp_path / "other").touch()

    assert ModelFacts.from_json((tmp_path / "model.json").read_text()) == facts
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_variances_beyond_half_precision() -> None:
    """A vector keeps its precision: variances may be larger than half precision can hold."""
    stored = as_stored({"running_var": torch.tensor([1e6]), "weight": torch.ones(2, 2)})

    assert stored["running_var"].item() == 1e6
    assert stored["weight"].dtype == torch.float16


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model.", "_orig_mod."])
@pytest.mark.parametrize(
    "wrappers", [[], ["state_dict"], ["model"], ["model_state_dict"], ["net"], ["model", "state_dict"]]
)
def test_training_scripts_wrappings(tmp_path: Path, prefix: str, wrappers: list[str]) -> None:
    """A state dict is found behind the names of modules around the network, and beside an optimizer's state."""
    state = {"conv.weight": torch.ones(2), "classifier.bias": torch.zeros(2)}
    content: dict[str, object] = {prefix + name: tensor for name, tensor in state.items()}
    for wrapper in wrappers:
        content = {"optimizer": {"step": 3}, wrapper: content, "epoch": 3}
    torch.save(content, tmp_path / "weights.pth")

    assert_same(load_state_file(tmp_path / "weights.pth"), state)


def test_what_tools_leave_behind(tmp_path: Path) -> None:
    """Counts that tools keep among the weights are left out, and hide no prefix."""
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    averaged = AveragedModel(network).state_dict()
    counts = {"total_ops": torch.zeros(1), "module.total_params": torch.zeros(1), "module.0.total_ops": torch.zeros(1)}
    torch.save({**averaged, **counts}, tmp_path / "weights.pth")
    save_file({**averaged, **counts}, tmp_path / "weights.safetensors")

    assert "n_averaged" in averaged
    assert_same(load_state_file(tmp_path / "weights.pth"), dict(network.state_dict()))
    assert_same(load_checkpoint(tmp_path / "weights.safetensors")[0], dict(network.state_dict()))


def test_a_wrapping_that_holds_itself(tmp_path: Path) -> None:
    """A file whose dict is its own state dict is refused; reading it comes to an end."""
    content: dict[str, object] = {}
    content["state_dict"] = content
    torch.save(content, tmp_path / "weights.pth")

    with pytest.raises(InputError, match="holds no state dict"):
        load_state_file(tmp_path / "weights.pth")


def test_misfits_of_every_kind(facts: ModelFacts) -> None:
    """The error names what is missing, what is unexpected and what has another shape."""
    state = facts.build().state_dict()
    del state["features.0.0.weight"]
    state["head.weight"] = torch.ones(1)
    state["classifier.1.bias"] = torch.ones(9)
    everything = (
        r"missing features\.0\.0\.weight; unexpected head\.weight; "
        r"classifier\.1\.bias has shape \(9,\) where the network has \(3,\)"
    )

    with pytest.raises(InputError, match=everything):
        load_strictly(facts.build(), state)


def test_many_misfits(facts: ModelFacts) -> None:
    """Of hundreds of misfits the first are named and the others counted."""
    with pytest.raises(InputError, match=r"^the weights do not fit the network: (missing \S+; ){3}and \d+ more$"):
        load_strictly(facts.build(), {})


def test_whole_numbers_are_no_weights(facts: ModelFacts) -> None:
    """Weights that were quantized, say, are not taken for what they stand for."""
    state = facts.build().state_dict()
    state["classifier.1.bias"] = torch.ones(3, dtype=torch.int8)

    with pytest.raises(InputError, match=r"classifier\.1\.bias holds torch\.int8, no real numbers"):
        load_strictly(facts.build(), state)


def test_very_long_names(tmp_path: Path) -> None:
    """A name of thousands of parts is cut to its last one, as any prefix that all names share."""
    torch.save({"a." * 5000 + "weight": torch.ones(1)}, tmp_path / "long.pth")

    assert list(load_state_file(tmp_path / "long.pth")) == ["weight"]


def test_misfits_change_nothing(facts: ModelFacts) -> None:
    """A network that is given weights that do not fit keeps its own."""
    network = facts.build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    with pytest.raises(InputError):
        load_strictly(network, {name: tensor for name, tensor in before.items() if "conv" not in name})

    assert_same(dict(network.state_dict()), before)


def test_batch_counters_are_optional(facts: ModelFacts) -> None:
    """Files from before batch normalisation counted batches load as well."""
    state = {name: tensor for name, tensor in facts.build().state_dict().items() if "num_batches" not in name}
    network = facts.build()

    load_strictly(network, state)

    assert torch.equal(network.state_dict()["conv.0.weight"], state["conv.0.weight"])


@pytest.mark.parametrize("counter", [torch.zeros(2, 2), torch.zeros(0), torch.tensor(3)])
def test_batch_counters_do_not_matter(facts: ModelFacts, counter: Tensor) -> None:
    """Counters are not read, whatever a file holds in their place."""
    network = facts.build()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = {name: counter if "num_batches" in name else tensor for name, tensor in before.items()}

    load_strictly(network, state)

    assert_same(dict(network.state_dict()), before)


class Trap:
    """An object whose unpickling would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code ran",)


def test_code_in_a_file_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A PyTorch file with an object that would run code is refused, and the code is not run."""
    torch.save({"weight": Trap()}, tmp_path / "weights.pth")

    with pytest.raises(InputError, match="cannot read"):
        load_state_file(tmp_path / "weights.pth")

    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_no_weights(tmp_path: Path, content: bytes) -> None:
    """Whatever is no file of weights is refused with the file's name."""
    path = tmp_path / "weights.pth"
    path.write_bytes(content)

    with pytest.raises(InputError, match=re.escape(str(path))):
        load_state_file(path)
    with pytest.raises(InputError, match=re.escape(str(path))):
        load_checkpoint(path)


def test_missing_files(tmp_path: Path) -> None:
    """A file that does not exist is named."""
    for load in (load_checkpoint, load_state_file):
        with pytest.raises(InputError, match=r"absent\.pth"):
            load(tmp_path / "absent.pth")


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        {},
        {"weight": 3},
        {"state_dict": {}},
        {"weight": torch.ones(2).to_sparse()},
        {"weight": torch.ones(2, device="meta")},
    ],
)
def test_no_state_dict(tmp_path: Path, content: object) -> None:
    """A PyTorch file of something else is refused, and so are tensors whose numbers are not all there."""
    torch.save(content, tmp_path / "other.pth")

    with pytest.raises(InputError, match="no state dict"):
        load_state_file(tmp_path / "other.pth")


def test_whole_network(tmp_path: Path, facts: ModelFacts) -> None:
    """A file that holds a network as an object, which only its own code can read, says what to save instead."""
    torch.save(facts.build(), tmp_path / "network.pth")

    with pytest.raises(InputError, match=r"save the state_dict\(\) of a network in it"):
        load_state_file(tmp_path / "network.pth")


def test_foreign_safetensors(tmp_path: Path) -> None:
    """Weights that do not say what they are for come without facts, under the network's own names."""
    tensors = {"module.conv.weight": torch.ones(2, dtype=torch.float16), "module.head.bias": torch.ones(1)}
    save_file(tensors, tmp_path / "foreign.safetensors")

    state, facts = load_checkpoint(tmp_path / "foreign.safetensors")

    assert facts is None
    assert_same(state, {"conv.weight": torch.ones(2), "head.bias": torch.ones(1)})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"classes": ["a"], "size": 0, "mean": [0, 0, 0], "std": [1, 1, 1]}',
        '{"classes": ["a"], "size": 8, "mean": [0], "std": [1]}',
        '{"classes": ["a"], "size": 8, "mean": [0, 0, 0], "std": [1, 0, 1]}',
        '{"classes": ["a"], "size": 8, "mean": [0, 0, 0], "std": [1, 1, 1], "temperature": 0}',
        '{"classes": ["a"], "size": 8, "mean": [0, 0, 0], "std": [1, 1, 1], "temperature": Infinity}',
        '{"classes": 3, "colour": 1}',
        "[" * 100_000,
    ],
)
def test_broken_facts(text: str) -> None:
    """Facts that are broken are refused."""
    with pytest.raises(InputError, match="facts"):
        ModelFacts.from_json(text)
