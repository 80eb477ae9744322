"""Faults are brought into running servers, and Prometheus, as it is deployed, names each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.grafana.dashboard import ANNOTATIONS
from deploy.grafana.rows import ROWS
from tests.integration import control, rows
from tests.integration.books import waiting
from tests.integration.monitored import QUEUE, SLOW_ROUNDS, infer_badly, poison, repeating, write_net
from tests.integration.monitoring import OF_SLOWNESS, faster
from tests.integration.site import Site, open_site
from tests.torchscript_models import WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Both servers, their load and the Prometheus that watches them."""
    with open_site(tmp_path_factory.mktemp("site")) as site:
        yield site


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


def test_both_servers_are_scraped_and_their_service_levels_recorded(site: Site) -> None:
    """Under steady load, every series that alerts go by is there for each server, and no alert fires."""
    for server in ("python", "triton"):
        site.watch.wait_for(f'up{{server="{server}"}} == 1')
        site.watch.wait_for(f'server_slo:requests:rate5m{{slo="availability", server="{server}"}} > 5')
        site.watch.wait_for(f'server_slo:budget_burn:ratio_rate1h{{slo="availability", server="{server}"}} == 0')
        site.watch.wait_for(f'server_model:row_seconds:mean5m{{model="net", server="{server}"}} > 0')
    site.watch.wait_for('server_slo:requests:rate5m{slo="latency", server="python"} > 5')
    site.watch.wait_firing_only()


def test_a_caller_with_bad_input_is_told_from_a_fault_of_the_server(site: Site) -> None:
    """That alert fires, with its reason, and for as long as the caller goes on no other one does."""
    with repeating(infer_badly(site.ours)), repeating(infer_badly(site.ours)):
        about = site.watch.wait_firing("CallerSendsBadInput")["CallerSendsBadInput"]
        assert (about["server"], about["reason"], about["severity"]) == ("python", "invalid", "ticket")
        site.watch.wait_for('count_over_time(ALERTS{alertstate="firing", alertname="CallerSendsBadInput"}[30s]) >= 5')
    fired = site.watch.query('count_over_time(ALERTS{alertstate="firing"}[5s])')
    assert {sample["metric"]["alertname"] for sample in fired} - OF_SLOWNESS == {"CallerSendsBadInput"}
    site.watch.wait_firing_only()


def test_a_full_queue_before_an_execution_that_never_ends(site: Site) -> None:
    """The alerts name the queue, what is refused and why, the model that is stuck, and the harm to callers."""
    site.door.shut()
    work = [site.ours.ModelInfer.future(rows.request("gated", 1, WAIT))]
    site.server.metrics_when(lambda samples: samples.total("coordserve_instances_busy", model="gated") == 1)
    work += [site.ours.ModelInfer.future(rows.request("gated", 1)) for _ in range(QUEUE)]
    site.server.metrics_when(waiting("gated", QUEUE))
    with repeating(lambda: site.ours.ModelInfer(rows.request("gated", 1))):
        found = site.watch.wait_firing(
            "QueueSaturated", "RequestsRejected", "ModelStuck", "AvailabilityBudgetBurnsFast"
        )
    assert found["QueueSaturated"]["model"] == found["ModelStuck"]["model"] == "gated"
    assert found["RequestsRejected"]["reason"] == "queue_full"
    assert "CallerSendsBadInput" not in site.watch.firing()
    site.door.open()
    assert [rows.answers(call.result()) for call in work] == [[1]] * len(work)
    site.watch.wait_for('absent(ALERTS{alertstate="firing", alertname=~"QueueSaturated|RequestsRejected|ModelStuck"})')


def test_a_dead_instance(site: Site) -> None:
    """A model in Python that ends its own thread is named; loading it again is the remedy that the runbook says."""
    killer = site.ours.ModelInfer.future(rows.request("fragile", 1, rounds=-1))
    about = site.watch.wait_firing("InstanceDead")["InstanceDead"]
    assert (about["model"], about["severity"]) == ("fragile", "page")
    assert killer.exception()
    control.load(site.ours, "fragile")
    site.watch.wait_for('absent(ALERTS{alertstate="firing", alertname="InstanceDead"})')


def test_a_new_version_of_a_model_is_slow(site: Site) -> None:
    """Both what callers feel and its cause are named."""
    write_net(site.models, rounds=SLOW_ROUNDS)
    control.load(site.ours, "net")
    site.watch.wait_for('ALERTS{alertname="ModelSlow", model="net", server="python", alertstate="firing"}')
    site.watch.wait_for('server_slo:budget_burn:ratio_rate5m{slo="latency", server="python"} > 14.4')


def test_a_model_that_raises(site: Site) -> None:
    """It is named on either server."""
    with repeating(poison(site.ours)), repeating(poison(site.triton)):
        for server in ("python", "triton"):
            site.watch.wait_for(
                f'ALERTS{{alertname="ModelRaises", alertstate="firing", server="{server}", model="net"}}'
            )


def test_every_panel_of_the_dashboard_has_data_for_each_server_that_it_says(site: Site) -> None:
    """After all that has happened, every expression of the dashboard gives numbers, and every mark is found."""
    empty = {
        (panel.title, query.legend, server)
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
        for server in query.servers
        if not site.watch.query(_chosen(query.expr, server))
    }
    assert empty == set()
    marks = [mark.name for mark in ANNOTATIONS if not site.watch.query(_chosen(str(mark.expr), "python"))]
    assert marks == ["Restarts"]


def _chosen(expression: str, server: str) -> str:
    """What Grafana asks when all of one server is chosen and the last minutes are shown."""
    chosen = {"$__rate_interval": "3m", "$server": server, "$job": ".+", "$instance": ".+", "$model": ".+"}
    for variable, value in chosen.items():
        expression = expression.replace(variable, value)
    return expression


def test_panels_of_one_server_are_empty_for_the_other(site: Site) -> None:
    """What is said to be for one server only has no data for the other, or the panel says too little."""
    told = {
        (panel.title, query.legend)
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
        for server in {"python", "triton"} - set(query.servers)
        if site.watch.query(_chosen(query.expr, server))
    }
    assert told == set()


def test_a_server_that_was_killed_is_missed(site: Site) -> None:
    """The alert names the address that does not answer any more, and only that one."""
    address = site.server.http_address
    site.server.close()
    about = site.watch.wait_firing("TargetDown")["TargetDown"]
    assert (about["instance"], about["server"]) == (address, "python")
    assert [sample["metric"]["instance"] for sample in site.watch.query('ALERTS{alertname="TargetDown"}')] == [address]
