"""A server's status from its three answers."""

from __future__ import annotations

from typing import Any

import pytest
from tritonclient.grpc import service_pb2

from client import ModelStatus, ServerStatus
from client.model_status import read_status

METADATA = service_pb2.ServerMetadataResponse(name="triton", version="2.51.0")


def status(models: list[dict[str, Any]], statistics: list[dict[str, Any]]) -> ServerStatus:
    """Reads the status from an index and statistics."""
    return read_status(
        METADATA,
        service_pb2.RepositoryIndexResponse(models=models),
        service_pb2.ModelStatisticsResponse(model_stats=statistics),
    )


def test_statistics_become_counts_and_means() -> None:
    """Means are for each request; computing includes the copies before and after."""
    times = {
        "success": {"count": 4, "ns": 8_000_000_000},
        "fail": {"count": 3, "ns": 1},
        "queue": {"count": 4, "ns": 1_000_000_000},
        "compute_input": {"count": 4, "ns": 1_000_000_000},
        "compute_infer": {"count": 4, "ns": 4_000_000_000},
        "compute_output": {"count": 4, "ns": 1_000_000_000},
    }
    read = status(
        [{"name": "m", "version": "1", "state": "READY"}],
        [{"name": "m", "version": "1", "inference_count": 6, "execution_count": 4, "inference_stats": times}],
    )

    (model,) = read.models
    assert (read.name, read.version) == ("triton", "2.51.0")
    assert model == ModelStatus("m", "1", "READY", "", 4, 3, 6, 4, 0.25, 1.5, 2.0)
    assert model.mean_batch == 1.5
    assert model.ready


def test_model_that_did_nothing_has_no_means() -> None:
    """Nothing is divided by zero."""
    (model,) = status([{"name": "m", "version": "1", "state": "READY"}], [{"name": "m", "version": "1"}]).models

    assert (model.succeeded, model.mean_batch, model.mean_queue_seconds) == (0, None, None)


def test_broken_model_has_a_reason_and_no_statistics() -> None:
    """What is only in the index is there all the same."""
    (model,) = status([{"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": "torn"}], []).models

    assert not model.ready
    assert (model.state, model.reason) == ("UNAVAILABLE", "torn")


def test_model_loaded_between_the_answers_is_there() -> None:
    """What is only in the statistics is there too."""
    (model,) = status([], [{"name": "m", "version": "1", "inference_count": 1}]).models

    assert (model.state, model.inference_count) == ("UNKNOWN", 1)


@pytest.mark.parametrize("versions", [["1", "2", "10"], ["10", "1", "2"]])
def test_versions_are_sorted_as_numbers(versions: list[str]) -> None:
    """Version 10 comes after version 2, whatever order the server has."""
    models = [{"name": name, "version": version} for version in versions for name in ("b", "a")]

    read = [(model.name, model.version) for model in status(models, []).models]

    assert read == [("a", "1"), ("a", "2"), ("a", "10"), ("b", "1"), ("b", "2"), ("b", "10")]
