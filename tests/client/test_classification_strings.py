"""Reading Triton's classification strings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import serialize_byte_tensor

from client import Class, ServerError
from client.classification_strings import read_class, read_class_rows

labels = st.text(st.characters(exclude_categories=["Cs"]))
indices = st.integers(0, 2**31)
values = st.integers(0, 1_000_000).map(lambda millionths: f"{millionths / 1e6:.6f}")


def tensor(strings: list[bytes]) -> bytes:
    """Encodes strings as a BYTES tensor."""
    raw: bytes = serialize_byte_tensor(np.array(strings, dtype=object)).item()
    return raw


@given(value=values, index=indices, label=labels)
def test_class_comes_back_as_it_was_written(value: str, index: int, label: str) -> None:
    """Any label survives, with colons, line ends or nothing in it."""
    assert read_class(f"{value}:{index}:{label}") == Class(index, label, float(value))


@given(value=values, index=indices)
def test_missing_label_is_empty(value: str, index: int) -> None:
    """A class that the labels file does not name has an empty label."""
    assert read_class(f"{value}:{index}") == Class(index, "", float(value))


@pytest.mark.parametrize(
    "text", ["", "0.5", "cat", "0.5:cat", "0.5:-1:cat", "cat:1:cat", ":1:cat", "0.5:\uff11:cat", "1:1x"]
)
def test_other_text_is_a_server_error(text: str) -> None:
    """Text that is no classification string is reported with what it was."""
    with pytest.raises(ServerError) as raised:
        read_class(text)

    assert repr(text) in str(raised.value)


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(labels, min_size=k, max_size=k), min_size=1, max_size=4)))
def test_rows_come_back_in_order(rows: list[list[str]]) -> None:
    """Each image gets its own classes, in the order of the tensor."""
    raw = tensor([f"0.250000:{index}:{label}".encode() for row in rows for index, label in enumerate(row)])

    read = read_class_rows(raw, len(rows))

    assert read == [tuple(Class(index, label, 0.25) for index, label in enumerate(row)) for row in rows]


def test_label_that_is_not_utf8_loses_only_its_bad_bytes() -> None:
    """A labels file in another encoding does not make a model unusable."""
    ((read,),) = read_class_rows(tensor([b"0.5:3:caf\xe9"]), 1)

    assert read == Class(3, "caf�", 0.5)


@given(raw=st.binary(max_size=60), rows=st.integers(1, 5))
def test_noise_is_a_server_error_or_classes(raw: bytes, rows: int) -> None:
    """Whatever a server sends, the caller sees classes or one kind of error."""
    try:
        read = read_class_rows(raw, rows)
    except ServerError:
        return
    assert len(read) == rows
    assert all(read)


def test_classes_that_do_not_divide_are_a_server_error() -> None:
    """Three classes cannot be those of two images."""
    with pytest.raises(ServerError, match="3 classes for 2 images"):
        read_class_rows(tensor([b"0.5:1:a", b"0.3:2:b", b"0.2:3:c"]), 2)
