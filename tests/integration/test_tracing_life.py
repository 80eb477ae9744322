from __future__ import annotations

import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.collector import Caller, Collector
from tests.integration import rows
from tests.integration.conftest import SINGLE
from tests.torchscript_models import ROWS, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.serving import ServerProcess

    Start = Callable[..., AbstractContextManager[ServerProcess]]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Where servers send their traces."""
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of rows."""
    directory = tmp_path_factory.mktemp("models")
    write_model(directory / "single", Worker(), SINGLE % "" + ROWS)
    return directory


def test_a_collector_that_is_away_harms_nobody(models: Path, start_server: Start) -> None:
    """Everything is answered, the log tells of it once a minute at most, and the server stops in good order."""
    with socket.create_server(("127.0.0.1", 0)) as listener:  # it never answers
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BSP_MAX_QUEUE_SIZE": "64",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16",
        }
        with start_server(models, environment=variables) as server:
            with rows.own_connection(server.grpc_address) as channel:
                infer = rows.stub(channel).ModelInfer
                calls = [infer.future(rows.request("single", number)) for number in range(500)]
                assert [rows.answers(call.result()) for call in calls] == [[number] for number in range(500)]
            server.wait_for("opentelemetry.*[Ee]xport")
            server.send_signal(signal.SIGINT)
            assert server.wait_exit() == 0
            told = [line for line in server.lines if "opentelemetry" in line]
            assert len(told) < 10, server.log
            assert "Traceback" not in server.log


def test_the_last_spans_are_sent_at_the_stop(models: Path, collector: Collector, start_server: Start) -> None:
    """What waits to be sent when the server stops arrives."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    caller = Caller()
    with start_server(models, environment=variables) as server:
        with rows.own_connection(server.grpc_address) as channel:
            rows.stub(channel).ModelInfer(rows.request("single", 1), metadata=caller.metadata)
        server.send_signal(signal.SIGINT)
        assert server.wait_exit() == 0
    assert len(collector.trace(caller.trace_id, 3)) == 3


def test_no_traces_are_made_unless_somebody_wants_them(models: Path, collector: Collector, start_server: Start) -> None:
    """Switched off by hand, the environment's collector gets nothing."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    caller = Caller()
    with start_server(models, "--tracing", "off", environment=variables) as server:
        with rows.own_connection(server.grpc_address) as channel:
            rows.stub(channel).ModelInfer(rows.request("single", 1), metadata=caller.metadata)
        server.send_signal(signal.SIGINT)
        assert server.wait_exit() == 0
        assert "making traces" not in server.log
    assert not [span for span in collector.spans if span.trace_id == caller.trace_id]


# A server as it is installed without the extra: OpenTelemetry cannot be imported.
_WITHOUT = "import runpy, sys; sys.modules['opentelemetry'] = None; runpy.run_module('server', run_name='__main__')"
BARE = (sys.executable, "-c", _WITHOUT)


def test_a_server_without_opentelemetry_says_how_to_get_it(models: Path, start_server: Start) -> None:
    """Who asks for traces by option is told in one line what to install; nothing is served."""
    with start_server(models, "--tracing", "on", command=BARE, loaded=False) as server:
        assert server.wait_exit() == 1
        assert len(server.lines) == 1, server.log
        assert "pip install 'coordserve[tracing]'" in server.log


def test_an_environment_for_others_stops_no_server(models: Path, start_server: Start) -> None:
    """Where variables ask for traces that cannot be made, the server warns and serves."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with start_server(models, command=BARE, environment=variables) as server:
        server.wait_for("WARNING server: no traces: .*coordserve.tracing")
        with rows.own_connection(server.grpc_address) as channel:
            assert rows.answers(rows.stub(channel).ModelInfer(rows.request("single", 6))) == [6]
