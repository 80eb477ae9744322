"""The attention family in one network, each exported with fresh weights into a repository of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import torch

from modeling.counting import count_multiply_adds, count_parameters
from modeling.fresh import FRESH, Fresh
from modeling.network import NETWORKS
from tests.benchmarks.attention_cost.costs import Member

if TYPE_CHECKING:
    from pathlib import Path

    from tests.benchmarks.attention_cost.costs import Settings

USUAL = ("none", "se", "bam", "cbam", "ca")
"""Those whose costs one asks for first."""
_CLASSES = 1000
_PAPER_WIDTH, _PAPER_SIZE = 1.0, 224
# Top-1 accuracy on ImageNet, per cent: Hou, Zhou and Feng, Coordinate Attention for Efficient Mobile Network Design,
# CVPR 2021, and the table in its authors' repository (github.com/houqb/CoordAttention). They have no BAM here.
_PAPER_TOP1 = {
    "mobilenetv2": {"none": 72.3, "se": 73.5, "cbam": 73.6, "ca": 74.3},
    "mobilenext": {"none": 74.0, "se": 74.7, "ca": 75.2},
}


def describe(attention: str, settings: Settings) -> Member:
    """Count a member, and look up what the paper says of it."""
    with torch.device("meta"):  # shapes without weights
        network = NETWORKS[settings.network](_CLASSES, settings.width, attention)
    as_in_paper = (settings.width, settings.size) == (_PAPER_WIDTH, _PAPER_SIZE)
    top1 = _PAPER_TOP1.get(settings.network, {}).get(attention) if as_in_paper else None
    return Member(attention, count_parameters(network), count_multiply_adds(network, settings.size), top1)


def model_name(attention: str, settings: Settings) -> str:
    """What a member is called when it is served."""
    return Fresh(settings.network, settings.width, attention).name


def export(attention: str, settings: Settings, repository: Path) -> None:
    """Export a member with the command that users have.

    Raises:
        RuntimeError: It failed; the message is its last line.
    """
    command = [sys.executable, "-m", "modeling.export", "--weights", FRESH, "--attention", attention]
    command += ["--network", settings.network, "--width", str(settings.width), "--size", str(settings.size)]
    command += ["--precision", settings.precision, "--seed", str(settings.seed), "--model-repository", str(repository)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or f"the export of {attention} failed")
