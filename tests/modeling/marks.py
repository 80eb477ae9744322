"""Marks for tests that some machines cannot run."""

import os
import shutil

import pytest
import torch

NEEDS_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
# The continuous integration has a compiler: there its absence is an error.
NEEDS_A_COMPILER = pytest.mark.skipif(
    not (shutil.which("c++") or "CI" in os.environ), reason="the kernels need a C++ compiler"
)
