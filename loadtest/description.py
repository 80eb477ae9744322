"""A summary as a few lines for a person."""

from __future__ import annotations

from typing import Any

from loadtest.report import lateness, memory
from loadtest.report.numbers import number
from loadtest.report.sentence import state

_SHOWN = ("p50", "p90", "p95", "p99", "p999", "max")


def describe(summary: dict[str, Any]) -> str:
    """The summary as text."""
    runs = summary["runs"]
    lines = [*_table(runs)] if len(runs) > 1 else [*_single(summary)]
    told = state(summary) if summary["scenario"] == "search" else None
    if told:
        lines += ["", told.sentence, *told.details]
    else:
        findings = {name: value for name, value in summary["findings"].items() if name != "memory"}
        lines += [f"{name.replace('_', ' ')}: {_value(value)}" for name, value in findings.items()]
    if summary["scenario"] == "soak":
        lines.append(memory.sentence(summary["findings"]))
    if bad := runs[summary["headline"]]["bad_input"]:
        lines.append(f"bad input: {bad['refused']} of {bad['requests']} refused as it should be")
    if summary["partial"]:
        lines.append("interrupted: this is only what was seen until then")
    lines.append(_verdict(summary))
    return "\n".join(lines)


def _single(summary: dict[str, Any]) -> list[str]:
    offered, achieved = summary["offered_rate"], summary["achieved_rate"]
    lines = [
        f"{summary['requests']} requests: {offered:.1f}/s offered, {achieved:.1f}/s answered",
        f"errors: {_value(summary['errors'])}; dropped: {summary['dropped']}",
        f"CPU of this client: {summary['client_cpu']:.0%} of a core",
    ]
    for name, key in (("latency (from due)", "latency_ms"), ("service (from sent)", "service_ms")):
        values = "  ".join(f"{rank} {milliseconds(summary[key][rank])}" for rank in _SHOWN)
        lines.append(f"{name:>20}: {values}  ms")
    return lines


def _table(runs: list[dict[str, Any]]) -> list[str]:
    width = max(len(run["label"]) for run in runs)
    head = "".join(f"{name:>9}" for name in ("offered", "answered", "p50 ms", "p99 ms", "max ms", "errors", "dropped"))
    lines = [f"{'':{width}}{head}  verdict"]
    for run in runs:
        latency = run["latency_ms"]
        numbers = [f"{run['offered_rate']:.1f}", f"{run['achieved_rate']:.1f}"]
        numbers += [milliseconds(latency[rank]) for rank in ("p50", "p99", "max")]
        verdict = run["verdict"] if run["judged"] else "not judged"
        numbers += [str(sum(run["errors"].values())), str(run["dropped"])]
        lines.append(f"{run['label']:{width}}{''.join(f'{number:>9}' for number in numbers)}  {verdict}")
    return lines


def _verdict(summary: dict[str, Any]) -> str:
    objective, reasons = summary["objective"], summary["reasons"]
    if not reasons and not any(run["judged"] for run in summary["runs"]):
        return "no verdict: only the peak was asked for"
    first = ""
    if summary["scenario"] == "search":  # which has told its reasons
        first, reasons = "".join(f": {reason}" for reason in reasons[:1]), []
    else:
        reasons = [*reasons, *lateness.sentences(summary)]
    said = "".join(f"\n  {reason}" for reason in reasons)
    promise = (
        f"objective: p{objective['quantile'] * 100:g} of at most {objective['limit_ms']:g} ms: " if objective else ""
    )
    if summary["verdict"] == "invalid":
        return f"{promise}invalid: this says little about the server{first}{', as' if said else ''}{said}"
    if summary["verdict"] == "missed":
        return f"{promise}missed{said}"
    return f"{promise}met" if objective else "valid: nothing but the server was measured"


def milliseconds(value: float | None) -> str:
    """A latency; a dash where it is infinite or too few requests tell it."""
    return "-" if value is None else f"{value:.1f}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_value(each) for each in value) or "none"
    return number(value) if isinstance(value, float) else "-" if value is None else str(value)
