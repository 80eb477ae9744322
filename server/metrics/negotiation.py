"""What a scraper accepts, from its request's headers; Prometheus asks for OpenMetrics first.

https://www.rfc-editor.org/rfc/rfc9110#section-12.5
"""

from __future__ import annotations

from server.metrics.exposition import OPENMETRICS, TEXT, Format


def wanted_format(accept: str) -> Format:
    """OpenMetrics for who prefers it to plain text, or likes both alike and names it; plain text for all others."""
    weights = _weights(accept)
    openmetrics = weights.get("application/openmetrics-text", 0.0)
    others = max((weights.get(kind, 0.0) for kind in ("text/plain", "text/*", "*/*")), default=0.0)
    return OPENMETRICS if openmetrics > 0 and openmetrics >= others else TEXT


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the page may be compressed."""
    weights = _weights(accept_encoding)
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weights(header: str) -> dict[str, float]:
    """What is listed, and the best weight it is given with; what cannot be read weighs nothing."""
    weights: dict[str, float] = {}
    for item in header.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weight = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                weight = _weight(value)
        weights[name] = max(weight, weights.get(name, 0.0))
    return weights


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
