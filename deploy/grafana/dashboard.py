"""The dashboard as a file: `python -m deploy.grafana.dashboard` writes it anew after a change of the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.grafana.drawing import SOURCE, draw
from deploy.grafana.promql import PROCESS, rate
from deploy.grafana.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = Path(__file__).parent / "dashboards" / "coordserve.json"

# Name, label and where the values come from; each narrows the ones after it.
_VARIABLES = (
    ("job", "Job", 'label_values(up{job=~"coordserve|triton"}, job)'),
    ("server", "Server", 'label_values(up{job=~"$job"}, server)'),
    ("instance", "Instance", 'label_values(up{job=~"$job", server=~"$server"}, instance)'),
    ("model", "Model", f"label_values(nv_inference_count{{{PROCESS}}}, model)"),
)
_ALL = VariableOption(selected=True, text="All", value="$__all")


class _Annotation(AnnotationQuery):
    """Marks of an event, with the query and the title as the Prometheus data source wants them."""

    def __init__(self, name: str, colour: str, expr: str, title: str) -> None:
        super().__init__(name=name, datasource=SOURCE, icon_color=colour, expr=expr)
        self._title = title

    def to_json(self) -> dict[str, object]:
        """Grafana's object."""
        query = {"refId": "Anno", "expr": self.expr}
        mark = {**super().to_json(), "target": query, "titleFormat": self._title}
        del mark["expr"]
        return mark


ANNOTATIONS = (
    _Annotation(
        "Restarts",
        "red",
        f"changes(process_start_time_seconds{{{PROCESS}}}[$__rate_interval]) > 0",
        "{{server}} {{instance}} started",
    ),
    _Annotation(
        "Loads of models",
        "blue",
        rate("coordserve_model_loads_total", "server, instance, model, outcome") + " > 0",
        "{{model}} loaded: {{outcome}}",
    ),
    _Annotation(
        "Load tests", "purple", 'loadgen_offered_rps{job="loadgen"} > 0', "load test {{scenario}} of {{target}}"
    ),
)


def _variable(name: str, label: str, query: str) -> build.QueryVariable:
    variable = build.QueryVariable(name).label(label).query(query).datasource(SOURCE).current(_ALL)
    variable.multi(multi=True).include_all(include_all=True).all_value(".+")
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def _build() -> Dashboard:
    builder = build.Dashboard("CoordServe").uid("coordserve").tags(["coordserve", "triton"]).readonly()
    builder.description("This server and NVIDIA Triton on the same model repository: who is served how well, and why.")
    builder.time("now-30m", "now").refresh("5s").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    builder.with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    for variable in _VARIABLES:
        builder.with_variable(_variable(*variable))
    for row in ROWS:
        builder.with_row(build.Row(row.title))
        for panel in row.panels:
            builder.with_panel(draw(panel))
    dashboard = builder.build()
    dashboard.annotations = AnnotationContainer(list_val=list(ANNOTATIONS))
    return dashboard


def _number(panels: Sequence[dict[str, Any]]) -> None:
    """Give each panel the id by which links name it."""
    for number, panel in enumerate(panels, 1):
        panel["id"] = number


def content() -> str:
    """What the file must hold."""
    dashboard = json.loads(JSONEncoder().encode(_build()))
    _number(dashboard["panels"])
    return json.dumps(dashboard, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(content(), encoding="utf-8")
