from __future__ import annotations

import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from loadtest import conduct
from loadtest.address import Address
from loadtest.calibration import Calibration
from loadtest.description import describe
from loadtest.images import make_images
from loadtest.objective import Objective
from loadtest.options import Options
from loadtest.payloads import Mix, answers_at_rest, make_workload
from loadtest.scenarios import SCENARIOS, Plan
from loadtest.session import Interrupted, Session
from loadtest.summary import summarize
from loadtest.target import TargetError, find_target
from tests.loadtest.traces import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from loadtest.progress import Progress
    from loadtest.run import Run
    from tests.serving import ServerProcess

PLAN = Plan(rate=30.0, seconds=0.6, seed=1, objective=Objective(10.0), instants=np.array([3.0, 3.1, 3.4]))


def run_scenario(url: str, name: str, plan: Plan = PLAN) -> tuple[list[Run], dict[str, Any]]:
    """The runs of a scenario against a server, and what it found; without a warm-up that would take long."""
    scenario = SCENARIOS[name]
    target = find_target(Address(url))
    mix = Mix(scenario.batch_sizes, scenario.bad_share)
    workload = make_workload(target, make_images(0, count=16), mix)
    if scenario.compare_every:
        workload = answers_at_rest(target.address, workload)
    options = Options(warm_up_seconds=0, compare_every=scenario.compare_every)
    with Session(target, workload, options, name) as session:
        findings = scenario.run(session, plan)
    return session.runs, findings


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("poisson", ["poisson"]),
        ("step", ["step"]),
        ("ramp", ["ramp"]),
        ("burst", ["bursts"]),
        ("replay", ["replay"]),
        ("single", ["one caller"]),
        ("offline", ["offline"]),
        ("sweep", [f"{callers} callers" for callers in (1, 2, 4, 8, 16, 32)]),
        ("server", [f"{share} of the given rate" for share in ("25%", "50%", "75%", "90%")]),
        ("overload", ["1.5 times the given rate"]),
        ("soak", ["soak"]),
        ("mixed-batches", ["poisson"]),
        ("bad-input", ["poisson"]),
        ("verify", ["poisson"]),
    ],
)
def test_a_scenario_has_its_runs_and_all_requests_end_well(image_server: str, name: str, labels: list[str]) -> None:
    """Every scenario runs against a real server, what it finds can be summarized, and no given rate is a peak."""
    runs, findings = run_scenario(image_server, name)

    assert [run.label for run in runs] == labels
    assert all(run.trace.ok.all() and len(run.trace) for run in runs)
    assert all(run.server and run.server.images > 0 for run in runs)
    assert summarize(runs, PLAN.objective, scenario=name, findings=findings)["errors"] == {}
    assert "peak_rate" not in findings


def test_the_servers_own_split_belongs_to_the_run(image_server: str) -> None:
    """Requests, images and batch sizes are those of the run, and its times are parts of its requests' time."""
    (run,), _ = run_scenario(image_server, "mixed-batches", Plan(30.0, 1.0))

    server = run.server
    assert server
    assert server.images == np.asarray(run.images)[run.trace.message].sum()
    assert sum(size * count for size, count in server.batch_sizes.items()) == server.images
    assert server.request_ms
    assert 0 < (server.queue_ms or 0) + (server.compute_infer_ms or 0) <= server.request_ms


def test_a_model_is_reloaded_under_load(
    image_repository: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> None:
    """While a model is loaded anew, every request gets its answer."""
    options = ("--model-control-mode", "explicit", "--load-model", "colours")
    with start_server(image_repository, *options, "--lame-duck-seconds", "0") as server:
        (run,), findings = run_scenario(server.grpc_address, "reload", Plan(20.0, 2.5))

    assert run.trace.ok.all()
    assert findings["reloads"] >= 2
    assert findings["reload_failures"] == []
    assert findings["misses"] == []


def test_a_reload_that_fails_is_a_miss(
    image_repository: Path, tmp_path: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> None:
    """A server that cannot load its model again has missed, however well it answers meanwhile."""
    shutil.copytree(image_repository, tmp_path / "models")
    options = ("--model-control-mode", "explicit", "--load-model", "colours", "--lame-duck-seconds", "0")

    def remove(_progress: Progress) -> None:
        shutil.rmtree(tmp_path / "models" / "colours" / "1", ignore_errors=True)

    with start_server(tmp_path / "models", *options) as server:
        target = find_target(Address(server.grpc_address))
        workload = make_workload(target, make_images(0, count=4), Mix())
        with Session(target, workload, Options(warm_up_seconds=0), observers=[remove]) as session:
            findings = SCENARIOS["reload"].run(session, Plan(20.0, 2.5))

    (miss,) = findings.pop("misses")
    assert "reloads failed, the first with" in miss
    assert summarize(session.runs, findings=findings, misses=[miss])["verdict"] == "missed"


def test_an_interruption_between_two_runs_is_told(image_server: str) -> None:
    """Who stops a search while it warms up, with a peak and nothing else, hears that it was interrupted."""
    target = find_target(Address(image_server))
    session = Session(target, make_workload(target, make_images(0, count=4), Mix()))
    session.runs.append(run([10.0] * 100, label="peak", judged=False))

    def stop() -> None:
        session.runs.append(run([10.0], label="warm-up"))
        raise Interrupted

    with pytest.raises(Interrupted):
        session.discard(stop)

    assert [(each.label, each.partial) for each in session.runs] == [("peak", True)]
    assert "it was interrupted before a run that counts" in describe(summarize(session.runs, scenario="search"))


@pytest.mark.parametrize(("rate", "most"), [(100.0, 149.0), (99.0, 149.0)])
def test_overload_is_more_than_the_rate_that_is_given(rate: float, most: float) -> None:
    """What it really offers is held against what the client can send, before any load."""
    calibration = Calibration(0.0, 0.0, ceiling_rate=2 * most)
    refused = pytest.raises(ValueError, match="reports on half of that, not on 150")
    with refused if 1.5 * rate > most else nullcontext():
        conduct._check_rate(SCENARIOS["overload"].most_of_rate * rate, calibration)


def test_the_warm_up_of_a_replay_sends_no_more_than_the_replay(image_server: str) -> None:
    """A moment's burst is not kept up for seconds before it."""
    rates: list[float | None] = []
    target = find_target(Address(image_server))
    workload = make_workload(target, make_images(0, count=4), Mix())

    def note(progress: Progress) -> None:
        rates.append(progress.rate)

    with Session(target, workload, Options(warm_up_seconds=20.0), observers=[note]) as session:
        SCENARIOS["replay"].run(session, Plan(None, 1.0, instants=np.linspace(0, 0.001, 40)))

    assert rates[0] == 40
    assert session.runs[-1].rate == pytest.approx(40_000, rel=1e-3)


def test_runs_of_a_probe_have_no_lead(image_server: str) -> None:
    """What a probe sends first settles the queue and does not count."""
    target = find_target(Address(image_server))
    workload = make_workload(target, make_images(0, count=4), Mix())
    with Session(target, workload, Options()) as session:
        run = session.probe(20.0, 1.0, seed=3)

    assert run.seconds == 1.0
    assert ((run.trace.due >= 0) & (run.trace.due < 1)).all()
    assert run.trace.ok.all()


def test_only_explicit_mode_reloads(image_server: str) -> None:
    """A server that loads no models on request ends the scenario with one clear line."""
    with pytest.raises(TargetError, match="does not load models on request"):
        run_scenario(image_server, "reload")
