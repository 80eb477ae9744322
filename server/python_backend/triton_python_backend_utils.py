"""The module of this name that models in Python import, by Triton's names and meanings.

https://github.com/triton-inference-server/python_backend: tensors, requests, responses, errors and the functions that
look something up. Requests from within a model (BLS), decoupled responses and metrics are not served here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from server.python_backend.request import TensorRequest

_NUMPY_TYPES: dict[str, type] = {
    "TYPE_BOOL": bool,
    "TYPE_UINT8": np.uint8,
    "TYPE_UINT16": np.uint16,
    "TYPE_UINT32": np.uint32,
    "TYPE_UINT64": np.uint64,
    "TYPE_INT8": np.int8,
    "TYPE_INT16": np.int16,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
    "TYPE_STRING": np.object_,
}


class TritonModelException(Exception):  # noqa: N818 - Triton's name
    """What a model raises when it cannot load or cannot execute a batch."""


class TritonError:
    """Why one request gets no tensors."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = range(8)

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self._message = message
        self._code = code

    def message(self) -> str:
        """What the caller is told."""
        return self._message

    def code(self) -> int:
        """One of the constants of this class."""
        return self._code


class Tensor:
    """A named array; elements of BYTES are `bytes` in an array of objects."""

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self._name = name
        self._array = np.asarray(array)

    @staticmethod
    def from_dlpack(name: str, source: Any) -> Tensor:
        """A tensor that shares its memory with `source`, which speaks DLPack or is a capsule of it."""
        return Tensor(name, np.from_dlpack(source if hasattr(source, "__dlpack__") else _Capsule(source)))

    def name(self) -> str:
        """The tensor's name."""
        return self._name

    def shape(self) -> tuple[int, ...]:
        """The tensor's dimensions."""
        return self._array.shape

    def as_numpy(self) -> NDArray[Any]:
        """The array itself."""
        return self._array

    def is_cpu(self) -> bool:
        """Whether the tensor is in the processor's memory: here it always is."""
        return True

    def to_dlpack(self) -> Any:
        """A DLPack capsule of the array."""
        return self._array.__dlpack__()

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


class _Capsule:
    """A capsule as an object that gives it away."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the processor


class InferenceRequest:
    """One request, as `execute` sees it."""

    def __init__(self, request: TensorRequest, names: Mapping[str, Sequence[str]], model: str, version: int) -> None:
        """`names` are those of the "inputs" and "outputs" of the model `model`."""
        self._request = request
        # Copies, for code that writes into its inputs: these are a message's bytes, or what other steps see, too.
        self._inputs = [
            Tensor(name, np.array(array)) for name, array in zip(names["inputs"], request.tensors, strict=True)
        ]
        self._outputs = list(names["outputs"])
        self._model, self._version = model, version

    def inputs(self) -> list[Tensor]:
        """The inputs, in the order of config.pbtxt."""
        return self._inputs

    def requested_output_names(self) -> list[str]:
        """The outputs that must be given: all that the model has."""
        return self._outputs

    def request_id(self) -> str:
        """The caller's name for the request."""
        return self._request.request_id

    def parameters(self) -> str:
        """The request's parameters, as JSON."""
        return self._request.parameters

    def timeout(self) -> int:
        """The request's timeout, in microseconds; 0 without one."""
        return self._request.timeout_us

    def correlation_id(self) -> int:
        """The sequence that the request belongs to: none."""
        return 0

    def flags(self) -> int:
        """The request's place in a sequence: none."""
        return 0

    def model_name(self) -> str:
        """The model that is asked."""
        return self._model

    def model_version(self) -> int:
        """... and its version."""
        return self._version

    def is_cancelled(self) -> bool:
        """Whether the caller has left."""
        return self._request.cancelled


class InferenceResponse:
    """The answer to one request: tensors, or an error."""

    def __init__(self, output_tensors: Sequence[Tensor] = (), error: TritonError | None = None) -> None:
        self._tensors = list(output_tensors or ())
        self._error = error

    def output_tensors(self) -> list[Tensor]:
        """The tensors."""
        return self._tensors

    def has_error(self) -> bool:
        """Whether the request failed."""
        return self._error is not None

    def error(self) -> TritonError | None:
        """Why it failed."""
        return self._error


class Logger:
    """Lines in the server's log."""

    INFO, WARNING, ERROR, VERBOSE = logging.INFO, logging.WARNING, logging.ERROR, logging.DEBUG
    _logger = logging.getLogger("model.py")

    @classmethod
    def log(cls, message: str, level: int = INFO) -> None:
        """Log at one of this class's levels."""
        cls._logger.log(level, "%s", message)

    @classmethod
    def log_info(cls, message: str) -> None:
        """Log what is good to know."""
        cls.log(message, cls.INFO)

    @classmethod
    def log_warn(cls, message: str) -> None:
        """Log what is odd."""
        cls.log(message, cls.WARNING)

    @classmethod
    def log_error(cls, message: str) -> None:
        """Log what is wrong."""
        cls.log(message, cls.ERROR)

    @classmethod
    def log_verbose(cls, message: str) -> None:
        """Log details."""
        cls.log(message, cls.VERBOSE)


def get_input_tensor_by_name(inference_request: InferenceRequest, name: str) -> Tensor | None:
    """An input of a request; None if it has none of this name."""
    return next((tensor for tensor in inference_request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(inference_response: InferenceResponse, name: str) -> Tensor | None:
    """An output of a response; None if it has none of this name."""
    return next((tensor for tensor in inference_response.output_tensors() if tensor.name() == name), None)


def get_input_config_by_name(model_config: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The configuration of an input; None if the model has none of this name."""
    return next((tensor for tensor in model_config.get("input", ()) if tensor["name"] == name), None)


def get_output_config_by_name(model_config: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The configuration of an output; None if the model has none of this name."""
    return next((tensor for tensor in model_config.get("output", ()) if tensor["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: Mapping[str, Any]) -> bool:
    """Whether the model answers each request any number of times; such models are not served here."""
    return bool(model_config.get("model_transaction_policy", {}).get("decoupled", False))


def triton_string_to_numpy(triton_type_string: str) -> type:
    """Numpy's type for one of config.pbtxt, such as TYPE_FP32."""
    return _NUMPY_TYPES[triton_type_string]
