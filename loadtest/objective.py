"""What a deployment promises: a share of requests answered within a time, and hardly any that fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from loadtest import early_stopping
from loadtest.early_stopping import Decision
from loadtest.percentiles import rank

if TYPE_CHECKING:
    from loadtest.trace import Trace

USUAL_LIMIT_SECONDS = 0.1
"""What is slow where nothing was promised."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A share `quantile` of all requests is answered rightly within `limit_seconds` of the instant they were due.

    Attributes:
        limit_seconds: Above 0.
        quantile: In (0, 1).
        most_errors: The share of requests that may fail or be dropped; each of them is over the limit as well.
        confidence: With which a run has to show it.
    """

    limit_seconds: float
    quantile: float = 0.99
    most_errors: float = 0.001
    confidence: float = early_stopping.CONFIDENCE

    @property
    def least_requests(self) -> int:
        """How many requests a run must have to show that it is met, if all are answered in time."""
        return early_stopping.requests_needed(0, self.quantile, self.confidence)

    def misses(self, trace: Trace) -> int:
        """How many requests were not answered rightly within the limit."""
        return int(np.count_nonzero(~(trace.response_seconds <= self.limit_seconds)))

    def observed_met(self, trace: Trace) -> bool:
        """Whether the quantile that was seen is within the limit and the share of errors within its bound."""
        in_time = len(trace) - self.misses(trace) >= rank(len(trace), self.quantile)
        return in_time and self.errors_within_bound(trace)

    def errors_within_bound(self, trace: Trace) -> bool:
        """Whether no more requests failed or were dropped than may."""
        return int(np.count_nonzero(~trace.ok)) <= self.most_errors * len(trace)

    def decide(self, trace: Trace) -> Decision:
        """What the run shows with confidence of the quantile; failures beyond their bound are a miss of their own."""
        if not self.errors_within_bound(trace):
            return Decision.MISSED
        return early_stopping.decide(len(trace), self.misses(trace), self.quantile, self.confidence)
