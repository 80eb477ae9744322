"""The rules that are deployed, as Prometheus's own tool reads and runs them, and what they promise to people."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.rpc_metrics import REASONS
from tests.deploy.compose import services
from tests.prometheus import DIRECTORY, RULE_FILES, alerts, program, read_yaml, rules

ALERTS = alerts()
RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")
TEST_FILES = sorted((DIRECTORY / "tests").glob("*.yml"))
ALERT_TESTS = [
    test for path in TEST_FILES for group in read_yaml(path)["tests"] for test in group.get("alert_rule_test", [])
]
# Refusals that only the caller can avoid; they must not count against the server.
CALLERS_FAULTS = {"invalid", "invalid_image", "too_large", "not_found", "unsupported", "cancelled"}

SECTION = re.compile(r"^### (\w+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def _promtool(*arguments: str | Path) -> None:
    process = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr


def _reasons(expression: str) -> set[str]:
    """The reasons of the server's refusals that an expression selects."""
    selected = re.findall(r'coordserve_rejected_total\{reason=~"([^"]+)"\}', expression)
    return {reason for reasons in selected for reason in reasons.split("|")}


def test_the_configuration_is_valid() -> None:
    """Prometheus's own check takes the configuration and all that it names."""
    _promtool("check", "config", DIRECTORY / "prometheus.yml")


def test_the_rules_are_valid() -> None:
    """Prometheus's own lint finds nothing, and each kind of test file has its rules."""
    _promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: str(path.stem))
def test_the_rules_do_what_their_tests_say(path: Path) -> None:
    """Each alert fires for its fault, with its very words, and for nothing else."""
    _promtool("test", "rules", path)


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_is_tested_both_ways(name: str) -> None:
    """There is a case in which it fires and a case in which it does not."""
    tests = [test for test in ALERT_TESTS if test["alertname"] == name]
    assert any(test.get("exp_alerts") for test in tests), "never seen to fire"
    assert any(not test.get("exp_alerts") for test in tests), "never seen to be quiet"


def test_all_tests_are_of_alerts_that_exist() -> None:
    """A quiet case of an alert that has another name now would pass for ever."""
    assert {test["alertname"] for test in ALERT_TESTS} == ALERTS.keys()


@pytest.mark.parametrize(("name", "rule"), ALERTS.items(), ids=ALERTS)
def test_each_alert_says_how_bad_it_is_what_it_is_about_and_what_to_do(name: str, rule: dict[str, Any]) -> None:
    """Severity, a summary that names its subject, and a section of the runbook."""
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert "$labels." in rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    """Each says how bad it is, what to look at and what to do."""
    sections = dict(SECTION.findall(RUNBOOK))
    assert sections.keys() == ALERTS.keys()
    for name, text in sections.items():
        assert text.startswith(f"**{ALERTS[name]['labels']['severity']}.** ")
        assert re.search(r"^- Look", text, re.MULTILINE)
        assert re.search(r"^- (Do:|Look and do:)", text, re.MULTILINE)


def test_the_runbooks_links_lead_somewhere() -> None:
    """Each link within it is the name of a section."""
    anchors = {name.lower() for name in ALERTS}
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors


def test_each_reason_of_a_refusal_is_the_servers_or_the_callers_fault() -> None:
    """A reason that is new in the server has to be given its place in the service level and the alerts."""
    by_name = {rule.get("record", "") + str(rule.get("labels", {}).get("slo", "")): rule["expr"] for rule in rules()}
    servers_faults = _reasons(by_name["server_slo:errors:rate5mavailability"])
    assert _reasons(by_name["server_slo:errors:increase1havailability"]) == servers_faults
    assert servers_faults | CALLERS_FAULTS == set(REASONS)
    assert not servers_faults & CALLERS_FAULTS
    assert _reasons(ALERTS["CallerSendsBadInput"]["expr"]) == CALLERS_FAULTS - {"cancelled"}
    assert _reasons(ALERTS["RequestsRejected"]["expr"]) <= servers_faults


def test_prometheus_keeps_what_the_objectives_look_back_on() -> None:
    """Where it is deployed by docker-compose.yml, its data last longer than the longest window of a rule."""
    (flag,) = (flag for flag in services()["prometheus"]["command"] if "retention.time" in flag)
    days = [int(days) for rule in rules() for days in re.findall(r"\[(\d+)d", rule["expr"])]
    assert max(days) < int(flag.rpartition("=")[2].removesuffix("d"))
