"""A repository of small TorchScript models whose outputs are exact, so that two servers can be compared to the bit."""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING

import torch
from torch import nn

from tests.integration.gates import Door
from tests.torchscript_models import BATCHING, ROWS, WAIT, Worker, write_model

if TYPE_CHECKING:
    from pathlib import Path

GOOD = ("by_index", "by_name", "network", "network_bf16", "pixels", "tensors", "unbatched", "work")
LABELS = ("cat", "dog", "bird")  # fewer than there are classes

PIXELS = """
platform: "pytorch_libtorch"
max_batch_size: 8
input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] label_filename: "labels.txt" } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { }
"""
NETWORK = """
name: "network"
backend: "pytorch"
max_batch_size: 4
input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 16, 16, 3 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 10 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { max_queue_delay_microseconds: 100 }
"""
UNBATCHED = """
name: "unbatched"
platform: "pytorch_libtorch"
max_batch_size: 0
version_policy { all { } }
input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [ 4, 4, 3 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 5 ] label_filename: "labels.txt" } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
TENSORS = """
name: "tensors"
platform: "pytorch_libtorch"
max_batch_size: 4
input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "INPUT__1" data_type: TYPE_INT64 dims: [ 3 ] } ]
input [ { name: "INPUT__2" data_type: TYPE_BOOL dims: [ 2 ] }, { name: "INPUT__3" data_type: TYPE_FP16 dims: [ 2 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 2 ] } ]
output [ { name: "OUTPUT__1" data_type: TYPE_INT64 dims: [ 3 ] } ]
output [ { name: "OUTPUT__2" data_type: TYPE_BOOL dims: [ 2 ] } ]
output [ { name: "OUTPUT__3" data_type: TYPE_FP16 dims: [ 2 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
WORK = """
name: "work"
platform: "pytorch_libtorch"
max_batch_size: 4
input [ { name: "INPUT__0" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { default_queue_policy { max_queue_size: 2 } }
parameters [ { key: "INTRA_OP_THREAD_COUNT" value: { string_value: "1" } } ]
"""
WARM_UP = 'model_warmup [ { name: "sample" batch_size: 2 count: 3 %s } ]'
WAITING = (
    BATCHING
    + ROWS
    + """ instance_group [ { count: 1 kind: KIND_CPU } ]
    model_warmup {
      batch_size: 1
      inputs { key: "INPUT__0" value { data_type: TYPE_INT64 dims: [ 2 ] input_data_file: "wait" } }
    } """
)
# The module takes the first number first.
NUMBERS = """
platform: "pytorch_libtorch"
max_batch_size: 4
input [ { name: "%s" data_type: TYPE_FP32 dims: [ 1 ] }, { name: "%s" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


class Pixels(nn.Module):
    """The first five bytes of each image as fractions of 256."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, H, W, 3] uint8 -> [N, 5] float32."""
        return image.flatten(1)[:, :5].to(torch.float32) / 256


class UnbatchedPixels(nn.Module):
    """The same without a batch dimension."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[H, W, 3] uint8 -> [5] float32."""
        return image.flatten()[:5].to(torch.float32) / 256


class Network(nn.Module):
    """A convolutional network with random weights: the one model here that computes as real ones do."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
            nn.Softmax(1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, H, W, 3] uint8 -> [N, 10] float32, probabilities."""
        return self.layers(image.permute(0, 3, 1, 2).to(torch.float32) / 255)


class Tensors(nn.Module):
    """Several inputs and outputs, each of another type."""

    def forward(
        self, floats: torch.Tensor, integers: torch.Tensor, flags: torch.Tensor, halves: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Doubled, plus one, inverted, negated."""
        return floats * 2, integers + 1, torch.logical_not(flags), -halves


class HalfNetwork(nn.Module):
    """A network in bfloat16 inside: what comes in and goes out is as ever."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.layers = copy.deepcopy(network.layers[:-1]).to(torch.bfloat16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """[N, H, W, 3] uint8 -> [N, 10] float32, probabilities."""
        logits: torch.Tensor = self.layers((image.permute(0, 3, 1, 2).to(torch.float32) / 255).to(torch.bfloat16))
        return logits.to(torch.float32).softmax(1)


class Difference(nn.Module):
    """A module for which the order of its inputs counts."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """[N, 1] float32, twice -> the first minus the second."""
        return first - second


class Work(nn.Module):
    """As many milliseconds of work, roughly, as the largest number of the batch; a negative one fails."""

    def forward(self, amount: torch.Tensor) -> torch.Tensor:
        """[N, 1] int32 -> the same."""
        if int(amount.min().item()) < 0:
            raise ValueError("negative work")
        square = torch.full((64, 64), 1 / 64)
        for _ in range(int(amount.max().item()) * 50):
            square = torch.mm(square, square)
        return amount + (square[0, 0] * 0).to(torch.int32)


def write_repository(directory: Path) -> None:
    """Write the models of `GOOD`, and `broken`, whose model.pt is none."""
    torch.manual_seed(0)
    _write_model(directory / "pixels", PIXELS, Pixels())
    network = Network().eval()
    _write_model(directory / "network", NETWORK, network)
    _write_model(directory / "network_bf16", NETWORK.replace('"network"', '"network_bf16"'), HalfNetwork(network))
    _write_model(directory / "by_name", NUMBERS % ("second", "first"), Difference())
    _write_model(directory / "by_index", NUMBERS % ("NUMBER__1", "NUMBER__0"), Difference())
    _write_model(directory / "unbatched", UNBATCHED, UnbatchedPixels(), versions=(1, 3))
    _write_model(directory / "tensors", TENSORS, Tensors())
    _write_model(directory / "work", WORK, Work())
    write_broken_model(directory)


def write_broken_model(directory: Path) -> None:
    """Write the model `broken` below `directory`: its config.pbtxt is good, its model.pt is not."""
    version = directory / "broken" / "1"
    version.mkdir(parents=True)
    (version / "model.pt").write_bytes(b"no TorchScript")
    (directory / "broken" / "config.pbtxt").write_text(TENSORS.replace("tensors", "broken"))


def write_warm_ups(directory: Path) -> None:
    """Write the models that `control_cases.WARM_UPS` names, all of them `work` with another warm-up."""
    numbers = 'inputs { key: "INPUT__0" value { data_type: TYPE_INT32 dims: [ 1 ] %s } }'
    warm_ups = {
        "warm": numbers % "zero_data: true",
        "warm_nothing": "",
        "warm_type": (numbers % "zero_data: true").replace("INT32", "INT64"),
        "warm_file": numbers % 'input_data_file: "short"',
    }
    for name, inputs in warm_ups.items():
        _write_model(directory / name, WORK.replace('"work"', f'"{name}"') + WARM_UP % inputs, Work())
        data = directory / name / "warmup"
        data.mkdir()
        (data / "short").write_bytes(b"123")


def write_waiting_model(directory: Path) -> Door:
    """Write the model `waiting`, which does not get through its warm-up until the door is open."""
    door = Door(directory / "door")
    model = write_model(directory / "waiting", Worker(door=door.path), WAITING)
    (model / "warmup").mkdir()
    (model / "warmup" / "wait").write_bytes(struct.pack("<qq", 1, WAIT))
    return door


def _write_model(directory: Path, config: str, module: nn.Module, versions: tuple[int, ...] = (1,)) -> None:
    for version in versions:
        write_model(directory, module, config, version)
    (directory / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
