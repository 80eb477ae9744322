"""The real Prometheus with the configuration that is deployed, sixty times as fast: its minutes are seconds here.

Every window, `for`, `offset` and step of a rule is divided by `FASTER`, scrapes and evaluations come every second, and
the targets are the servers of the test. Nothing else differs from what is deployed.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import yaml

from tests.prometheus import DIRECTORY, RULE_FILES, free_address, program, read_yaml
from tests.serving import PATIENCE_SECONDS, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

FASTER = 60
ALERT_SECONDS = 120.0  # a bound for what hangs, no measure
# Alerts that a machine with other work may bring at any time; the tests know which others they expect.
OF_SLOWNESS = {
    *("LatencyBudgetBurnsFast", "LatencyBudgetBurnsSlowly", "QueueWaitHigh", "ModelSlow", "EventLoopLag"),
    *("ScrapeSlow", "TargetDown", "LoadGeneratorLate", "LoadGeneratorSaturated"),
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?<![\w.])(\d+)([smhd])(?![\w.])")

Samples = list[dict[str, Any]]


class Prometheus:
    """Questions to a Prometheus that runs at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, expression: str) -> Samples:
        """The samples of an instant vector that are numbers: `metric`, its labels, and `value`."""
        found = self._get("query", query=expression)["result"]
        return [sample for sample in found if sample["value"][1] != "NaN"]

    def wait_for(self, expression: str, seconds: float = ALERT_SECONDS) -> Samples:
        """Ask until there is an answer."""
        return _wait(lambda: self.query(expression), f"nothing ever answered {expression}", seconds)

    def wait_exemplar(self, expression: str, request_id: str) -> float:
        """Wait until a series that an expression selects has a request as its exemplar; returns the value."""

        def values() -> list[str]:
            series = self._get("query_exemplars", query=expression, start="0", end=str(time.time() + 1))
            found = [exemplar for each in series for exemplar in each["exemplars"]]
            return [each["value"] for each in found if each["labels"]["request_id"] == request_id]

        return float(_wait(values, f"there never was an exemplar {request_id!r}", PATIENCE_SECONDS)[0])

    def firing(self) -> dict[str, dict[str, str]]:
        """The alerts that fire now and what each is about, by name."""
        alerts = self._get("alerts")["alerts"]
        return {alert["labels"]["alertname"]: alert["labels"] for alert in alerts if alert["state"] == "firing"}

    def wait_firing(self, *names: str) -> dict[str, dict[str, str]]:
        """Wait until these alerts fire, all at once; returns what each is about."""

        def all_at_once() -> dict[str, dict[str, str]]:
            firing = self.firing()
            return firing if firing.keys() >= set(names) else {}

        return _wait(all_at_once, f"{names} never fired together")

    def wait_firing_only(self, *names: str) -> None:
        """Wait until these alerts fire and no others, but for those of slowness."""
        _wait(lambda: self.firing().keys() - OF_SLOWNESS == set(names), f"never did {names} alone fire")

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"http://{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error


def _wait(ask: Callable[[], Any], complaint: str, seconds: float = ALERT_SECONDS) -> Any:
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, complaint
        time.sleep(0.1)
    return answer


@contextlib.contextmanager
def prometheus(directory: Path, targets: Mapping[str, tuple[str, dict[str, str]]]) -> Iterator[Prometheus]:
    """A Prometheus that keeps its things in `directory`; `targets` are address and labels of each job that has one."""
    address = free_address()
    _configure(directory, targets, address)
    flags = (f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data")
    features = "--enable-feature=exemplar-storage"  # as docker-compose.yml has it
    process = ServerProcess([program("prometheus"), *flags, features, f"--web.listen-address={address}"])
    with contextlib.closing(process):
        process.wait_for("Server is ready to receive web requests")
        yield Prometheus(address)


def _configure(directory: Path, targets: Mapping[str, tuple[str, dict[str, str]]], own_address: str) -> None:
    config = read_yaml(DIRECTORY / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for scrape in config["scrape_configs"]:
        for fixed in scrape.get("static_configs", ()):
            fixed["targets"] = [own_address]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (directory / "targets").mkdir()
    for job, (address, labels) in targets.items():
        group = [{"targets": [address], "labels": labels}]
        (directory / "targets" / f"{job}.yml").write_text(yaml.safe_dump(group), encoding="utf-8")
    (directory / "rules").mkdir()
    for path in RULE_FILES:
        (directory / "rules" / path.name).write_text(yaml.safe_dump(_faster_rules(path)), encoding="utf-8")


def _faster_rules(path: Path) -> Any:
    content = read_yaml(path)
    for group in content["groups"]:
        _faster_values(group, ("interval",))
        for rule in group["rules"]:
            _faster_values(rule, ("for", "expr"))
    return content


def _faster_values(mapping: dict[str, str], keys: tuple[str, ...]) -> None:
    mapping.update({key: faster(mapping[key]) for key in keys if key in mapping})


def faster(expression: str) -> str:
    """The same with every duration divided by `FASTER`; what only looks like one stands within a name."""
    return _DURATION.sub(lambda match: f"{int(match[1]) * _UNITS[match[2]] * 1000 // FASTER}ms", expression)
