"""The queue, the batches and the instances that run them."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, Panel, Query, Row
from deploy.grafana.promql import MODEL, rate, ratio

BATCHING = Row(
    "Queue and batches",
    (
        Panel(
            "Queue and its limit",
            "Requests that wait for an instance; at the limit, further ones are refused.",
            "none",
            (
                Query(
                    f"sum by (server, model) (nv_inference_pending_request_count{{{MODEL}}})",
                    "{{server}} {{model}} waiting",
                ),
                Query(
                    f"sum by (server, model) (coordserve_queue_capacity{{{MODEL}}})",
                    "{{server}} {{model}} limit",
                    PYTHON,
                ),
            ),
        ),
        Panel(
            "Expected wait",
            "Requests that wait, over those answered in a second: what a request that comes now has before it.",
            "s",
            (
                Query(
                    f"sum by (server, model) (nv_inference_pending_request_count{{{MODEL}}})"
                    f" / {rate('nv_inference_request_success', 'server, model')}",
                    "{{server}} {{model}}",
                ),
            ),
            no_value="no requests",
            thresholds=((None, "green"), (0.05, "yellow"), (0.1, "red")),
        ),
        Panel(
            "Instances busy",
            "Share of the instances' time that went into batches; near 100 % the model's capacity is used up.",
            "percentunit",
            (
                Query(
                    f"{rate('coordserve_instance_busy_seconds_total', 'server, model')}"
                    f" / sum by (server, model) (coordserve_instances{{{MODEL}}})",
                    "{{server}} {{model}}",
                    PYTHON,
                ),
                Query(
                    f"sum by (server, model) (coordserve_instances_busy{{{MODEL}}})"
                    f" / sum by (server, model) (coordserve_instances{{{MODEL}}})",
                    "{{server}} {{model}} at this moment",
                    PYTHON,
                ),
            ),
            thresholds=((None, "green"), (0.8, "yellow"), (0.95, "red")),
            highest=1,
        ),
        Panel(
            "Batch size",
            "Rows per execution, on average.",
            "none",
            (Query(ratio("nv_inference_count", "nv_inference_exec_count", "server, model"), "{{server}} {{model}}"),),
            no_value="no requests",
            span=12,
        ),
        Panel(
            "Batch sizes",
            "How many executions had so many rows.",
            "none",
            (
                Query(
                    f"sum by (le) (increase(coordserve_batch_size_bucket{{{MODEL}}}[$__rate_interval]))",
                    "{{le}}",
                    PYTHON,
                ),
            ),
            kind="heatmap",
            no_value="no requests",
            span=12,
        ),
    ),
)
