"""What two servers say of the same, and what it comes to."""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.grpc import service_pb2 as pb

from tests.parity.answers import TIMEOUT_SECONDS, ask
from tests.parity.deviations import DEVIATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.parity.cases import Case
    from tests.parity.conftest import Pair, Server


def difference(name: str, theirs: str, ours: str) -> str:
    """Return what differs and should not, or does not differ and should; empty if all is well."""
    deviation = DEVIATIONS.get(name)
    if deviation and ours == theirs:
        return f"{name}: this deviation is none any more"
    if ours.startswith(deviation.ours) if deviation else ours == theirs:
        return ""
    expected = deviation.ours if deviation else theirs
    lines = difflib.unified_diff(expected.splitlines(), ours.splitlines(), "expected", "answered", n=2, lineterm="")
    return "\n".join([name, *lines])


def answered_otherwise(pair: Pair, case: Case) -> str:
    """Ask both servers; return the difference."""
    return difference(case.name, *(ask(server, case.rpc, case.request) for server in (pair.triton, pair.ours)))


def fail_if(*differences: str) -> None:
    """Fail with the differences that are not empty, as they are: pytest's own way of showing strings hides them."""
    if text := "\n".join(filter(None, differences)):
        pytest.fail(text, pytrace=False)


def model_counts(server: Server, model: str) -> dict[str, float]:
    """Return what ModelStatistics and the metrics page have counted of a model."""
    response = server.inference.ModelStatistics(pb.ModelStatisticsRequest(name=model), timeout=TIMEOUT_SECONDS)
    statistics = response.model_stats[0]
    counts: dict[str, float] = {name: getattr(statistics, name) for name in ("inference_count", "execution_count")}
    counts |= _durations("", statistics.inference_stats)
    for batch in statistics.batch_stats:
        counts |= _durations(f"batches of {batch.batch_size}: ", batch)
    page = families(server)
    for name in ("request_success", "request_failure", "count", "exec_count"):
        for sample in page[f"nv_inference_{name}"].samples:
            if sample.labels["model"] == model:
                counts[f"{sample.name} {sample.labels.get('reason')}"] = sample.value
    return counts


def _durations(prefix: str, message: Any) -> dict[str, float]:
    fields = [field.name for field in message.DESCRIPTOR.fields if field.message_type]
    return {prefix + name: getattr(message, name).count for name in fields}


def families(server: Server) -> Mapping[str, Any]:
    """Return what is on the metrics page, by name."""
    status, page = server.process.get("/metrics")
    assert status == 200
    return {family.name: family for family in text_string_to_metric_families(page)}


def wait_until_unloaded(server: Server) -> None:
    """Triton answers an unload at once and does it later."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while "UNLOADING" in ask(server, "RepositoryIndex", pb.RepositoryIndexRequest()):
        assert time.monotonic() < end, "the model is still being unloaded"
        time.sleep(0.05)
