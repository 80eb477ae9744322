"""One server that most of these tests share, and what they ask it."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import rows
from tests.integration.books import check_books
from tests.integration.gates import Door
from tests.torchscript_models import BATCHING, ROWS, WAIT, Colours, Widen, Worker, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import grpc

    from tests.serving import ServerProcess

# One instance each. A short queue; a long one; and a queue with a policy before a model whose rows are dear.
SINGLE = 'platform: "pytorch_libtorch"  max_batch_size: 4  instance_group [ { count: 1 } ]  dynamic_batching { %s }'
NARROW = SINGLE % "default_queue_policy { max_queue_size: 8 }"
STRICT = (
    SINGLE
    % """ default_queue_policy {
    max_queue_size: 64  default_timeout_microseconds: 600000000  allow_timeout_override: true
} """
)
IMAGE = """
    platform: "pytorch_libtorch"  max_batch_size: 8  dynamic_batching { }
    input [ { name: "INPUT__0" data_type: %s dims: [%s] } ]
    output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [3] label_filename: "labels.txt" } ]
"""
# All that tests may bring the shared server to complain about: inputs that make a model raise, models that are broken.
EXPECTED_ERRORS = re.compile(r": an execution failed|: not loaded: ")
WIDE = ROWS.replace("dims: [1]", "dims: [32768]")


def write_repository(directory: Path, door: Path) -> None:
    """The models of the shared server."""
    write_model(directory / "worker", Worker(), BATCHING + ROWS)
    write_model(directory / "single", Worker(door=door), SINGLE % "" + ROWS)
    write_model(directory / "narrow", Worker(), NARROW + ROWS)
    write_model(directory / "costly", Worker(rounds=50, door=door), STRICT + ROWS)
    write_model(directory / "wide", Widen(), BATCHING + WIDE)
    broken = write_model(directory / "broken", Worker(), BATCHING + ROWS)
    (broken / "1" / "model.pt").write_bytes(b"no archive")
    hwc = write_model(directory / "colours", Colours(channels_first=False), IMAGE % ("TYPE_UINT8", "16, 24, 3"))
    short = "dynamic_batching { default_queue_policy { max_queue_size: 4 } }"
    chw_config = (IMAGE % ("TYPE_FP32", "3, 16, 24")).replace("dynamic_batching { }", short)
    chw = write_model(directory / "planes", Colours(channels_first=True), chw_config)
    for images in (hwc, chw):
        (images / "labels.txt").write_text("red\ngreen\n", encoding="utf-8")  # blue has none


@pytest.fixture(scope="session")
def the_door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    """The door of the shared server's models."""
    return Door(tmp_path_factory.mktemp("door") / "door")


@pytest.fixture
def door(server: ServerProcess, the_door: Door) -> Iterator[Door]:
    """The door of the shared server's models; it is shut, and opened in the end until everybody has passed."""
    the_door.shut()
    yield the_door
    the_door.open()
    server.metrics_when(lambda samples: samples.total("coordserve_instances_busy") == 0)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory, the_door: Door) -> Path:
    """The shared server's model repository."""
    directory = tmp_path_factory.mktemp("models")
    write_repository(directory, the_door.path)
    return directory


@pytest.fixture(scope="session")
def server(
    repository: Path, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> Iterator[ServerProcess]:
    """The shared server; whatever the tests did to it, in the end its books balance and it stops well."""
    models = [f"--load-model={path.name}" for path in repository.iterdir()]
    limits = ("--max-message-bytes", str(4 << 20), "--max-image-bytes", str(1 << 20))
    with start_server(repository, "--model-control-mode", "explicit", *models, *limits) as server:
        yield server
        check_books(server)
        server.send_signal(signal.SIGINT)
        assert server.wait_exit() == 0
        errors = [line for line in server.lines if " ERROR " in line or " CRITICAL " in line]
        assert [line for line in errors if not EXPECTED_ERRORS.search(line)] == [], server.log


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """A connection to the shared server that no other test has."""
    with rows.own_connection(server.grpc_address) as channel:
        yield channel


@pytest.fixture
def inference(channel: grpc.Channel) -> Any:
    """The Open Inference Protocol on `channel`."""
    return rows.stub(channel)


@pytest.fixture
def busy(server: ServerProcess, inference: Any, door: Door) -> Callable[[str], Any]:
    """`busy(model)` gives the only instance of a model work until the door is opened; returns that call."""
    assert door

    def busy(model: str) -> Any:
        call = inference.ModelInfer.future(rows.request(model, 1000, WAIT))
        server.metrics_when(lambda samples: samples.total("coordserve_instances_busy", model=model) == 1)
        return call

    return busy
