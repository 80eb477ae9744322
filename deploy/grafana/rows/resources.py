"""The processes and their machines; last, what watching them costs."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, Panel, Query, Row
from deploy.grafana.promql import PROCESS, quantile, rate

_EACH = "{{server}} {{instance}}"


def _gauge(name: str) -> str:
    return f"max by (server, instance) ({name}{{{PROCESS}}})"


RESOURCES = Row(
    "Resources",
    (
        Panel(
            "Processor",
            "Cores that the process keeps busy.",
            "none",
            (Query(rate("process_cpu_seconds_total", "server, instance", PROCESS), _EACH, PYTHON),),
        ),
        Panel(
            "Machine's processor",
            "Share of all cores of the machine that anybody uses.",
            "percentunit",
            (Query(_gauge("nv_cpu_utilization"), _EACH),),
            highest=1,
        ),
        Panel(
            "Processor time per 1000 rows",
            "What serving costs: the process's processor seconds for 1000 rows. What an ensemble asks of its steps"
            " counts as rows of their own, too.",
            "s",
            (
                Query(
                    f"1000 * {rate('process_cpu_seconds_total', 'server', PROCESS)}"
                    f" / {rate('nv_inference_count', 'server', PROCESS)}",
                    "{{server}}",
                    PYTHON,
                ),
            ),
            no_value="no requests",
        ),
        Panel(
            "Memory",
            "What the process holds in memory. It rises while models are loaded; with steady load it stays.",
            "bytes",
            (Query(_gauge("process_resident_memory_bytes"), _EACH, PYTHON),),
        ),
        Panel(
            "Machine's memory",
            "What anybody on the machine holds in memory, without caches.",
            "bytes",
            (Query(_gauge("nv_cpu_memory_used_bytes"), _EACH),),
        ),
        Panel(
            "Event loop's lag",
            "How late the thread is that all calls pass through, 99th percentile: so much later is every answer.",
            "s",
            (Query(quantile(0.99, "coordserve_event_loop_lag_seconds", "server, instance", PROCESS), _EACH, PYTHON),),
            thresholds=((None, "green"), (0.01, "yellow"), (0.05, "red")),
        ),
        Panel(
            "Objects collected",
            "Objects in cycles that Python's garbage collector freed.",
            "cps",
            (Query(rate("python_gc_objects_collected_total", "server, instance", PROCESS), _EACH, PYTHON),),
        ),
        Panel(
            "File descriptors",
            "Files and connections that the process has open.",
            "none",
            (Query(_gauge("process_open_fds"), _EACH, PYTHON),),
        ),
        Panel(
            "Running since",
            "When the process started.",
            "dateTimeFromNow",
            (Query(f"1000 * {_gauge('process_start_time_seconds')}", _EACH, PYTHON),),
            kind="stat",
            lowest=None,
        ),
    ),
)

MONITORING = Row(
    "Versions and monitoring",
    (
        Panel(
            "Versions",
            "The server, and the libraries on which its speed depends.",
            "none",
            (
                Query(
                    f"max by (server, instance, version, python, torch, grpcio) (coordserve_build_info{{{PROCESS}}})",
                    "{{version}}",
                    PYTHON,
                ),
            ),
            kind="table",
            span=24,
            height=5,
        ),
        Panel(
            "Scrape duration",
            "How long a server takes to write its metrics.",
            "s",
            (Query(_gauge("scrape_duration_seconds"), _EACH),),
            thresholds=((None, "green"), (2, "red")),
        ),
        Panel(
            "Samples scraped",
            "Series that a server exports; they must not grow with its callers.",
            "none",
            (Query(_gauge("scrape_samples_scraped"), _EACH),),
        ),
        Panel(
            "Rule evaluation",
            "How long Prometheus takes for a group of rules.",
            "s",
            (
                Query(
                    'max by (rule_group) (prometheus_rule_group_last_duration_seconds{job="prometheus"})',
                    "{{rule_group}}",
                ),
            ),
        ),
    ),
)
