"""Small TorchScript models in Triton's layout, for servers under test."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from pathlib import Path


WAIT = 1 << 40  # in place of the rounds of work: until the door is open


class Worker(torch.nn.Module):
    """INT64 [N, 2], an identity and a number of rounds, to INT64 [N, 1], the identity, after that much work.

    So every answer can be told apart, and the caller decides how long an instance is busy without any clock: a row with
    `WAIT` keeps it until the test opens the door. A row with negative rounds makes the model raise.
    """

    def __init__(self, rounds: int = 0, door: Path | None = None) -> None:
        """`rounds` of work for each row in any case; `door` is a file of two bytes, which are zero while it is shut."""
        super().__init__()
        self.rounds = rounds
        self.door = str(door)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Work, then answer."""
        rounds = rows[:, 1]
        if bool((rounds < 0).any()):
            raise ValueError("poison")
        looks = 0
        if bool((rounds == 1 << 40).any()):
            # The size depends on the loop, so that TorchScript does not look once and for all.
            while bool(torch.from_file(self.door, size=1 + looks % 2, dtype=torch.uint8)[0] == 0):
                looks += 1
        matrix = torch.full([192, 192], 1 / 192)
        product = matrix
        for _ in range(int(rounds[rounds < 1 << 40].sum()) + self.rounds * rows.shape[0]):
            product = product @ matrix
        return rows[:, :1] + product[0, 0].to(torch.int64) + min(looks, 0)


class Constant(torch.nn.Module):
    """INT64 [N, 2] to INT64 [N, 1], always `value`: tells which version answered."""

    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer."""
        return torch.full([rows.shape[0], 1], self.value, dtype=torch.int64)


class Widen(torch.nn.Module):
    """INT64 [N, 2] to INT64 [N, 32768], the identity all over: answers of 256 KiB."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Answer."""
        return rows[:, :1].expand(-1, 32768).contiguous()


class Colours(torch.nn.Module):
    """An image to the share of red, green and blue in it, as FP32 [N, 3]; uint8 HWC or float32 CHW."""

    def __init__(self, *, channels_first: bool) -> None:
        super().__init__()
        self.channels_first = channels_first

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Answer."""
        sums = images.float().sum([2, 3] if self.channels_first else [1, 2])
        return sums / (sums.sum(1, keepdim=True) + 1e-6)


ROWS = """
    input [ { name: "INPUT__0" data_type: TYPE_INT64 dims: [2] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_INT64 dims: [1] } ]
"""
BATCHING = 'platform: "pytorch_libtorch" max_batch_size: 8 dynamic_batching { }'


def save_module(module: torch.nn.Module, path: Path) -> None:
    """Write `module` as TorchScript."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.*deprecated.*", DeprecationWarning)
        torch.jit.script(module.eval()).save(str(path))  # type: ignore[no-untyped-call] # torch's


def write_model(directory: Path, module: torch.nn.Module, config: str, version: int = 1) -> Path:
    """Write a model `directory`, with its config.pbtxt and one version; returns `directory`."""
    save_module(module, directory / str(version) / "model.pt")
    (directory / "config.pbtxt").write_text(config, encoding="utf-8")
    return directory
