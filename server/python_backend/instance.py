"""An instance of a model in Python: an object of its own, made, asked and ended as Triton's python backend does."""

from __future__ import annotations

import logging
import sys
import time
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any

import numpy as np

from server import errors
from server.engine import EngineError
from server.errors import ModelFailed, ServingError
from server.instance import Execution
from server.python_backend.arguments import initialize_arguments
from server.python_backend.request import TensorRequest
from server.python_backend.source import import_file, importing, place
from server.python_backend.triton_python_backend_utils import InferenceRequest, InferenceResponse, TritonError
from server.tensor_types import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from server.model_config import ModelConfig
    from server.tensor_types import TensorSpec

logger = logging.getLogger(__name__)

_ERRORS: dict[int, type[ServingError]] = {
    TritonError.UNKNOWN: errors.UnknownFailure,
    TritonError.NOT_FOUND: errors.ModelNotFound,
    TritonError.INVALID_ARG: errors.InvalidRequest,
    TritonError.UNAVAILABLE: errors.Unavailable,
    TritonError.UNSUPPORTED: errors.Unsupported,
    TritonError.ALREADY_EXISTS: errors.AlreadyExists,
    TritonError.CANCELLED: errors.RequestCancelled,
}
# What else than an Exception a model's code may raise. It ends the load or the batch, not the thread that runs it.
_EXITS = (SystemExit, CancelledError)
# An array for each output, or why there are none.
Answer = tuple["NDArray[Any]", ...] | ServingError


class PythonInstance:
    """One `TritonPythonModel`, used by one thread.

    Each instance runs the file anew, so that instances share nothing, as they do under Triton.
    """

    def __init__(self, path: Path, config: ModelConfig, version: int, number: int) -> None:
        self._path = path
        self._config = config
        self._version = version
        self._number = number
        self._names = {
            "inputs": [spec.name for spec in config.inputs],
            "outputs": [spec.name for spec in config.outputs],
        }
        self._model: Any = None
        self._module = ""

    def open(self) -> None:
        """Import the model's code and let it initialize.

        Raises:
            EngineError: it cannot be; tells the file and line.
        """
        directory = self._path.parent
        arguments = initialize_arguments(self._config, directory.parent, self._version, self._number)
        try:
            with importing(directory):
                module = import_file(self._path)
                self._module = module.__name__
                model = module.TritonPythonModel()
                if hasattr(model, "initialize"):
                    model.initialize(arguments)
                model.execute  # noqa: B018 - an AttributeError tells that it is missing
        except (Exception, *_EXITS) as error:
            self.close()
            if isinstance(error, OSError) and error.filename == str(self._path):
                raise EngineError(f"{self._path.name} cannot be read: {error.strerror}") from error
            raise EngineError(f"{place(error, directory)}: {_text(error)}") from error
        self._model = model

    def warm_up(self, rows: int) -> bool:
        """Ask for zeros and empty texts. Code that cannot do with them is not to blame: Triton does not ask it."""
        tensors = tuple(_zeros(spec, rows if self._config.batches else None) for spec in self._config.inputs)
        answer: object
        try:
            [answer] = self.run([TensorRequest(tensors)], [rows]).results
        except Exception as error:  # noqa: BLE001 - of somebody else's code
            answer = error
        if isinstance(answer, Exception):
            logger.debug("%s: not warmed up by zeros: %s", self._config.name, _text(answer))
        return not isinstance(answer, Exception)

    def run_sample(self, tensors: Sequence[NDArray[Any]], rows: int) -> None:
        """Execute a batch of `rows` requests that are all alike.

        Raises:
            ServingError: the model answers one of them with an error.
            Exception: as `run`.
        """
        execution = self.run([TensorRequest(tuple(tensors)) for _ in range(rows)], [1] * rows)
        for answer in execution.results:
            if isinstance(answer, ServingError):
                raise answer

    def run(self, payloads: Sequence[TensorRequest], rows: Sequence[int]) -> Execution[Answer]:
        """Execute one batch; a request may be answered by an error of its own.

        Raises:
            ModelFailed: the responses are not those that config.pbtxt promises.
            Exception: whatever the model raises; RuntimeError where that would end a thread.
        """
        started_ns = time.monotonic_ns()
        name = self._config.name
        requests = [InferenceRequest(payload, self._names, name, self._version) for payload in payloads]
        input_ready_ns = time.monotonic_ns()
        try:
            responses = self._model.execute(requests)
        except _EXITS as error:
            raise RuntimeError(f"the model's code raised {_text(error)}") from error
        computed_ns = time.monotonic_ns()
        if not isinstance(responses, list | tuple) or len(responses) != len(requests):
            raise ModelFailed(f"the model gave no list of {len(requests)} responses")
        answers = [self._answer(*pair) for pair in zip(responses, rows, strict=True)]
        return Execution(answers, started_ns, input_ready_ns, computed_ns, time.monotonic_ns())

    def close(self) -> None:
        """Let the model finalize, whatever comes of it."""
        model, self._model = self._model, None
        if hasattr(model, "finalize"):
            try:
                model.finalize()
            except (Exception, *_EXITS) as error:  # noqa: BLE001 - of somebody else's code
                logger.warning("%s: finalize failed: %s", self._config.name, _text(error))
        sys.modules.pop(self._module, None)

    def _answer(self, response: Any, rows: int) -> Answer:
        if not isinstance(response, InferenceResponse):
            return ModelFailed(f"the model gave a {type(response).__name__} instead of a response")
        if error := response.error():
            return _ERRORS.get(error.code(), ModelFailed)(error.message())
        arrays = {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
        try:
            checked = [_checked(arrays, spec, rows if self._config.batches else None) for spec in self._config.outputs]
        except ModelFailed as failure:
            return failure
        return tuple(checked)


def _zeros(spec: TensorSpec, rows: int | None) -> NDArray[Any]:
    shape = [1 if dim < 0 else dim for dim in spec.dims]
    dtype = DATATYPES[spec.datatype]
    return np.full([*([] if rows is None else [rows]), *shape], b"" if dtype.hasobject else 0, dtype)


def _checked(arrays: dict[str, NDArray[Any]], spec: TensorSpec, rows: int | None) -> NDArray[Any]:
    if spec.name not in arrays:
        raise ModelFailed(f"the model gave no output {spec.name}")
    array = arrays[spec.name]
    is_text = spec.datatype == "BYTES" and array.dtype.kind in "OSU"
    if is_text:
        array = _encoded(array, spec.name)
    if array.dtype != DATATYPES[spec.datatype] and not is_text:
        raise ModelFailed(f"output {spec.name} of the model has type {array.dtype}, config.pbtxt says {spec.datatype}")
    expected = spec.dims if rows is None else (rows, *spec.dims)
    if len(array.shape) != len(expected) or any(e not in (-1, s) for s, e in zip(array.shape, expected, strict=True)):
        raise ModelFailed(f"output {spec.name} of the model has shape {list(array.shape)}, expected {list(expected)}")
    return array if is_text else array.copy()  # the model may write its next answer into it


def _encoded(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array with its texts as bytes, as others see them."""
    encoded = np.empty(array.shape, object)
    for index, element in np.ndenumerate(array):
        try:
            encoded[index] = element.encode() if isinstance(element, str) else bytes(memoryview(element))
        except (TypeError, ValueError) as error:
            raise ModelFailed(f"output {name} of the model has an element that is neither bytes nor text") from error
    return encoded


def _text(error: BaseException) -> str:
    """An error as its last line tells it, in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
