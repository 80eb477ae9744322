"""Rates that change, for Locust: `locust -f loadtest/locustfile.py,loadtest/locust_shapes.py --load-profile burst`.

The profiles are those of `python -m loadtest run`; the users that Locust runs make the rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from locust import LoadTestShape, events

from loadtest.arguments import duration, positive
from loadtest.schedule import BURST_FACTOR, BURST_PERIOD_SECONDS, BURST_SHARE, STEPS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # Locust's
def add_arguments(parser: argparse.ArgumentParser, **_more: Any) -> None:
    """Add what a profile needs to know."""
    group = parser.add_argument_group("CoordServe's profiles")
    group.add_argument("--load-profile", choices=PROFILES, default="step", help="how the rate changes (default step)")
    group.add_argument("--rate", type=positive, default=40.0, help="requests a second, its highest mean (default 40)")
    group.add_argument("--duration", type=duration, default=60.0, help="of the whole profile (default 60s)")


def step(share: float, _seconds: float) -> float:
    """Five steps up to the rate."""
    return math.ceil(share * STEPS + 1e-9) / STEPS


def ramp(share: float, _seconds: float) -> float:
    """Evenly from nothing to the rate."""
    return share


def burst(share: float, seconds: float) -> float:
    """Four times the mean for a fifth of every ten seconds."""
    period = min(BURST_PERIOD_SECONDS, seconds)
    within = share * seconds % period / period
    is_burst = abs(within - 0.5) <= BURST_SHARE / 2
    return BURST_FACTOR if is_burst else (1 - BURST_FACTOR * BURST_SHARE) / (1 - BURST_SHARE)


def soak(_share: float, _seconds: float) -> float:
    """The rate all the time."""
    return 1.0


PROFILES: dict[str, Callable[[float, float], float]] = {"step": step, "ramp": ramp, "burst": burst, "soak": soak}
"""The rate, relative to `--rate`, after a share [0, 1) of the profile, which takes so many seconds."""


class Profile(LoadTestShape):  # type: ignore[misc] # Locust's classes are not annotated
    """Follows `--load-profile` by the number of users."""

    def tick(self) -> tuple[int, float] | None:
        """How many users there are to be now; None at the end."""
        options = self.runner.environment.parsed_options
        share = self.get_run_time() / options.duration
        if share >= 1:
            return None
        rate = options.rate * PROFILES[options.load_profile](share, options.duration)
        users = max(1, round(rate / options.rate_per_user))
        return users, float(users)  # all at once: the change is the profile's own
