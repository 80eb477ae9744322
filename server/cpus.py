"""How many cores this process may really use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Whole cores that affinity and the control groups' quotas leave to this process; at least 1.

    Libraries count the machine's cores and then run many threads on few of them, which in a container with a quota
    means being throttled most of the time.

    Args:
        cgroups: where the control groups are mounted.
        membership: the file that tells the process's own group in each hierarchy.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quotas = [_quota_cores(group) for group in _groups(cgroups, membership)]
    return max(1, int(min(affinity, *quotas)))


def _groups(cgroups: Path, membership: Path) -> Iterator[Path]:
    """The process's own group in each hierarchy that may limit its cores, and those around it: each limit counts."""
    own = {"": "", "cpu": ""}  # by mount: the one hierarchy of version 2, and that of version 1
    for line in _lines(membership):
        controllers, _, path = line.partition(":")[2].partition(":")  # "0::/a/b" or "4:cpu,cpuacct:/a/b"
        for mount in own.keys() & set(controllers.split(",")):
            own[mount] = path
    for mount, path in own.items():
        yield from _upwards(cgroups / mount, path)


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """The group `path` below `root`, then its parents up to `root`."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:  # a group outside of what this container sees
        parts = []
    for length in range(len(parts), -1, -1):
        yield root.joinpath(*parts[:length])


def _quota_cores(group: Path) -> float:
    """A control group's CPU quota in cores; more than any machine has when there is none."""
    unlimited = float(1 << 20)
    version_2 = _words(group / "cpu.max")  # "max 100000" or "150000 100000"
    if len(version_2) == 2:  # noqa: PLR2004 - quota and period
        quota, period = version_2
    else:
        quota = next(iter(_words(group / "cpu.cfs_quota_us")), "-1")
        period = next(iter(_words(group / "cpu.cfs_period_us")), "100000")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return unlimited
    return int(quota) / int(period)


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
