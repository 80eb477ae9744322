"""The kernels in C++, compiled for this machine when they are first needed."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.utils.cpp_extension import include_paths, library_paths

from modeling.command import InputError
from modeling.download import cache_directory
from modeling.files import replacing

if TYPE_CHECKING:
    from types import ModuleType

SOURCE = Path(__file__).with_name("training.cpp")
# Sums may be taken in another order, which is what vectors do; infinities stay what they are. Not -ffast-math: the
# library would make the whole process take denormal numbers for zero as soon as it is loaded.
_ARITHMETIC = (
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-freciprocal-math",
)
_FLAGS = ("-O3", "-march=native", *_ARITHMETIC, "-fopenmp", "-std=c++20", "-fPIC", "-shared")


@cache
def kernels() -> ModuleType:
    """Compile and load the kernels, once; return the operators `coordserve::*` of training.cpp.

    Raises:
        InputError: There is no C++ compiler, or it does not take them.
    """
    torch.ops.load_library(compiled())  # type: ignore[no-untyped-call]  # PyTorch leaves it without annotations
    return torch.ops.coordserve


def compiled() -> Path:
    """Return the compiled kernels: those in the cache for this compiler, PyTorch, processor and source, or new ones.

    Raises:
        InputError: There is no C++ compiler, or it does not take them.
    """
    compiler = shlex.split(os.environ.get("CXX", "")) or ["c++"]
    command = [*compiler, *_FLAGS]
    command += [f"-isystem{path}" for path in include_paths()] + [f"-L{path}" for path in library_paths()]
    command += [str(SOURCE), "-lc10", "-ltorch_cpu"]
    # What the compiler knows of itself and of this processor: a home folder may be shared by several.
    macros = _run([*compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull])
    key = [*command, macros, torch.__config__.show(), SOURCE.read_text(encoding="utf-8")]
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()
    path = cache_directory() / f"kernels-{digest[:16]}.so"
    if not path.exists():
        with replacing(path) as temporary:
            _run([*command, "-o", str(temporary)])
    return path


def _run(command: list[str]) -> str:
    try:
        result = subprocess.run(  # noqa: S603 - the user's compiler
            command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except OSError as error:
        raise InputError(
            f"cannot run the C++ compiler {command[0]} ({error.strerror}): "
            "install one, name another in CXX, or train with --kernels torch"
        ) from None
    if result.returncode:
        first = next((line for line in result.stderr.splitlines() if "error" in line), "no message")
        raise InputError(f"{command[0]} cannot compile the kernels ({first}); train with --kernels torch")
    return result.stdout
