"""The models whose servers are watched, their traffic, and the faults that can be brought in."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import grpc

from tests.integration import rows
from tests.torchscript_models import ROWS, Colours, Worker, save_module, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUEUE = 8  # places before the model `gated`
# One thread: more than one would wait for each other where the machine has other work.
SMALL = """
    platform: "pytorch_libtorch"  max_batch_size: 1  dynamic_batching { %s }
    instance_group [ { count: 1 kind: KIND_CPU } ]
    parameters [ { key: "INTRA_OP_THREAD_COUNT" value: { string_value: "1" } } ]
"""
IMAGES = """
    platform: "pytorch_libtorch"  max_batch_size: 2  dynamic_batching { }
    input [ { name: "INPUT__0" data_type: TYPE_UINT8 dims: [16, 24, 3] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] label_filename: "labels.txt" } ]
"""
# Ends its instance's thread, by what nobody catches, where another model would only fail.
FRAGILE = """
import numpy as np
import triton_python_backend_utils as pb_utils


class PulledPlug(BaseException):
    pass


class TritonPythonModel:
    def execute(self, requests):
        numbers = [pb_utils.get_input_tensor_by_name(request, "INPUT__0").as_numpy() for request in requests]
        if any((number < 0).any() for number in numbers):
            raise PulledPlug
        outputs = [pb_utils.Tensor("OUTPUT__0", number[:, :1]) for number in numbers]
        return [pb_utils.InferenceResponse([output]) for output in outputs]
"""
SLOW_ROUNDS = 1000  # 14 GFLOP: over 100 ms on any core
PACE_SECONDS = 0.05


def write_models(directory: Path, door: Path) -> None:
    """Models for this server; Triton gets only `net`."""
    write_net(directory)
    short_queue = f"default_queue_policy {{ max_queue_size: {QUEUE} }}"
    write_model(directory / "gated", Worker(door=door), SMALL % short_queue + ROWS)
    colours = write_model(directory / "colours", Colours(channels_first=False), IMAGES)
    (colours / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    fragile = directory / "fragile" / "1"
    fragile.mkdir(parents=True)
    (fragile / "model.py").write_text(FRAGILE, encoding="utf-8")
    config = 'backend: "python" max_batch_size: 2' + ROWS
    (directory / "fragile" / "config.pbtxt").write_text(config, encoding="utf-8")


def write_net(directory: Path, rounds: int = 0) -> None:
    """The model with steady traffic, or one in its place that needs `rounds` of work for each row."""
    if rounds:
        save_module(Worker(rounds=rounds), directory / "net" / "1" / "model.pt")
    else:
        write_model(directory / "net", Worker(), SMALL % "" + ROWS)


@contextlib.contextmanager
def repeating(call: Callable[[], object]) -> Iterator[None]:
    """Call again and again, some twenty times a second, whatever becomes of it."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(PACE_SECONDS):
            with contextlib.suppress(grpc.RpcError):
                call()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def infer(inference: Any) -> Callable[[], object]:
    """A call of `net`."""
    return lambda: inference.ModelInfer(rows.request("net", 1))


def infer_badly(inference: Any) -> Callable[[], object]:
    """A call with an input of another shape than the model's."""
    request = rows.request("net", 1)
    request.inputs[0].shape[1] = 3
    return lambda: inference.ModelInfer(request)


def poison(inference: Any) -> Callable[[], object]:
    """A call on which `net` raises."""
    return lambda: inference.ModelInfer(rows.request("net", 1, rounds=-1))
