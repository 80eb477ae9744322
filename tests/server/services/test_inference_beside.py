"""What would hold up the event loop is done in a thread beside it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from server.services import inference
from server.services.delivery import Delivery
from server.services.inference import InferenceServicer
from server.services.wire import parse_infer_message
from tests.server.models import open_repository
from tests.server.python_backend.steps import DOUBLE, write_step
from tests.server.services.requests import infer, output, tensor
from tests.server.services.test_inference import Call
from tests.server.workshop import HANGING_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CONFIG = """
    backend: "python"  instance_group [ {{ count: 1 }} ]
    input [ {{ name: "IN" data_type: {datatype} dims: [ -1 ] }} ]
    output [ {{ name: "OUT" data_type: {datatype} dims: [ -1 ] }} ]
"""


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, threading.Thread]:
    """In which thread requests are read and responses built, by the function's name."""
    seen = {}

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            seen[name] = threading.current_thread()
            return function(*arguments)

        return noted

    for name in ("read_infer_request", "build_infer_response"):
        monkeypatch.setattr(inference, name, noting(name, getattr(inference, name)))
    return seen


async def _ask(directory: Path, request: Any) -> Any:
    """The answer of the only model in a directory."""
    repository = open_repository(directory)
    [request.model_name] = repository.names()
    repository.load(request.model_name)
    try:
        message = parse_infer_message(request.SerializeToString())
        return await InferenceServicer(repository, Delivery(), "1", lambda: True, None).ModelInfer(message, Call())
    finally:
        assert repository.close(HANGING_SECONDS)


@pytest.mark.parametrize(("count", "beside"), [(3, False), (20_000, True)])
async def test_many_texts_hold_up_nobody(
    tmp_path: Path,
    threads: dict[str, threading.Thread],
    count: int,
    beside: bool,  # noqa: FBT001 - a parameter
) -> None:
    """They are looked at one by one, coming and going, in a thread of their own; a few are not worth that."""
    code = DOUBLE.replace("array < 0", "array == b'-'").replace("array > 100", "array == b'+'")
    write_step(tmp_path / "echo", code, _CONFIG.format(datatype="TYPE_STRING"))
    request = infer(tensor("IN", datatype="BYTES", shape=[count]), raw=[b"\1\0\0\0a" * count])
    response = await _ask(tmp_path, request)
    assert response.raw_output_contents == [b"\2\0\0\0aa" * count]
    assert [thread is not threading.current_thread() for thread in threads.values()] == [beside] * 2


@pytest.mark.parametrize(("count", "beside"), [(8000, False), (200_000, True)])
async def test_many_scores_to_sort_hold_up_nobody(
    tmp_path: Path,
    threads: dict[str, threading.Thread],
    count: int,
    beside: bool,  # noqa: FBT001 - a parameter
) -> None:
    """The best class of many is found in a thread of its own, though it is one text."""
    write_step(tmp_path / "double", config=_CONFIG.format(datatype="TYPE_FP32"))
    request = infer(
        tensor("IN", datatype="FP32", shape=[count]),
        raw=[np.arange(count, dtype=np.float32).clip(0, 50).tobytes()],
        outputs=[output("OUT", {"classification": ("int64_param", 1)})],
    )
    response = await _ask(tmp_path, request)
    assert response.raw_output_contents[0][4:] == b"100.000000:50"
    assert (threads["build_infer_response"] is not threading.current_thread()) == beside
