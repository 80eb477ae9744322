"""Are callers well served? The service levels of deploy/prometheus/rules/service_levels.yml."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, Panel, Query, Row
from deploy.grafana.promql import MODEL, PROCESS

_BURN = "server_slo:budget_burn:ratio_rate"


def _kept(slo: str) -> Query:
    """The share of the requests of 30 days that kept to an objective."""
    burn = f'{_BURN}30d{{slo="{slo}", server=~"$server"}}'
    return Query(f"1 - {burn} * on (slo) group_left slo:error_budget:ratio", "{{server}}")


OBJECTIVES = Row(
    "Are callers well served?",
    (
        Panel(
            "Alerts that fire",
            "What each means and what to do: docs/runbook.md. Prometheus decides, this only shows.",
            "none",
            (
                Query(
                    "max by (alertname, severity, server, model, slo, reason, instance)"
                    ' (ALERTS{alertstate="firing", server=~"$server|"})',
                    "{{alertname}}",
                ),
            ),
            kind="table",
            no_value="no alert fires",
            span=10,
            height=6,
        ),
        Panel(
            "Answered, 30 days",
            "Share of the requests that were answered; what only the caller can put right is not counted."
            " Objective: 99.9 %.",
            "percentunit",
            (_kept("availability"),),
            kind="stat",
            no_value="no requests",
            thresholds=((None, "red"), (0.999, "green")),
            lowest=None,
            span=3,
            height=6,
        ),
        Panel(
            "Within 100 ms, 30 days",
            "Share of the answers that took at most 100 ms. Objective: 99 %.",
            "percentunit",
            (Query(_kept("latency").expr, "{{server}}", PYTHON),),
            kind="stat",
            newest_triton=True,
            no_value="no requests",
            thresholds=((None, "red"), (0.99, "green")),
            lowest=None,
            span=3,
            height=6,
        ),
        Panel(
            "Servers",
            "Whether Prometheus gets an answer from each process that has answered within a day.",
            "none",
            (
                Query(
                    f"min by (server, instance) (up{{{PROCESS}}} and instance:up:max1d{{{PROCESS}}} == 1)",
                    "{{server}} {{instance}}",
                ),
            ),
            kind="stat",
            no_value="none is scraped",
            thresholds=((None, "red"), (1, "green")),
            names=((0, "down"), (1, "up")),
            span=4,
            height=6,
        ),
        Panel(
            "Models ready",
            "Whether each model takes requests, by any of its versions; one that failed to load or lost an instance"
            " does not.",
            "none",
            (
                Query(
                    f"min by (server, model) (max by (server, instance, model) (coordserve_model_ready{{{MODEL}}}))",
                    "{{model}}",
                    PYTHON,
                ),
            ),
            kind="stat",
            no_value="no model",
            thresholds=((None, "red"), (1, "green")),
            names=((0, "not ready"), (1, "ready")),
            span=4,
            height=6,
        ),
        Panel(
            "How fast the error budget is used",
            "1 uses it up in exactly 30 days. Over 14.4 for an hour pages, over 3 for a day is a ticket.",
            "none",
            tuple(
                Query(f'{_BURN}{window}{{server=~"$server"}}', f"{{{{server}}}} {{{{slo}}}}, {window}")
                for window in ("5m", "1h", "6h")
            ),
            no_value="no requests",
            thresholds=((None, "green"), (1, "yellow"), (3, "orange"), (14.4, "red")),
            span=16,
        ),
        Panel(
            "Error budget left",
            "What is left of the failures and late answers that 30 days allow; below zero the objective is missed.",
            "percentunit",
            (Query(f'1 - {_BURN}30d{{server=~"$server"}}', "{{server}} {{slo}}"),),
            kind="stat",
            no_value="no requests",
            thresholds=((None, "red"), (0, "yellow"), (0.5, "green")),
            lowest=None,
        ),
    ),
)
