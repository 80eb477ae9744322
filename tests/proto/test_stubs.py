from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_STUBS = ("classifier_pb2.py", "classifier_pb2.pyi", "classifier_pb2_grpc.py")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with stubs that were generated just now, as `make proto` does."""
    directory = tmp_path_factory.mktemp("stubs")
    outputs = [f"--{kind}_out={directory}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *outputs, "proto/classifier.proto"]
    subprocess.run(command, cwd=_ROOT, check=True)
    return directory / "proto"


@pytest.mark.parametrize("name", _STUBS)
def test_the_committed_stubs_are_those_of_the_protocol(generated: Path, name: str) -> None:
    """Nobody changed the protocol without `make proto`, nor the stubs by hand."""
    assert (_ROOT / "proto" / name).read_text() == (generated / name).read_text()


def test_there_are_no_other_stubs(generated: Path) -> None:
    """Every file that is generated is committed."""
    assert sorted(path.name for path in generated.iterdir()) == sorted(_STUBS)
