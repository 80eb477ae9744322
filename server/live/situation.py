"""What the rules of the verdict look at, and what they find."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.live.reading import Activity
    from server.model_states import IndexEntry
    from server.statistics import ModelStatistics


class Level(enum.IntEnum):
    """How bad it is; the page has a colour and a sign for each."""

    OK = 0
    IDLE = 1
    WAIT = 2
    WARN = 3
    BAD = 4


class Phase(enum.Enum):
    """Where the server is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    NOT_READY = "not ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know, in a few words and in a sentence or two."""

    level: Level
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the rules look at.

    `activity` is of the last seconds, `resident_bytes` were measured at even intervals since the models last changed,
    `usual_compute_seconds` is what an answer's compute took in the minutes before, by models of which that is known.
    """

    phase: Phase
    index: Sequence[IndexEntry]
    ended: Sequence[str]
    activity: Activity
    objective_seconds: float
    cores: int
    lag_seconds: float
    resident_bytes: Sequence[int]
    usual_compute_seconds: Mapping[ModelStatistics, float]
