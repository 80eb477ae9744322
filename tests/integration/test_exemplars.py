from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.integration import rows
from tests.integration.monitoring import prometheus
from tests.serving import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import ServerProcess

# What a caller may call a request, and how it is told: any of them as it is would make the page unreadable.
NAMES = {"order-7": "order-7", 'a"b\\c': "a?b?c", "x\ny\0z": "x?y?z", "\N{SNOWMAN}" * 200: "\N{SNOWMAN}" * 118}


def test_prometheus_finds_the_request_behind_a_latency(server: ServerProcess, inference: Any, tmp_path: Path) -> None:
    """An answer and a failure can be found by the id that the caller gave them, whatever that is."""
    good, bad = rows.request("wide", 1), rows.request("worker", 1, -1)
    with prometheus(tmp_path, {"coordserve": (server.http_address, {"server": "python"})}) as monitor:
        for name, told in NAMES.items():
            good.id = bad.id = name
            inference.ModelInfer(good)
            with pytest.raises(grpc.RpcError):
                inference.ModelInfer(bad)
            for labels in ('model="wide",outcome="ok"', 'model="worker",outcome="error"'):
                series = f"coordserve_request_duration_seconds_bucket{{{labels}}}"
                assert 0 < monitor.wait_exemplar(series, told) < PATIENCE_SECONDS
        assert monitor.query('min_over_time(up{job="coordserve"}[5m]) == 1')
        assert monitor.query('nv_inference_request_success{model="wide",job="coordserve"} > 0')
