"""The kernels are compiled once for a machine, and one line tells why they cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from modeling.command import InputError
from modeling.kernels import library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernels that were compiled before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)


def compiler(folder: Path, script: str) -> str:
    """Write a compiler that is a shell script and return its path."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second call takes what the first one compiled; other sources, or another processor, compile anew.

    CXX may hold options, as build tools allow.
    """
    script = """
        folder=$(dirname "$0")
        [ "$1" = --cached ] || exit 1
        [ "$3" = -dM ] && exec cat "$folder/processor"
        echo run >> "$folder/runs"
        while [ "$1" != -o ]; do shift; done
        echo library > "$2"
    """
    (tmp_path / "processor").write_text("#define __AVX2__ 1", encoding="utf-8")
    monkeypatch.setenv("CXX", compiler(tmp_path, script) + " --cached")
    first, second = library.compiled(), library.compiled()
    other_source = tmp_path / "other.cpp"
    other_source.write_text("// other kernels", encoding="utf-8")
    monkeypatch.setattr(library, "SOURCE", other_source)
    third = library.compiled()
    (tmp_path / "processor").write_text("#define __AVX512F__ 1", encoding="utf-8")
    fourth = library.compiled()

    assert first == second
    assert len({first, third, fourth}) == 3
    assert first.read_text(encoding="utf-8") == "library\n"
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "run\n" * 3


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a compiler the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"cannot run the C\+\+ compiler c\+\+ .*: install one, .* --kernels torch"):
        library.compiled()
    monkeypatch.setenv("CXX", "/nowhere/compiler --option")
    with pytest.raises(InputError, match=r"cannot run the C\+\+ compiler /nowhere/compiler \(No such file"):
        library.compiled()


def test_failing_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler's first error is told, and nothing is left in the cache."""
    monkeypatch.setenv("CXX", compiler(tmp_path, "echo note >&2; echo 'k.cpp:1: error: no' >&2; exit 1"))
    with pytest.raises(InputError, match=r"cannot compile the kernels \(k.cpp:1: error: no\)"):
        library.compiled()

    assert not list(tmp_path.glob("cache/coordserve/*"))
