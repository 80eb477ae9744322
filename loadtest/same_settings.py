"""A model's repository with the number of instances and threads set, as both servers read them from config.pbtxt."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

if TYPE_CHECKING:
    from pathlib import Path


def copy_model(repository: Path, model: str, instances: int, threads: int, target: Path) -> None:
    """Copy one model into the repository `target`.

    Raises:
        OSError: There is no such model.
        ValueError: Its config.pbtxt cannot be read.
    """
    shutil.copytree(repository / model, target / model)
    path = target / model / "config.pbtxt"
    try:
        config = text_format.Parse(path.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ValueError(f"{repository / model / 'config.pbtxt'}: {error}") from error
    del config.instance_group[:]
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=instances)
    config.parameters["INTRA_OP_THREAD_COUNT"].string_value = str(threads)
    path.write_text(text_format.MessageToString(config), encoding="utf-8")
