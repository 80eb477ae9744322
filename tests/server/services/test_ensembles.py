from __future__ import annotations

import gc
import math
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from server.errors import InvalidRequest
from server.services.delivery import Delivery
from server.services.ensembles import Pipelines
from server.services.infer_request import Inference
from tests.server.models import open_repository
from tests.server.python_backend.steps import DOUBLE, DOUBLE_CONFIG, TWICE, write_ensemble, write_step
from tests.server.services.event_loop import settle
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

_CROPS = """
    backend: "python"  instance_group [ { count: 1 } ]
    input [ { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] } ]
    output [ { name: "OUT" data_type: TYPE_FP32 dims: [ -1, 2 ] } ]
"""


async def test_a_request_that_failed_is_forgotten_at_once(tmp_path: Path) -> None:
    """Neither its error nor a traceback holds its tensors until the garbage collector comes by."""
    for name in ("one", "two"):
        write_step(tmp_path / name)
    write_ensemble(tmp_path / "twice")
    repository = open_repository(tmp_path)
    repository.load("twice")
    array = np.full((1, 2), -1, np.float32)
    trace = weakref.ref(array)
    gc.disable()
    try:
        with repository.lease("twice") as ensemble, pytest.raises(InvalidRequest, match="negative"):
            await Pipelines(repository, Delivery()).run(
                ensemble, service_pb2.ModelInferRequest(), Inference((array,), 1, [(0, 0)], 0), math.inf
            )
        del array
        await settle()
        assert repository.close(HANGING_SECONDS)  # whose threads keep nothing either, once they have ended
        assert trace() is None
    finally:
        gc.enable()


async def test_a_model_is_not_asked_for_nothing(tmp_path: Path) -> None:
    """A step that finds nothing, as a detector may, gives the next one no row, which that is spared."""
    write_step(tmp_path / "one", DOUBLE.replace("array * 2", "np.zeros((0, 2), np.float32)"), _CROPS)
    write_step(tmp_path / "two", DOUBLE, DOUBLE_CONFIG)
    write_ensemble(tmp_path / "twice", TWICE.replace("max_batch_size: 4", "").replace("dims: [ 2 ]", "dims: [ -1 ]"))
    repository = open_repository(tmp_path)
    repository.load("twice")
    inference = Inference((np.ones(2, np.float32),), 1, [(0, 0)], 0)
    with (
        repository.lease("twice") as ensemble,
        pytest.raises(InvalidRequest, match="batch-size must be >= 1 for 'two'"),
    ):
        await Pipelines(repository, Delivery()).run(ensemble, service_pb2.ModelInferRequest(), inference, math.inf)
    assert repository.get("two").statistics.batches == {}
    assert repository.close(HANGING_SECONDS)
