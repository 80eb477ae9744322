from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from server.cpus import usable_cores

if TYPE_CHECKING:
    from pathlib import Path

_QUOTAS = [
    ("max", "100000", 16),  # no limit: what affinity leaves
    ("-1", "100000", 16),
    ("400000", "100000", 4),
    ("250000", "100000", 2),  # a part of a core is no core
    ("50000", "100000", 1),  # ... but one is used
    ("6400000", "100000", 16),
    ("100000", "0", 16),
    ("nonsense", "100000", 16),
]


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(16)), raising=False)


@pytest.mark.parametrize(("quota", "period", "cores"), _QUOTAS)
def test_a_quota_of_version_2_is_kept(tmp_path: Path, quota: str, period: str, cores: int) -> None:
    """The unified hierarchy has quota and period in one file."""
    (tmp_path / "cpu.max").write_text(f"{quota} {period}\n")
    assert usable_cores(tmp_path, tmp_path) == cores


@pytest.mark.parametrize(("quota", "period", "cores"), _QUOTAS)
def test_a_quota_of_version_1_is_kept(tmp_path: Path, quota: str, period: str, cores: int) -> None:
    """The old hierarchy has a file for each."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    assert usable_cores(tmp_path, tmp_path) == cores


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("member", "limits", "cores"),
    [
        ("0::/pod/box\n", {"pod/box": "400000 100000"}, 4),  # its own group counts, not the root alone
        ("0::/pod/box\n", {"pod": "300000 100000", "pod/box": "800000 100000"}, 3),  # ... and each around it
        ("0::/pod/box\n", {"": "200000 100000", "pod/box": "max 100000"}, 2),
        ("0::/pod/box\n", {"pod": "600000 100000"}, 6),
        ("0::/pod/box\n", {"pod/other": "100000 100000"}, 16),
        ("0::/\n", {"": "500000 100000"}, 5),  # a container that sees its own group as the root
        ("0::/../../pod\n", {"": "500000 100000"}, 5),
        ("1:cpuset:/pod\n0::/a:b\n", {"a:b": "700000 100000", "pod": "100000 100000"}, 7),
    ],
)
def test_every_group_around_the_process_limits_it(
    tmp_path: Path, member: str, limits: dict[str, str], cores: int
) -> None:
    """The tightest quota from the process's own group up to the root is kept."""
    for group, limit in limits.items():
        _write(tmp_path / "cgroup" / group / "cpu.max", limit)
    _write(tmp_path / "membership", member)
    assert usable_cores(tmp_path / "cgroup", tmp_path / "membership") == cores


def test_groups_of_version_1_have_a_hierarchy_of_their_own(tmp_path: Path) -> None:
    """The group of the CPU controller counts, whatever groups the process has with others."""
    for group, quota in {"cpu/pod": "300000", "cpu/pod/box": "-1", "cpu/job": "100000"}.items():
        _write(tmp_path / group / "cpu.cfs_quota_us", quota)
        _write(tmp_path / group / "cpu.cfs_period_us", "100000")
    _write(tmp_path / "membership", "9:memory:/job\n4:cpu,cpuacct:/pod/box\n0::/job\n")
    assert usable_cores(tmp_path, tmp_path / "membership") == 3


def test_without_a_control_group_affinity_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no such files, or only empty ones, the cores that the process may run on count."""
    assert usable_cores(tmp_path / "missing", tmp_path) == 16
    (tmp_path / "cpu.max").write_text("")
    assert usable_cores(tmp_path, tmp_path) == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3, 7})
    assert usable_cores(tmp_path, tmp_path) == 2


def test_without_affinity_the_machine_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that know no affinity are asked for their cores, and at least one is used."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path, tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path, tmp_path) == 1


def test_this_machine_can_be_asked() -> None:
    """The real control group gives an answer."""
    assert 1 <= usable_cores() <= 16
