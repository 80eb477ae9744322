"""Who asks for what, and what becomes of it."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, Panel, Query, Row
from deploy.grafana.promql import MODEL, PROCESS, rate

TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            "Requests per second",
            "Inference requests that were answered.",
            "reqps",
            (Query(rate("nv_inference_request_success", "server, model"), "{{server}} {{model}}"),),
            no_value="no requests",
        ),
        Panel(
            "Rows per second",
            "Images or other rows that were answered; a request may carry several.",
            "cps",
            (Query(rate("nv_inference_count", "server, model"), "{{server}} {{model}}"),),
            no_value="no requests",
        ),
        Panel(
            "In flight",
            "Requests that were taken on and are not answered yet; for both servers also by Little's law, from the time"
            " that answered requests took.",
            "none",
            (
                Query(
                    f"sum by (server, model) (coordserve_inflight_requests{{{MODEL}}})", "{{server}} {{model}}", PYTHON
                ),
                Query(
                    rate("nv_inference_request_duration_us", "server, model") + " / 1e6",
                    "{{server}} {{model}}, by Little's law",
                ),
            ),
        ),
        Panel(
            "Refusals by reason",
            "invalid, invalid_image, too_large, not_found, unsupported and cancelled are the callers'"
            " doing and count against nobody; everything else is a failure of the server.",
            "reqps",
            (
                Query(
                    rate("coordserve_rejected_total", "server, reason", PROCESS) + " > 0",
                    "{{server}} {{reason}}",
                    PYTHON,
                ),
            ),
            no_value="nothing is refused",
        ),
        Panel(
            "Failed requests by Triton's reason",
            "REJECTED: queue or deadline; CANCELED: the caller left; BACKEND: the model failed. Requests that never"
            " reached a model are not among them.",
            "reqps",
            (
                Query(
                    rate("nv_inference_request_failure", "server, model, reason") + " > 0",
                    "{{server}} {{model}} {{reason}}",
                ),
            ),
            no_value="nothing fails",
        ),
        Panel(
            "Calls by method and code",
            "Every gRPC call, with the status that its caller got.",
            "reqps",
            (
                Query(
                    rate("grpc_server_handled_total", "grpc_method, grpc_code", PROCESS) + " > 0",
                    "{{grpc_method}} {{grpc_code}}",
                    PYTHON,
                ),
            ),
            no_value="no calls",
        ),
    ),
)
