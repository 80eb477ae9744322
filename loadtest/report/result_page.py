"""The report on one result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadtest.report import memory, tables
from loadtest.report.carried import carried_rate, shown_run
from loadtest.report.latency_by_load import CALLERS, OFFERED, latency_by_load
from loadtest.report.level import Level, carried, closed_loops, good, open_loops
from loadtest.report.markup import Markup, element
from loadtest.report.markup import markdown as escaped
from loadtest.report.numbers import UNKNOWN, exact, milliseconds, share
from loadtest.report.page import charts, page, top
from loadtest.report.percentile_plot import lag, response_and_service
from loadtest.report.sentence import state
from loadtest.report.server_time import batch_chart, time_chart
from loadtest.report.timeline import timeline

if TYPE_CHECKING:
    from loadtest.results import Results


def html(results: Results) -> str:
    """The report as a page."""
    summary = results.summary
    statement = state(summary)
    return page(
        statement.sentence,
        top(statement, summary["verdict"], subtitle(summary)),
        _figures(summary),
        _charts(results),
        *(table.html() for table in tables.all_tables(summary)),
        tables.setting(summary).html(),
        _again(summary),
    )


def markdown(results: Results) -> str:
    """The same without charts."""
    summary = results.summary
    statement = state(summary)
    parts = [f"# {escaped(statement.sentence)}", f"**{statement.word}** · {escaped(subtitle(summary))}"]
    parts += ["\n".join(f"- {escaped(detail)}" for detail in statement.details)] if statement.details else []
    parts += [table.markdown() for table in (*tables.all_tables(summary), tables.setting(summary))]
    if command := summary.get("environment", {}).get("command"):
        parts.append(f"## The same again\n\n    {command}\n")
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def subtitle(summary: dict[str, Any]) -> str:
    """What was measured, in a line."""
    target = summary.get("target", {})
    server = f"{target.get('server', '')} {target.get('server_version', '')}".strip()
    told = [summary["scenario"], target.get("model"), server, target.get("payload"), summary.get("written")]
    return " · ".join(str(each) for each in told if each)


def _figures(summary: dict[str, Any]) -> Markup:
    run = summary["runs"][shown_run(summary)]
    failed = sum(run["errors"].values()) + run["dropped"]
    mean = (run["server"] or {}).get("mean_batch")
    figures = [
        ("offered", exact(run["offered_rate"]), "requests/s"),
        ("answered rightly", exact(run["achieved_rate"]), "requests/s"),
        ("p50", *_percentile(run, "p50")),
        ("p99", *_percentile(run, "p99")),
        ("errors and drops", exact(failed), share(failed / run["requests"]) if run["requests"] else "no requests"),
        ("mean batch", exact(mean), "images" if mean else "the server does not tell"),
        ("this client", exact(run["client_cpu"], share(run["client_cpu"])), "of a core"),
    ]
    if run.get("server_cpu_ms") is not None:
        cpu = run["server_cpu_ms"]
        figures.append(("the server's CPU", exact(cpu, milliseconds(cpu)), "for each answer"))
    cells = [
        element("div", element("dt", name), element("dd", value), element("dd", text, class_="detail"))
        for name, value, text in figures
    ]
    several = len(summary["runs"]) > 1
    title = element("h2", f"In the run “{run['label']}”") if several else None
    return element("section", title, element("dl", *cells, class_="figures"))


def _percentile(run: dict[str, Any], name: str) -> tuple[Markup, str]:
    """A percentile, and how sure it is."""
    value = run["latency_ms"][name]
    if value is None:
        never = name in run["latency_interval_ms"]
        return element(
            "span", tables.untold(run, name) or UNKNOWN
        ), "was answered rightly" if never else "too few requests tell"
    return exact(value, milliseconds(value)), f"95 %: {tables.interval_text(run, name)}"


def _charts(results: Results) -> Markup:
    summary, objective = results.summary, results.summary["objective"]
    shown = shown_run(summary)
    run, trace = summary["runs"][shown], good(results.runs[shown])
    open_, closed = open_loops(results), closed_loops(results)
    levels, unit = (open_, OFFERED) if open_ else (closed, CALLERS)
    load = run["rate"] if run["concurrency"] is None else run["concurrency"]
    headline = Level(load or 0.0, (run,), (trace,))
    return charts(
        latency_by_load(levels, objective, unit, carried_rate(summary)),
        response_and_service(trace, objective, closed=run["concurrency"] is not None),
        timeline(trace, run["seconds"], objective),
        memory.chart(summary["findings"]),
        time_chart(carried(levels, objective) or [headline], unit, summary.get("target", {}).get("api")),
        batch_chart(headline, unit),
        lag(trace) if run["rate"] is not None else None,
    )


def _again(summary: dict[str, Any]) -> Markup | None:
    command = summary.get("environment", {}).get("command")
    if not command:
        return None
    return element("section", element("h2", "The same again"), element("pre", command))
