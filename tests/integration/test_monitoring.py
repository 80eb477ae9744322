"""Faults are brought into running servers, and Prometheus, as it is deployed, names each of them."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.grafana.dashboard import ANNOTATIONS
from deploy.grafana.rows import ROWS
from deploy.triton.wheel import installed_triton
from tests.integration import control, rows
from tests.integration.books import waiting
from tests.integration.gates import Door
from tests.integration.monitored import (
    QUEUE,
    SLOW_ROUNDS,
    Site,
    infer,
    infer_badly,
    poison,
    repeating,
    write_models,
    write_net,
)
from tests.integration.monitoring import OF_SLOWNESS, Prometheus, faster, prometheus
from tests.serving import ServerProcess, started
from tests.torchscript_models import WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRITON = (sys.executable, "-m", "deploy.triton", "--http-port", "0")
TRITON_FLAGS = ("--metrics-config=summary_latencies=true", "--metrics-interval-ms=1000")
# Its first start unpacks the wheel, and each of its models starts a Python that imports torch.
TRITON_START_SECONDS = 200.0
LOAD = ("run", "poisson", "--model", "colours", "--rate", "20", "--duration", "1h", "--metrics-port", "0")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This server's models; the door before one of them is open."""
    directory = tmp_path_factory.mktemp("models")
    Door(directory.with_suffix(".door")).open()
    write_models(directory, directory.with_suffix(".door"))
    return directory


