"""What a repository says of its models, briefly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.errors import ModelNotFound, ModelNotReady
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from server.model import ModelVersion
    from server.repository import ModelRepository

PAYLOAD = (np.zeros((1, 2), np.int64).tobytes(),)


def ask(version: ModelVersion) -> int:
    """What a version answers."""
    return int(version.batcher.submit(PAYLOAD, 1).result(HANGING_SECONDS).result[0].item())


def index(repository: ModelRepository) -> list[tuple[str, int, str, str]]:
    """Name, version, state and reason of every version that is known."""
    return [(entry.name, entry.version, entry.state.value, entry.reason) for entry in repository.index()]


def refusal(repository: ModelRepository, name: str, version: int | None = None) -> str:
    """The error that asking for a model ends in, with its class."""
    with pytest.raises((ModelNotFound, ModelNotReady)) as raised:
        repository.get(name, version)
    return f"{type(raised.value).__name__}: {raised.value}"
