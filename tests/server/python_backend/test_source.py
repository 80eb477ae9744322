from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from server.python_backend.source import import_file, importing

if TYPE_CHECKING:
    from pathlib import Path


def import_model(directory: Path, code: str, **beside: str) -> object:
    """Import model.py of `directory`, which may import what is `beside` it; returns its VALUE."""
    directory.mkdir(exist_ok=True)
    (directory / "model.py").write_text(code)
    for name, text in beside.items():
        (directory / f"{name}.py").write_text(text)
    with importing(directory):
        return import_file(directory / "model.py").VALUE


def test_models_may_have_files_of_the_same_name(tmp_path: Path) -> None:
    """What one model imports beside its code is not what another one gets, and nothing of it stays behind."""
    before = [*sys.path]
    code = "import beside_of_test\nVALUE = beside_of_test.VALUE\n"
    assert import_model(tmp_path / "a", code, beside_of_test="VALUE = 1\n") == 1
    assert import_model(tmp_path / "b", code, beside_of_test="VALUE = 2\n") == 2
    assert "beside_of_test" not in sys.modules
    assert sys.path == before


def test_an_edit_is_seen_at_once(tmp_path: Path) -> None:
    """Code of the same size and time as before is read anew."""
    assert import_model(tmp_path / "a", "VALUE = 1\n") == 1
    stamp = (tmp_path / "a" / "model.py").stat()
    (tmp_path / "a" / "model.py").write_text("VALUE = 2\n")
    os.utime(tmp_path / "a" / "model.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with importing(tmp_path / "a"):
        assert import_file(tmp_path / "a" / "model.py").VALUE == 2


def test_an_edit_in_a_folder_is_seen(tmp_path: Path) -> None:
    """A folder of modules needs no __init__.py, and is forgotten with what it holds."""
    folder = tmp_path / "a" / "folder_of_test"
    folder.mkdir(parents=True)
    code = "from folder_of_test import inner\nVALUE = inner.VALUE\n"
    for value in (1, 22):  # of another size: Python looks no closer at its caches
        (folder / "inner.py").write_text(f"VALUE = {value}\n")
        assert import_model(tmp_path / "a", code) == value
    assert not [name for name in sys.modules if name.startswith("folder_of_test")]


def test_the_utilities_have_tritons_name(tmp_path: Path) -> None:
    """Models import them as under Triton."""
    code = "import triton_python_backend_utils as pb_utils\nVALUE = pb_utils.triton_string_to_numpy('TYPE_FP32')\n"
    assert import_model(tmp_path / "a", code).__name__ == "float32"
