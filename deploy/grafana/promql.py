"""Pieces of PromQL that most panels are made of."""

from __future__ import annotations

# Which processes, and which of their models: as the variables at the top of the dashboard say.
PROCESS = 'job=~"$job", instance=~"$instance", server=~"$server"'
MODEL = PROCESS + ', model=~"$model"'


def rate(counter: str, by: str, selector: str = MODEL) -> str:
    """A counter's rate per second, summed to the labels `by`."""
    return f"sum by ({by}) (rate({counter}{{{selector}}}[$__rate_interval]))"


def ratio(numerator: str, denominator: str, by: str, selector: str = MODEL) -> str:
    """One counter's rate divided by another's: means are sums over sums, never means of means."""
    return f"{rate(numerator, by, selector)} / {rate(denominator, by, selector)}"


def quantile(share: float, histogram: str, by: str, selector: str = MODEL) -> str:
    """The value that this `share` of a histogram's observations do not exceed."""
    return f"histogram_quantile({share}, {rate(histogram + '_bucket', 'le, ' + by, selector)})"
