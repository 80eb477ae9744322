"""What is said of a client that was late in a run that is believed all the same."""

from __future__ import annotations

from typing import Any

from loadtest.verdict import MISSED


def sentences(summary: dict[str, Any]) -> list[str]:
    """That the client's own lag was forgiven, see `loadtest.validity.conditions`; nothing where it was not."""
    if summary["verdict"] != MISSED:
        return []
    missed = [run for run in summary["runs"] if run["judged"] and run["verdict"] == MISSED]
    found = [each["text"] for run in missed for each in run["conditions"] if each.get("forgiven")]
    if not found:
        return []
    return [f"This client sent late, too ({found[0]}), but from sending alone the objective is missed as well"]
