"""A model's own code: imported for one model alone, under no name that another one could use."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import sys
import threading
import traceback
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import TYPE_CHECKING

from server.python_backend import triton_python_backend_utils

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import CodeType, ModuleType

_UTILITIES = "triton_python_backend_utils"
_NAME = "_model_"
_numbers = itertools.count(1)
_importing = threading.RLock()


def import_file(path: Path) -> ModuleType:
    """Run the file as a new module, to be called within `importing`.

    Its name is in `sys.modules`, where dataclasses and pickle look for it; who is done with the module takes it away.

    Raises:
        Exception: whatever the code raises; the name is gone again.
    """
    loader = _Source(f"{_NAME}{next(_numbers)}", str(path))
    module = importlib.util.module_from_spec(ModuleSpec(loader.name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[loader.name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[loader.name]
        raise
    return module


class _Source(SourceFileLoader):
    """Reads the file itself, always: a cached translation may be older than an edit of the same second."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - the base class's signature
        """The file's code."""
        return self.source_to_code(self.get_data(self.path), self.path)


@contextlib.contextmanager
def importing(directory: Path) -> Iterator[None]:
    """Let code import the files that lie beside it in `directory`; they are forgotten at the end, but by who has them.

    So two models, or two versions of one, may have files of the same name.
    """
    with _importing:
        sys.modules[_UTILITIES] = triton_python_backend_utils
        sys.path.append(str(directory))
        known = set(sys.modules)
        try:
            yield
        finally:
            sys.path.remove(str(directory))
            for name in sys.modules.keys() - known:
                if not name.startswith(_NAME) and _is_below(directory, sys.modules[name]):
                    del sys.modules[name]


def _is_below(directory: Path, module: ModuleType) -> bool:
    """Whether a module is a file below `directory`, or a folder there, which needs no file of its own."""
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    return any(place.startswith(f"{directory}/") for place in places)


def place(error: BaseException, directory: Path) -> str:
    """FILE:LINE, below `directory`, where an error came up; without a line if that was nowhere there."""
    if isinstance(error, SyntaxError) and error.filename:
        frames = [(error.filename, error.lineno or 1)]
    else:
        frames = [(frame.filename, frame.lineno or 1) for frame in traceback.extract_tb(error.__traceback__)]
    inside = [
        f"{file.removeprefix(f'{directory}/')}:{line}" for file, line in frames if file.startswith(f"{directory}/")
    ]
    return inside[-1] if inside else "model.py"
