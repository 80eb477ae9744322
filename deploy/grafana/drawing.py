"""Panels as Grafana's own objects, made by Grafana's own library from its schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grafana_foundation_sdk.builders import common as build
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.grafana.panel import Panel, Query

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

_Drawn = timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel


def draw(panel: Panel) -> _Drawn:
    """The builder of Grafana's object for `panel`."""
    drawn = _KINDS[panel.kind](panel)
    drawn.title(panel.title).description(_description(panel)).datasource(SOURCE)
    drawn.unit(panel.unit).no_value(panel.no_value).span(panel.span).height(panel.height)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        drawn.with_target(_target(panel, query).ref_id(letter))
    if panel.lowest is not None:
        drawn.min(panel.lowest)
    if panel.highest is not None:
        drawn.max(panel.highest)
    if panel.thresholds:
        drawn.thresholds(_thresholds(panel))
    if panel.repeated_by:
        drawn.repeat(panel.repeated_by).repeat_direction("h").max_per_row(2)
    return drawn


def _description(panel: Panel) -> str:
    lacking = {"python": "Triton only.", "triton": "This server only; Triton does not tell."}
    only = "" if len(panel.servers) > 1 else " " + lacking["python" if "triton" in panel.servers else "triton"]
    if panel.newest_triton:
        only = " Of Triton in its newest versions only."
    return panel.description + only


def _target(panel: Panel, query: Query) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).datasource(SOURCE)
    if panel.kind == "heatmap":
        return target.range().format(PromQueryFormat.HEATMAP)
    if panel.kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    return target.instant() if panel.kind == "stat" else target.range()


def _timeseries(panel: Panel) -> timeseries.Panel:
    legend = build.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE).show_legend(show_legend=True)
    legend.placement(common.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])
    tooltip = build.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    drawn = timeseries.Panel().legend(legend).tooltip(tooltip).fill_opacity(60 if panel.stacked else 10)
    if panel.stacked:
        drawn.stacking(build.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.thresholds:
        dashed = common.GraphThresholdsStyleMode.DASHED
        drawn.thresholds_style(build.GraphThresholdsStyleConfig().mode(dashed))
    return drawn


def _stat(panel: Panel) -> stat.Panel:
    drawn = stat.Panel().reduce_options(build.ReduceDataOptions().calcs(["lastNotNull"]))
    drawn.color_mode(common.BigValueColorMode.BACKGROUND if panel.thresholds else common.BigValueColorMode.NONE)
    words = {f"{value:g}": ValueMappingResult(text=word) for value, word in panel.names}
    return drawn.mappings([ValueMap(options=words)]) if words else drawn


def _heatmap(panel: Panel) -> heatmap.Panel:
    return heatmap.Panel().calculate(calculate=False).y_axis(heatmap.YAxisConfig().unit(panel.unit))


def _table(_panel: Panel) -> table.Panel:
    unneeded = {"Time": True, "Value": True}
    return table.Panel().with_transformation(DataTransformerConfig("organize", options={"excludeByName": unneeded}))


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=value, color=colour) for value, colour in panel.thresholds]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


_KINDS: dict[str, Callable[[Panel], _Drawn]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "heatmap": _heatmap,
    "table": _table,
}
