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
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "period", "cores"), _QUOTAS)
def test_a_quota_of_version_1_is_kept(tmp_path: Path, quota: str, period: str, cores: int) -> None:
    """The old hierarchy has a file for each."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    assert usable_cores(tmp_path) == cores


def test_without_a_control_group_affinity_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no such files, or only empty ones, the cores that the process may run on count."""
    assert usable_cores(tmp_path / "missing") == 16
    (tmp_path / "cpu.max").write_text("")
    assert usable_cores(tmp_path) == 16
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {3, 7})
    assert usable_cores(tmp_path) == 2


def test_without_affinity_the_machine_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that know no affinity are asked for their cores, and at least one is used."""
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path) == 1


def test_this_machine_can_be_asked() -> None:
    """The real control group gives an answer."""
    assert 1 <= usable_cores() <= 16
