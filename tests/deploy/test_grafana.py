"""The dashboard's file: what Grafana's own linter asks of one, and what people may expect of each panel.

The rules and their names are those of https://github.com/grafana/dashboard-linter; whether the expressions are right is
for tests/integration/test_monitoring.py to find out.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.models import units

from deploy.grafana.dashboard import FILE, content
from deploy.grafana.promql import PROCESS
from deploy.grafana.rows import ROWS
from loadtest.target import CLASSIFY, INFER
from tests.prometheus import DIRECTORY, program, read_yaml, rules

GRAFANA = Path(FILE).parents[1]
DASHBOARD = json.loads(FILE.read_text(encoding="utf-8"))
PANELS: dict[str, dict[str, Any]] = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
VARIABLES: dict[str, dict[str, Any]] = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
EXPRESSIONS = [target["expr"] for panel in PANELS.values() for target in panel["targets"]]
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
# What is no process's own, and so has neither job nor instance to choose: alerts, and what rules have recorded.
OF_NO_PROCESS = {"ALERTS", *RECORDED}
# Jobs that are never chosen at the top, for one instance each at most.
FIXED_JOBS = ('job="loadgen"', 'job="prometheus"')

each_panel = pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)


def test_the_file_is_what_the_rows_say() -> None:
    """`python -m deploy.grafana.dashboard` was run after the last change."""
    assert FILE.read_text(encoding="utf-8") == content()


def test_nobody_can_change_it_where_the_next_start_would_undo_it() -> None:
    """uneditable-dashboard: changes are made in the rows."""
    assert DASHBOARD["editable"] is False
    assert "id" not in DASHBOARD
    assert DASHBOARD["uid"] == "coordserve"


def test_panels_have_numbers_and_names_of_their_own() -> None:
    """Links name a panel by its number, people by its title."""
    numbers = Counter(panel["id"] for panel in DASHBOARD["panels"])
    assert set(numbers.values()) == {1}
    titles = Counter(panel.title for row in ROWS for panel in row.panels)
    assert set(titles.values()) == {1}


@each_panel
def test_each_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """panel-title-description, panel-units: a title, a description in sentences, a unit, and words for no data."""
    assert panel["title"]
    assert re.fullmatch(r"[A-Z1a-z].*\.", panel["description"])
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["unit"] in {value for name, value in vars(units).items() if name.isupper() or name[0].isupper()}
    assert defaults["noValue"]


@each_panel
def test_each_panel_asks_the_chosen_source(panel: dict[str, Any]) -> None:
    """panel-datasource, panel-no-targets: and its series have legends."""
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == SOURCE
        assert target["legendFormat"]


@each_panel
def test_panels_do_not_overlap(panel: dict[str, Any]) -> None:
    """Each has its own place on the grid."""
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    for other in PANELS.values():
        its = other["gridPos"]
        apart = its["x"] + its["w"] <= place["x"] or place["x"] + place["w"] <= its["x"]
        assert other is panel or apart or its["y"] + its["h"] <= place["y"] or place["y"] + place["h"] <= its["y"]


def test_the_variables_are_those_that_dashboards_have() -> None:
    """template-datasource, template-job, template-instance, template-on-time-change-reload."""
    assert list(VARIABLES) == ["datasource", "job", "server", "instance", "model"]
    assert (VARIABLES["datasource"]["type"], VARIABLES["datasource"]["query"]) == ("datasource", "prometheus")
    for name, variable in VARIABLES.items():
        if name != "datasource":
            assert variable["datasource"] == SOURCE
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
            assert variable["refresh"] == 2  # when the time range changes


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS)))
def test_each_expression_asks_for_what_is_chosen(expression: str) -> None:
    """target-job, target-instance: no selector forgets what is chosen at the top."""
    for name, matchers in SELECTOR.findall(expression):
        if name in OF_NO_PROCESS:
            assert 'server=~"$server' in matchers
        else:
            assert matchers.startswith((PROCESS, *FIXED_JOBS))


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS)))
def test_each_rate_has_grafanas_interval_and_each_counter_a_rate(expression: str) -> None:
    """target-rate-interval, target-counter-agg; Triton's counters and the parts of histograms are counters, too."""
    assert set(re.findall(r"\[([^]]*)\]", expression)) <= {"$__rate_interval"}
    counter = r"\w+_total|\w+_bucket|\w+_sum|\w+_count|nv_inference_\w+(?:_us|_success|_failure)"
    for match in re.finditer(rf"(\w+\()?\b({counter})\{{", expression):
        assert (
            match[1] in {"rate(", "increase("}
            or match[2] == "nv_inference_pending_request_count"
            or "summary" in match[2]
        )