@pytest.fixture(scope="module")
def door(repository: Path) -> Door:
    """The door of the model `gated`."""
    return Door(repository.with_suffix(".door"))


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[ServerProcess]:
    """This server."""
    models = (f"--load-model={path.name}" for path in repository.iterdir())
    with started(repository, "--model-control-mode", "explicit", *models) as server:
        yield server


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real Triton with one of these models; it starts meanwhile."""
    directory = tmp_path_factory.mktemp("triton")
    write_net(directory)
    installed_triton()
    with started(directory, *TRITON_FLAGS, command=TRITON, loaded=False) as triton:
        yield triton


@pytest.fixture(scope="module")
def site(triton: ServerProcess, server: ServerProcess) -> Iterator[Site]:
    """Both servers with steady traffic."""
    triton.wait_for("Started Metrics Service", TRITON_START_SECONDS)
    with rows.own_connection(server.grpc_address) as mine, rows.own_connection(triton.grpc_address) as theirs:
        site = Site(rows.stub(mine), rows.stub(theirs))
        with repeating(infer(site.ours)), repeating(infer(site.triton)):
            yield site


@pytest.fixture(scope="module")
def loadgen(server: ServerProcess) -> Iterator[str]:
    """The load generator, which has images classified; the address of its metrics."""
    command = (sys.executable, "-m", "loadtest", *LOAD, "--url", server.grpc_address, "--warm-up", "0")
    with contextlib.closing(ServerProcess([*command, "--no-calibration"])) as loadgen:
        yield loadgen.wait_for("metrics on http://([^/]+)/metrics")[1]


@pytest.fixture(scope="module")
def watch(
    site: Site,
    server: ServerProcess,
    triton: ServerProcess,
    loadgen: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """The Prometheus that watches them."""
    assert site
    targets = {
        "coordserve": (server.http_address, {"server": "python"}),
        "triton": (triton.http_address, {"server": "triton"}),
        "loadgen": (loadgen, {}),
    }
    with prometheus(tmp_path_factory.mktemp("prometheus"), targets) as watch:
        yield watch


@pytest.mark.parametrize(
    ("expression", "hurried"),
    [
        ("rate(x:mean5m[5m]) > 2", "rate(x:mean5m[5000ms]) > 2"),
        ("sum_over_time(x:increase1h[1d:1h]) >= 10", "sum_over_time(x:increase1h[1440000ms:60000ms]) >= 10"),
        ("x offset 2h / 1e6 > 0.4", "x offset 120000ms / 1e6 > 0.4"),
        ("30s", "500ms"),
    ],
)
def test_only_durations_are_hurried(expression: str, hurried: str) -> None:
    """Windows, steps, offsets and waits shrink; names and numbers stay."""
    assert faster(expression) == hurried


def test_both_servers_are_scraped_and_their_service_levels_recorded(watch: Prometheus) -> None:
    """Under steady load, every series that alerts go by is there for each server, and no alert fires."""
    for server in ("python", "triton"):
        watch.wait_for(f'up{{server="{server}"}} == 1')
        watch.wait_for(f'server_slo:requests:rate5m{{slo="availability", server="{server}"}} > 5')
        watch.wait_for(f'server_slo:budget_burn:ratio_rate1h{{slo="availability", server="{server}"}} == 0')
        watch.wait_for(f'server_model:row_seconds:mean5m{{model="net", server="{server}"}} > 0')
    watch.wait_for('server_slo:requests:rate5m{slo="latency", server="python"} > 5')
    watch.wait_firing_only()


def test_a_caller_with_bad_input_is_told_from_a_fault_of_the_server(watch: Prometheus, site: Site) -> None:
    """That alert fires, with its reason, and for as long as the caller goes on no other one does."""
    with repeating(infer_badly(site.ours)), repeating(infer_badly(site.ours)):
        about = watch.wait_firing("CallerSendsBadInput")["CallerSendsBadInput"]
        assert (about["server"], about["reason"], about["severity"]) == ("python", "invalid", "ticket")
        watch.wait_for('count_over_time(ALERTS{alertstate="firing", alertname="CallerSendsBadInput"}[30s]) >= 5')
    fired = watch.query('count_over_time(ALERTS{alertstate="firing"}[5s])')
    assert {sample["metric"]["alertname"] for sample in fired} - OF_SLOWNESS == {"CallerSendsBadInput"}
    watch.wait_firing_only()


def test_a_full_queue_before_an_execution_that_never_ends(
    watch: Prometheus, site: Site, server: ServerProcess, door: Door
) -> None:
    """The alerts name the queue, what is refused and why, the model that is stuck, and the harm to callers."""
    door.shut()
    work = [site.ours.ModelInfer.future(rows.request("gated", 1, WAIT))]
    server.metrics_when(lambda samples: samples.total("coordserve_instances_busy", model="gated") == 1)
    work += [site.ours.ModelInfer.future(rows.request("gated", 1)) for _ in range(QUEUE)]
    server.metrics_when(waiting("gated", QUEUE))
    with repeating(lambda: site.ours.ModelInfer(rows.request("gated", 1))):
        found = watch.wait_firing("QueueSaturated", "RequestsRejected", "ModelStuck", "AvailabilityBudgetBurnsFast")
    assert found["QueueSaturated"]["model"] == found["ModelStuck"]["model"] == "gated"
    assert found["RequestsRejected"]["reason"] == "queue_full"
    assert "CallerSendsBadInput" not in watch.firing()
    door.open()
    assert [rows.answers(call.result()) for call in work] == [[1]] * len(work)
    watch.wait_for('absent(ALERTS{alertstate="firing", alertname=~"QueueSaturated|RequestsRejected|ModelStuck"})')


def test_a_dead_instance(watch: Prometheus, site: Site) -> None:
    """A model in Python that ends its own thread is named; loading it again is the remedy that the runbook says."""
    killer = site.ours.ModelInfer.future(rows.request("fragile", 1, rounds=-1))
    about = watch.wait_firing("InstanceDead")["InstanceDead"]
    assert (about["model"], about["severity"]) == ("fragile", "page")
    assert killer.exception()
    control.load(site.ours, "fragile")
    watch.wait_for('absent(ALERTS{alertstate="firing", alertname="InstanceDead"})')


def test_a_new_version_of_a_model_is_slow(watch: Prometheus, site: Site, repository: Path) -> None:
    """Both what callers feel and its cause are named."""
    write_net(repository, rounds=SLOW_ROUNDS)
    control.load(site.ours, "net")
    found = watch.wait_firing("ModelSlow", "LatencyBudgetBurnsFast")
    assert (found["ModelSlow"]["server"], found["ModelSlow"]["model"]) == ("python", "net")
    assert found["LatencyBudgetBurnsFast"]["server"] == "python"
    watch.wait_for('absent(ALERTS{alertstate="firing", server="triton", severity="page"})')


def test_a_model_that_raises(watch: Prometheus, site: Site) -> None:
    """It is named on either server."""
    with repeating(poison(site.ours)), repeating(poison(site.triton)):
        for server in ("python", "triton"):
            watch.wait_for(f'ALERTS{{alertname="ModelRaises", alertstate="firing", server="{server}", model="net"}}')


def test_every_panel_of_the_dashboard_has_data_for_each_server_that_it_says(watch: Prometheus) -> None:
    """After all that has happened, every expression of the dashboard gives numbers, and every mark is found."""
    empty = {
        (panel.title, query.legend, server)
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
        for server in query.servers
        if not watch.query(_chosen(query.expr, server))
    }
    assert empty == set()
    marks = [mark.name for mark in ANNOTATIONS if not watch.query(_chosen(str(mark.expr), "python"))]
    assert marks == ["Restarts"]


def _chosen(expression: str, server: str) -> str:
    """What Grafana asks when all of one server is chosen and the last minutes are shown."""
    chosen = {"$__rate_interval": "3m", "$server": server, "$job": ".+", "$instance": ".+", "$model": ".+"}
    for variable, value in chosen.items():
        expression = expression.replace(variable, value)
    return expression


def test_panels_of_one_server_are_empty_for_the_other(watch: Prometheus) -> None:
    """What is said to be for one server only has no data for the other, or the panel says too little."""
    told = {
        (panel.title, query.legend)
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
        for server in {"python", "triton"} - set(query.servers)
        if watch.query(_chosen(query.expr, server))
    }
    assert told == set()


def test_a_server_that_was_killed_is_missed(watch: Prometheus, server: ServerProcess) -> None:
    """The alert names the address that does not answer any more, and only that one."""
    address = server.http_address
    server.close()
    about = watch.wait_firing("TargetDown")["TargetDown"]
    assert (about["instance"], about["server"]) == (address, "python")
    assert [sample["metric"]["instance"] for sample in watch.query('ALERTS{alertname="TargetDown"}')] == [address]
