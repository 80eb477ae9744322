"""The tables of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadtest.report import memory
from loadtest.report.carried import shown_run
from loadtest.report.numbers import PERCENTILES, UNKNOWN, milliseconds, number, share
from loadtest.report.table import Table
from loadtest.verdict import MET

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEVER = "never"


def all_tables(summary: dict[str, Any]) -> list[Table]:
    """Every table of a report, in their order."""
    runs = summary["runs"]
    shown = runs[shown_run(summary)]
    return [
        probed(summary["findings"]),
        latencies(shown),
        run_table(runs) if len(runs) > 1 else Table("Runs", (), ()),
        errors(runs),
        kinds(shown),
        bad_input(runs),
        memory.table(summary["findings"]),
        conditions(runs, shown),
        findings({} if summary["scenario"] == "search" else summary["findings"]),
    ]


def latencies(run: dict[str, Any]) -> Table:
    """Percentiles of the response time with their intervals, of the service time, and of the lag."""
    rows = []
    for name, text in PERCENTILES.items():
        values = (run[key][name] for key in ("service_ms", "lag_ms"))
        rows.append((text, run["latency_ms"][name] or untold(run, name), interval_text(run, name), *values))
    title = f"Percentiles of “{run['label']}”, ms"
    head = ("", "response (from due)", "95 % interval", "service (from sent)", "late sending")
    return Table(title, head, tuple(rows))


def untold(run: dict[str, Any], name: str) -> str | None:
    """Of a percentile of the response time without a value: that it never came; None if too few requests tell it."""
    return _NEVER if name in run["latency_interval_ms"] or (name == "max" and run["requests"]) else None


def interval_text(run: dict[str, Any], name: str) -> str:
    """The 95 % interval of a percentile, in milliseconds; without an upper end where requests set none."""
    if name not in run["latency_interval_ms"]:
        return UNKNOWN
    low, high = run["latency_interval_ms"][name]
    if low is None:
        return _NEVER
    return f"{number(low)} or more" if high is None else f"{number(low)} to {number(high)}"


def run_table(runs: Sequence[dict[str, Any]]) -> Table:
    """A row for each run."""
    head = ("run", "offered/s", "answered/s", "p50 ms", "p99 ms", "slowest ms", "errors", "dropped", "mean batch")
    rows = [
        (
            run["label"],
            run["offered_rate"],
            run["achieved_rate"],
            *(run["latency_ms"][name] for name in ("p50", "p99", "max")),
            sum(run["errors"].values()),
            run["dropped"],
            (run["server"] or {}).get("mean_batch"),
            _verdict(run),
        )
        for run in runs
    ]
    return Table("Runs", (*head, "verdict"), tuple(rows))


def _verdict(run: dict[str, Any]) -> str:
    if not run["judged"]:
        return "not judged"
    return "valid" if run["verdict"] == MET and run["decision"] is None else str(run["verdict"])


def errors(runs: Sequence[dict[str, Any]]) -> Table:
    """How often each error came."""
    counts: dict[str, int] = {}
    for run in runs:
        for name, count in (*run["errors"].items(), ("dropped, never sent", run["dropped"])):
            counts[name] = counts.get(name, 0) + count
    requests = sum(run["requests"] for run in runs)
    rows = [(name, count, share(count / requests)) for name, count in counts.items() if count]
    return Table("Errors", ("how it ended", "requests", "share"), tuple(rows))


def kinds(run: dict[str, Any]) -> Table:
    """The latency of each kind of request."""
    rows = [
        (kind, found["requests"], *(found["latency_ms"][name] for name in ("p50", "p90", "p99", "max")))
        for kind, found in run["kinds"].items()
    ]
    return Table("Kinds of requests", ("kind", "requests", "p50 ms", "p90 ms", "p99 ms", "slowest ms"), tuple(rows))


def bad_input(runs: Sequence[dict[str, Any]]) -> Table:
    """How bad input was refused."""
    rows = [
        (
            run["label"],
            run["bad_input"]["requests"],
            run["bad_input"]["refused"],
            sum(run["bad_input"]["wrong"].values()),
            run["bad_input"]["latency_ms"]["p50"],
            run["bad_input"]["latency_ms"]["max"],
        )
        for run in runs
        if run["bad_input"]
    ]
    return Table("Bad input", ("run", "requests", "refused rightly", "otherwise", "p50 ms", "slowest ms"), tuple(rows))


def conditions(runs: Sequence[dict[str, Any]], shown: dict[str, Any]) -> Table:
    """What has to hold for a run to count: what some run broke, then each condition with what the shown run found."""
    several = len(runs) > 1
    broken = [
        (f"{run['label']}: {each['name']}", "INVALID", each["text"])
        for run in runs
        for each in run["conditions"]
        if several and not each["valid"]
    ]
    counts = {each["name"]: _holds(each["name"], runs) for each in shown["conditions"]}
    found = [
        (
            f"{each['name']}, {counts[each['name']]} runs" if several else each["name"],
            "VALID" if each["valid"] else "INVALID",
            f"{shown['label']}: {each['text']}" if several else each["text"],
        )
        for each in shown["conditions"]
    ]
    return Table("Whether this measured the server", ("condition", "", "what was found"), (*broken, *found))


def _holds(name: str, runs: Sequence[dict[str, Any]]) -> str:
    """In how many of the runs that have a condition it holds."""
    valid = [each["valid"] for run in runs for each in run["conditions"] if each["name"] == name]
    return f"{sum(valid)} of {len(valid)}"


def probed(found: dict[str, Any]) -> Table:
    """How a search came to its answer, in the order of its steps."""
    purposes = {"find": "to find", "guard": "below the answer", "confirm": "to confirm"}
    rows = []
    for number_, each in enumerate(found.get("probed", ()), 1):
        answer = "client's limit" if each.get("client_limit") else each["decision"]
        rows.append((str(number_), each["rate"], purposes[each["purpose"]], each["requests"], each["misses"], answer))
    head = ("step", "requests/s", "why", "requests", "too late or failed", "objective")
    return Table("How the rate was found", head, tuple(rows))


def findings(found: dict[str, Any]) -> Table:
    """The scenario's own numbers."""
    rows = [(name.replace("_", " "), _plain(value)) for name, value in found.items() if name != "memory"]
    return Table("Findings", ("", "value"), tuple(rows))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_plain, value)) or "none"
    return number(value) if isinstance(value, (int, float)) or value is None else str(value)


def setting(summary: dict[str, Any]) -> Table:
    """What was measured, with what and on what."""
    target, machine = summary.get("target", {}), dict(summary.get("environment", {}))
    packages = machine.pop("packages", {})
    generator = summary.get("generator")
    rows = [(name.replace("_", " "), _plain(value)) for name, value in (*target.items(), *machine.items()) if value]
    rows += [(f"package {name}", version) for name, version in packages.items()]
    if generator:
        text = f"a server without work is answered in {milliseconds(generator['floor_ms'])} (p50)"
        rows.append(("this generator", f"{text}; it can send {number(generator['ceiling_rate'])} requests/s"))
    rows += [("written", summary["written"])] if "written" in summary else []
    return Table("What was measured, with what and on what", ("", ""), tuple(rows))
