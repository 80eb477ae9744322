"""How long answers take, and where the time goes."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, TRITON, Panel, Query, Row
from deploy.grafana.promql import MODEL, PROCESS, quantile, rate, ratio

_OBJECTIVE = ((None, "green"), (0.1, "red"))
_DURATION = "coordserve_request_duration_seconds"
_STEPS = "coordserve_step_duration_seconds"
_ANSWERS = MODEL + ', outcome!="error"'
_TRITON = MODEL + ', job="triton"'
_SUCCESS = "nv_inference_request_success"
_PARTS = {
    "queue": "queue",
    "compute_input": "input",
    "compute_infer": "compute",
    "compute_output": "output",
}
# All models together: what an ensemble asked of its steps is no answer to a caller.
_TO_CALLERS = f"{rate(f'{_DURATION}_bucket', 'le, server', _ANSWERS)} - {rate(f'{_STEPS}_bucket', 'le, server')}"
_REST = " - ".join(rate(f"nv_inference_{part}_duration_us", "server") for part in ("request", *_PARTS))

LATENCY = Row(
    "Answer times",
    (
        Panel(
            "99th percentile",
            "From a request's arrival to its answer, in the server. Triton's is a figure of the last minute of one"
            " process: several of them must not be averaged. Objective: 99 % within 100 ms.",
            "s",
            (
                Query(quantile(0.99, _DURATION, "server, model", _ANSWERS), "{{server}} {{model}}", PYTHON),
                Query(
                    f'max by (server, model) (nv_inference_request_summary_us{{{MODEL}, quantile="0.99"}}) / 1e6',
                    "{{server}} {{model}}",
                    TRITON,
                ),
            ),
            no_value="no requests",
            thresholds=_OBJECTIVE,
        ),
        Panel(
            "Percentiles",
            "Half, 95 % and 99 % of the answers took no longer. Those of an ensemble's steps are not among them.",
            "s",
            tuple(
                Query(f"histogram_quantile({share}, {_TO_CALLERS})", f"{{{{server}}}} p{share * 100:g}", PYTHON)
                for share in (0.5, 0.95, 0.99)
            ),
            no_value="no requests",
            thresholds=_OBJECTIVE,
        ),
        Panel(
            "Within 100 ms",
            "Share of the answers of the last five minutes. Objective: 99 %.",
            "percentunit",
            (
                Query(
                    '1 - server_slo:errors:rate5m{slo="latency", server=~"$server"}'
                    ' / server_slo:requests:rate5m{slo="latency", server=~"$server"}',
                    "{{server}}",
                    PYTHON,
                ),
            ),
            no_value="no requests",
            thresholds=((None, "red"), (0.99, "green")),
            highest=1,
            newest_triton=True,
        ),
        Panel(
            "Answer times",
            "Each column is a moment, each cell the answers that took so long: two bands are two kinds of requests."
            " Answers of an ensemble's steps are not among them.",
            "s",
            (
                Query(
                    f"sum by (le) (increase({_DURATION}_bucket{{{_ANSWERS}}}[$__rate_interval]))"
                    f" - sum by (le) (increase({_STEPS}_bucket{{{MODEL}}}[$__rate_interval]))",
                    "{{le}}",
                    PYTHON,
                ),
            ),
            kind="heatmap",
            no_value="no requests",
            span=12,
        ),
        Panel(
            "99th percentile by method",
            "The whole of a call, from its first byte to its status; a stream is one call.",
            "s",
            (
                Query(
                    quantile(0.99, "grpc_server_handling_seconds", "server, grpc_method", PROCESS),
                    "{{server}} {{grpc_method}}",
                    PYTHON,
                ),
            ),
            no_value="no calls",
            span=12,
        ),
    ),
)

TIME = Row(
    "Where the time goes",
    (
        Panel(
            "Mean time of a request: $server",
            "Queue is waiting; input, compute and output are its batch's; rest is everything else, such as decoding,"
            " parsing and answering. What an ensemble asks of its steps counts as requests of their own, too.",
            "s",
            (
                *(
                    Query(f"{ratio(f'nv_inference_{part}_duration_us', _SUCCESS, 'server')} / 1e6", name)
                    for part, name in _PARTS.items()
                ),
                Query(f"({_REST}) / {rate(_SUCCESS, 'server')} / 1e6", "rest"),
            ),
            no_value="no requests",
            stacked=True,
            repeated_by="server",
            span=12,
        ),
        Panel(
            "Compute time per row",
            "For how long one row keeps an instance. It falls a little as batches grow: when it rises, the model or its"
            " machine has become slow. Triton's is estimated.",
            "s",
            (
                Query(
                    f"{ratio('coordserve_instance_busy_seconds_total', 'nv_inference_count', 'server, model')} > 0",
                    "{{server}} {{model}}",
                    PYTHON,
                ),
                Query(
                    f"{rate('nv_inference_compute_infer_duration_us', 'server, model', _TRITON)} / 1e6"
                    f" / {rate(_SUCCESS, 'server, model')}"
                    f" / ({ratio('nv_inference_count', 'nv_inference_exec_count', 'server, model')})",
                    "{{server}} {{model}}",
                    TRITON,
                ),
            ),
            no_value="no requests",
            span=12,
        ),
        Panel(
            "Stages, 95th percentile",
            "Decoding an image, waiting, and the three parts of a batch: 95 % took no longer.",
            "s",
            (
                Query(
                    quantile(0.95, "coordserve_stage_duration_seconds", "server, stage"), "{{server}} {{stage}}", PYTHON
                ),
            ),
            no_value="no requests",
            span=12,
        ),
    ),
)
