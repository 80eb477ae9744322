"""Files that hold a TorchScript module, or none."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from server import model_config
from server.engine import EngineError, TorchScriptModel
from tests.server.torchscript_engine import (
    ONE,
    Weighted,
    make_model,
)
from tests.torchscript_models import save_module

if TYPE_CHECKING:
    from pathlib import Path


def _archive(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"PK\x03\x04", _archive(), _archive(version=b"3"), b"\x80\x02}q\x00.", b"\0" * 4096],
    ids=["empty", "text", "signature", "empty archive", "no code", "pickle", "zeros"],
)
def test_a_file_that_is_no_module_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, the operator gets one line that names it."""
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(EngineError, match=r"^model\.pt is no TorchScript module that can be loaded$"):
        make_model(tmp_path, None, ONE)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_module_is_refused(tmp_path: Path, part: float) -> None:
    """A file whose copying was interrupted is refused."""
    path = tmp_path / "model.pt"
    save_module(Weighted(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(EngineError):
        make_model(tmp_path, None, ONE)


def test_a_file_that_is_missing_is_told_as_such(tmp_path: Path) -> None:
    """It is not taken for a broken one: models are often exported after the rest was copied."""
    with pytest.raises(EngineError, match=r"^model\.pt is missing$"):
        make_model(tmp_path, None, ONE)


@pytest.mark.parametrize("name", ["missing.pt", ".", r"nul\000.pt", "n" * 300])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    """A file name of the configuration that leads nowhere is the operator's to mend."""
    (tmp_path / "config.pbtxt").write_text(f'platform: "pytorch_libtorch" default_model_filename: "{name}"\n' + ONE)
    config = model_config.read(tmp_path)
    with pytest.raises(EngineError):
        TorchScriptModel(tmp_path / config.model_file, config)
