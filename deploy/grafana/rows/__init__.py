"""The rows, from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.grafana.rows.batching import BATCHING
from deploy.grafana.rows.latency import LATENCY, TIME
from deploy.grafana.rows.loadtest import LOADTEST
from deploy.grafana.rows.objectives import OBJECTIVES
from deploy.grafana.rows.quality import QUALITY
from deploy.grafana.rows.resources import MONITORING, RESOURCES
from deploy.grafana.rows.traffic import TRAFFIC

if TYPE_CHECKING:
    from deploy.grafana.panel import Row

ROWS: tuple[Row, ...] = (OBJECTIVES, TRAFFIC, LATENCY, TIME, BATCHING, LOADTEST, RESOURCES, QUALITY, MONITORING)
