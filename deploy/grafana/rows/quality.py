"""What the model answers: the one thing that a server cannot judge, only show."""

from __future__ import annotations

from deploy.grafana.panel import PYTHON, Panel, Query, Row
from deploy.grafana.promql import quantile, rate, ratio

_CONFIDENCE = "coordserve_prediction_confidence"

QUALITY = Row(
    "What the model answers",
    (
        Panel(
            "Classes",
            "Share of each class in the answers. A sudden change is a change of the images, of how they are prepared,"
            " or of the model.",
            "percentunit",
            (
                Query(
                    f"{rate('coordserve_predictions_total', 'model, class')}"
                    f" / on (model) group_left {rate('coordserve_predictions_total', 'model')}",
                    "{{model}} {{class}}",
                    PYTHON,
                ),
            ),
            no_value="no predictions",
            stacked=True,
            highest=1,
        ),
        Panel(
            "Mean confidence",
            "The mean probability of the first class.",
            "percentunit",
            (
                Query(
                    ratio(_CONFIDENCE + "_sum", _CONFIDENCE + "_count", "server, model"), "{{server}} {{model}}", PYTHON
                ),
            ),
            no_value="no predictions",
            highest=1,
        ),
        Panel(
            "Low confidence",
            "A tenth of the answers had a probability of at most this.",
            "percentunit",
            (Query(quantile(0.1, _CONFIDENCE, "server, model"), "{{server}} {{model}}", PYTHON),),
            no_value="no predictions",
            highest=1,
        ),
    ),
)
