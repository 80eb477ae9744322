"""Whatever is in a file, reading it ends in one clear error."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling.checkpoint import load_checkpoint, load_state_file
from modeling.command import InputError
from modeling.facts import ModelFacts
from modeling.sources import read_images
from modeling.torchscript import load_torchscript

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x80\x02", b"\x08\0\0\0\0\0\0\0{}", b"\x93NUMPY\x01\0"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = st.sampled_from([*ModelFacts.__slots__, "other"])


@pytest.mark.parametrize("read", [load_checkpoint, load_state_file, load_torchscript, read_images])
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=64))
def test_any_file(read: Callable[[Path], object], magic: bytes, rest: bytes) -> None:
    """Bytes that are no file of the kind are refused as such, also when they begin like one."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(magic + rest)
        file.flush()
        with pytest.raises(InputError, match=file.name):
            read(Path(file.name))


@given(name=FIELDS, value=JSON)
def test_any_facts(name: str, value: object) -> None:
    """Facts of which one has any content are refused, or as good as others: a network can be built of them."""
    fields = json.loads(ModelFacts(("a", "b"), 32).to_json())
    try:
        facts = ModelFacts.from_json(json.dumps({**fields, name: value}))
    except InputError:
        return
    assert ModelFacts.from_json(facts.to_json()) == facts
    with torch.device("meta"):
        assert isinstance(facts.build(), torch.nn.Module)
