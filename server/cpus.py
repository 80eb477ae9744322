"""How many cores this process may really use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Whole cores that affinity and the control group's quota leave to this process; at least 1.

    Libraries count the machine's cores and then run many threads on few of them, which in a container with a quota
    means being throttled most of the time.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(affinity, int(_quota_cores(cgroup))))


def _quota_cores(cgroup: Path) -> float:
    """The control group's CPU quota in cores; more than any machine has when there is none."""
    unlimited = float(1 << 20)
    version_2 = _words(cgroup / "cpu.max")  # "max 100000" or "150000 100000"
    if len(version_2) == 2:  # noqa: PLR2004 - quota and period
        quota, period = version_2
    else:
        quota = next(iter(_words(cgroup / "cpu" / "cpu.cfs_quota_us")), "-1")
        period = next(iter(_words(cgroup / "cpu" / "cpu.cfs_period_us")), "100000")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return unlimited
    return int(quota) / int(period)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
