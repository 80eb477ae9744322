"""What was measured: every round of every member, as the JSON file holds it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

NONE = "none"
"""The member that the others are compared with."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all members have in common, and how they are measured.

    Attributes:
        network: A name in `modeling.network.NETWORKS`.
        width: Its width multiplier.
        size: Height and width of the images in pixels.
        precision: What it computes in, `fp32` or `bf16`.
        engine_rounds: In each of which the engine executes every member.
        rounds: In each of which every member is served.
        rate: Requests a second that are offered to every member, with one image each.
        seconds: For how long; a 99th percentile takes 1000 requests.
        objective_ms: What 99 of 100 answers have to keep, for the images a second at the objective.
        probe_seconds: For how long each rate is offered to find those; 0 for not finding them.
        seed: Of weights, orders, pictures and arrivals.
    """

    network: str = "mobilenetv2"
    width: float = 1.0
    size: int = 224
    precision: str = "fp32"
    engine_rounds: int = 15
    rounds: int = 3
    rate: float = 50.0
    seconds: float = 22.0
    objective_ms: float = 100.0
    probe_seconds: float = 5.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """One of the attention family in the network.

    Attributes:
        attention: A name in `modeling.attention.ATTENTION`.
        parameters: Of the whole network.
        multiply_adds: For one image.
        paper_top1: Top-1 accuracy on ImageNet in per cent, as the paper on Coordinate Attention has it; None where it
            has not.
    """

    attention: str
    parameters: int
    multiply_adds: int
    paper_top1: float | None = None


@dataclass(frozen=True, slots=True)
class ServedRound:
    """How one member was served in one round.

    Attributes:
        cpu_ms: CPU time of the server for each image at the offered rate; None if it answered nothing.
        p50_ms: Of the response times at the offered rate, from the instants at which requests were due; None where too
            few requests tell, or where it fell on one that was not answered.
        p99_ms: Likewise.
        requests: That were offered.
        failed: Among them.
        images_per_second: The highest rate that was seen to keep the objective; None if none did, or if that was not
            looked for.
        doubts: Why the offered rate may have measured something else than the server.
    """

    cpu_ms: float | None
    p50_ms: float | None
    p99_ms: float | None
    requests: int
    failed: int
    images_per_second: float | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Costs:
    """All that was measured.

    Attributes:
        settings: How.
        machine: On what, and with which programs.
        members: In the order of the tables; the first one has no attention.
        engine: For each member and round, CPU milliseconds for an image by batch size.
        served: For each member and round, how it was served.
    """

    settings: Settings
    machine: dict[str, Any]
    members: tuple[Member, ...]
    engine: dict[str, list[dict[int, float]]]
    served: dict[str, list[ServedRound]]

    def __post_init__(self) -> None:
        names = [member.attention for member in self.members]
        if names[:1] != [NONE] or not all(self.engine.get(name) and self.served.get(name) for name in names):
            raise ValueError(f"the first member must be {NONE!r}, and every one needs its rounds")

    def to_json(self) -> str:
        """Write everything as one JSON object."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Costs:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            found = json.loads(text)
            return cls(
                settings=Settings(**found["settings"]),
                machine=found["machine"],
                members=tuple(Member(**member) for member in found["members"]),
                engine={name: [_by_size(each) for each in rounds] for name, rounds in found["engine"].items()},
                served={name: [_served(each) for each in rounds] for name, rounds in found["served"].items()},
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"these are no costs that were measured ({error!r})") from None


def _by_size(costs: dict[str, float]) -> dict[int, float]:
    return {int(size): cost for size, cost in costs.items()}


def _served(fields: dict[str, Any]) -> ServedRound:
    return ServedRound(**fields | {"doubts": tuple(fields["doubts"])})
