"""What the load generator saw: the callers' truth, for either server."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, Panel, Query, Row
from deploy.grafana.promql import PROCESS, quantile, rate

_GENERATOR = 'job="loadgen"'
_ASKED = PROCESS + ', grpc_method=~"ModelInfer|Classify"'  # whichever takes the payload
_SERVICE = _GENERATOR + ', kind="service"'
_DURATION = "loadgen_request_duration_seconds"
_IDLE = "no load test"

LOADTEST = Row(
    "Load test",
    (
        Panel(
            "Offered and answered",
            "Requests that the schedule asked for, answers by status, and requests that were dropped because too"
            " many were under way.",
            "reqps",
            (
                Query(f"sum by (target, scenario) (loadgen_offered_rps{{{_GENERATOR}}})", "{{target}} offered"),
                Query(rate("loadgen_requests_total", "target, code", _GENERATOR), "{{target}} {{code}}"),
                Query(rate("loadgen_dropped_total", "target", _GENERATOR), "{{target}} dropped"),
            ),
            no_value=_IDLE,
        ),
        Panel(
            "Callers' 99th percentile",
            "response: from the moment when the request should have been sent; service: from when it was. Only the"
            " first is what a caller sees.",
            "s",
            (Query(quantile(0.99, _DURATION, "target, scenario, kind", _GENERATOR), "{{target}} {{kind}}"),),
            no_value=_IDLE,
            thresholds=((None, "green"), (0.1, "red")),
        ),
        Panel(
            "Client against server",
            "The generator's and the server's own median. What lies between them is the network and gRPC.",
            "s",
            (
                Query(quantile(0.5, _DURATION, "target", _SERVICE), "client, {{target}}"),
                Query(
                    quantile(0.5, "grpc_server_handling_seconds", "server", _ASKED),
                    "server, {{server}}",
                    PYTHON,
                ),
            ),
            no_value=_IDLE,
        ),
        Panel(
            "Generator's lag",
            "How late requests left, 99th percentile. Above 5 ms the test measures its generator.",
            "s",
            (Query(quantile(0.99, "loadgen_schedule_lag_seconds", "target, scenario", _GENERATOR), "{{target}}"),),
            no_value=_IDLE,
            thresholds=((None, "green"), (0.005, "red")),
        ),
        Panel(
            "Generator's processor",
            "Share of its core that the generator uses. Above 80 % it will be late.",
            "percentunit",
            (Query(f"max by (instance) (loadgen_cpu_ratio{{{_GENERATOR}}})", "{{instance}}"),),
            no_value=_IDLE,
            thresholds=((None, "green"), (0.8, "red")),
        ),
        Panel(
            "Under way at the generator",
            "Requests that were sent and have no answer yet.",
            "none",
            (Query(f"sum by (target, scenario) (loadgen_inflight{{{_GENERATOR}}})", "{{target}}"),),
            no_value=_IDLE,
        ),
    ),
)
