"""How a request can end, as a person on call asks: was it answered, and if not, whose business is that?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# From the reasons of `server.errors`, which are many, to what follows from them.
REASONS = {
    "rejected": ("queue_full", "queue_timeout", "deadline", "not_ready", "shutdown", "unavailable"),
    "invalid": ("invalid", "invalid_image", "too_large", "not_found", "unsupported"),
    "failed": ("model", "internal"),
    "cancelled": ("cancelled",),
}
OUTCOMES = ("ok", *REASONS)
_OUTCOME_OF = {reason: outcome for outcome, reasons in REASONS.items() for reason in reasons}


def by_outcome(succeeded: int, refused: Mapping[str, int]) -> dict[str, int]:
    """Requests by `OUTCOMES`, from those that succeeded and those that did not by reason.

    A reason that nobody has told of yet is a failure of ours.
    """
    outcomes = dict.fromkeys(OUTCOMES, 0) | {"ok": succeeded}
    for reason, count in refused.items():
        outcomes[_OUTCOME_OF.get(reason, "failed")] += count
    return outcomes