def test_series_that_rules_record_are_recorded() -> None:
    """A name with colons is the name of a rule."""
    names = {name for expression in EXPRESSIONS for name in re.findall(r"[a-z_]+:[\w:]+", expression)}
    assert names
    assert names <= RECORDED


def test_the_objectives_are_drawn_where_the_rules_have_them() -> None:
    """Panels of answer times change their colour at 100 ms, those of shares at 99.9 % and 99 %."""
    budgets = {
        rule["labels"]["slo"]: rule["expr"] for rule in rules() if rule.get("record") == "slo:error_budget:ratio"
    }
    assert budgets == {"availability": "vector(0.001)", "latency": "vector(0.01)"}
    steps = {
        title: [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        for title, panel in PANELS.items()
        if "thresholds" in panel["fieldConfig"]["defaults"]
    }
    assert steps["99th percentile"] == steps["Percentiles"] == steps["Callers' 99th percentile"] == [None, 0.1]
    assert (steps["Answered, 30 days"], steps["Within 100 ms, 30 days"]) == ([None, 0.999], [None, 0.99])


# Sixty requests a minute to an ensemble take over 50 ms; its step takes less, of nobody else.
_ENSEMBLE = {
    "coordserve_request_duration_seconds_bucket": {("all", "ok"): (0, 60, 60), ("step", "ok"): (60, 60, 60)},
    "coordserve_step_duration_seconds_bucket": {("all", ""): (0, 0, 0), ("step", ""): (60, 60, 60)},
}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Percentiles", {'{server="python"}': 0.125}),
        ("Answer times", {'{le="0.05"}': 0, '{le="0.2"}': 300, '{le="+Inf"}': 300}),
    ],
)
def test_an_ensembles_steps_are_no_answers(tmp_path: Path, title: str, expected: dict[str, float]) -> None:
    """Percentiles and the heat map are of what callers asked for."""
    expression = PANELS[title]["targets"][0]["expr"].replace("$__rate_interval", "5m")
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    case = {"expr": f"round({re.sub(r'[$]([a-z]+)', '.*', expression)}, 0.001)", "eval_time": "10m"}
    series = [
        {"series": f'{name}{{job="coordserve", instance="a", server="python", {labels}}}', "values": f"0+{count}x20"}
        for name, models in _ENSEMBLE.items()
        for (model, outcome), counts in models.items()
        for le, count in zip(("0.05", "0.2", "+Inf"), counts, strict=True)
        for labels in [f'model="{model}", outcome="{outcome}", le="{le}"']
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [case | {"exp_samples": samples}]}
    file = tmp_path / "steps.yml"
    file.write_text(json.dumps({"rule_files": [], "tests": [test]}), encoding="utf-8")

    finished = subprocess.run([program("promtool"), "test", "rules", file], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("title", ["Mean time of a request: $server", "Processor time per 1000 rows"])
def test_panels_in_which_steps_count_say_so(title: str) -> None:
    """Neither server tells what parts of an ensemble's time, and how many of its rows, were steps'."""
    assert "What an ensemble asks of its steps counts as " in PANELS[title]["description"]


def test_the_server_is_held_against_the_method_that_generators_call() -> None:
    """Beside the clients' median stands the server's own, of images as of tensors."""
    queries = [target["expr"] for target in PANELS["Client against server"]["targets"]]
    [methods] = [found for query in queries for found in re.findall(r'grpc_method=~"([^"]+)"', query)]
    assert set(methods.split("|")) == {path.rpartition("/")[2] for path in (CLASSIFY, INFER)}


def test_marks_tell_of_restarts_loads_and_load_tests() -> None:
    """Each from Prometheus, with a title."""
    marks = DASHBOARD["annotations"]["list"]
    assert [mark["name"] for mark in marks] == ["Restarts", "Loads of models", "Load tests"]
    for mark in marks:
        assert (mark["datasource"], mark["enable"]) == (SOURCE, True)
        assert mark["titleFormat"]


def test_the_source_is_provisioned_with_the_interval_of_the_scrapes() -> None:
    """Otherwise $__rate_interval is too short, and panels are empty."""
    (source,) = read_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    assert source["type"] == "prometheus"
    scrapes = read_yaml(DIRECTORY / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scrapes


def test_the_runbook_names_panels_that_exist() -> None:
    """What it says to look at is there."""
    text = (GRAFANA.parents[1] / "docs" / "runbook.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<!\*)\*([A-Z][^*\n]+)\*(?!\*)", text))
    titles = {title.replace(": $server", "") for title in PANELS}
    assert named - titles == {"CoordServe", "Status / Target health"}
