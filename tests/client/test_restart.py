"""Bulk work and a real server that is still loading its models."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from client import Classifier, ModelLoading
from tests.client.conftest import CONFIG, best
from tests.torchscript_models import Colours, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.conftest import Client, StartServer
    from tests.serving import Samples

# It is loaded first, when somebody has written to the pipe beside it.
FIRST = """
import pathlib


class TritonPythonModel:
    def initialize(self, args):
        pathlib.Path(__file__).with_name("pipe").read_bytes()

    def execute(self, requests):
        raise NotImplementedError("nobody asks it")
"""
FIRST_CONFIG = """
    backend: "python" instance_group [ { count: 1 } ]
    input [ { name: "IN" data_type: TYPE_UINT8 dims: [1] } ]
    output [ { name: "OUT" data_type: TYPE_UINT8 dims: [1] } ]
"""


def refused(samples: Samples) -> bool:
    """Tell whether the server has refused anybody."""
    return samples.total("grpc_server_handled", grpc_code="UNAVAILABLE") > 0


def test_bulk_work_waits_until_the_model_is_loaded(
    client: Client, start_server: StartServer, tmp_path: Path, photos: list[bytes]
) -> None:
    """A server that was restarted listens before it has loaded: a single image is told so, many images wait."""
    write_model(tmp_path / "second", Colours(channels_first=False), CONFIG.replace('label_filename: "labels.txt"', ""))
    pipe = tmp_path / "first" / "1" / "pipe"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    pipe.with_name("model.py").write_text(FIRST)
    (tmp_path / "first" / "config.pbtxt").write_text(FIRST_CONFIG)
    with start_server(tmp_path, loaded=False) as server, ThreadPoolExecutor(1) as pool:
        url = server.grpc_address
        try:
            work = pool.submit(client.classify_many, url, photos, timeout_seconds=60.0)
            server.metrics_when(refused)
            with Classifier(url) as classifier, pytest.raises(ModelLoading, match="being loaded: first, second"):
                classifier.classify(photos[0])
            assert not work.done()
        finally:
            threading.Thread(target=pipe.write_bytes, args=(b"go",), daemon=True).start()
        assert best(work.result(60)) == [0, 1, 2]
