"""Parameters of requests, inputs and outputs: types, meanings and the texts for what is wrong are Triton's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from server.errors import InvalidRequest, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

_EMPTY_FINAL_RESPONSE = "triton_enable_empty_final_response"
_EXPECTED_TYPES = {
    "priority": ("int64_param", "uint64_param"),
    "timeout": ("int64_param",),
    "sequence_id": ("int64_param", "string_param"),
    "sequence_start": ("bool_param",),
    "sequence_end": ("bool_param",),
    _EMPTY_FINAL_RESPONSE: ("bool_param",),
}
_SHARED_MEMORY = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")
_CUSTOM_TYPES = ("int64_param", "bool_param", "string_param", "double_param")
_INTEGER = re.compile(r"\s*[+-]?\d+", re.ASCII)
_INT64 = 1 << 63
_MOST_DIGITS = 1000  # zeros at the front included


def check_request_parameters(parameters: Mapping[str, Any]) -> None:
    """Check types, and the values that could not be honoured anyway.

    Raises:
        InvalidRequest: with Triton's text.
    """
    for key, parameter in parameters.items():
        kind = parameter.WhichOneof("parameter_choice")
        if key in _EXPECTED_TYPES:
            expected = _EXPECTED_TYPES[key]
            if kind not in expected:
                names = " or ".join(expected)
                raise InvalidRequest(f"invalid value type for '{key}' parameter, expected {names}.")
        elif key.startswith("triton_"):
            raise InvalidRequest(
                "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys"
                f" starting with 'triton_' are allowed: {_EMPTY_FINAL_RESPONSE}"
            )
        elif kind not in _CUSTOM_TYPES:
            raise InvalidRequest(
                f"invalid value type for '{key}' parameter, expected int64_param, bool_param, or string_param."
            )
    if "priority" in parameters and parameters["priority"].int64_param < 0:
        raise InvalidRequest("invalid value for 'priority', expected value >= 0.")


def timeout_seconds(parameters: Mapping[str, Any]) -> float:
    """The request's `timeout` parameter, which is in microseconds; 0 when there is none."""
    return max(0.0, parameters["timeout"].int64_param / 1e6) if "timeout" in parameters else 0.0


def check_no_shared_memory(tensor: Any) -> None:
    """Refuse tensors that are said to be in shared memory.

    Raises:
        Unsupported: this server has no shared memory extension.
    """
    if any(key in tensor.parameters for key in _SHARED_MEMORY):
        raise Unsupported(f"shared memory is not supported by this server, but tensor '{tensor.name}' asks for it")


def classification_count(output: Any) -> int:
    """How many classes the `classification` parameter of a requested output asks for; 0 without it.

    Raises:
        InvalidRequest: with Triton's text.
    """
    if "classification" not in output.parameters:
        return 0
    parameter = output.parameters["classification"]
    if parameter.WhichOneof("parameter_choice") != "int64_param":
        raise InvalidRequest("invalid value type for 'classification' parameter, expected int64_param")
    if parameter.int64_param <= 0:
        raise InvalidRequest("invalid value for 'classification' parameter, expected >= 0")
    return int(parameter.int64_param)


def check_load_parameters(parameters: Mapping[str, Any]) -> None:
    """Check the parameters of a RepositoryModelLoad.

    Raises:
        InvalidRequest: with Triton's text.
        Unsupported: the model's files are in the request.
    """
    for key, parameter in parameters.items():
        if key.startswith("file:"):
            raise Unsupported("loading a model from files in the request is not supported by this server")
        if key != "config":
            raise InvalidRequest(f"unrecognized load parameter '{key}'.")
        if parameter.WhichOneof("parameter_choice") != "string_param":
            raise InvalidRequest(f"invalid value type for load parameter '{key}', expected string_param.")


def check_unload_parameters(parameters: Mapping[str, Any]) -> None:
    """Check the parameters of a RepositoryModelUnload, which change nothing.

    With `unload_dependents` Triton unloads what an ensemble brought along, too. Here its steps stay until they are
    unloaded themselves; so the extension model_repository(unload_dependents) is not announced.

    Raises:
        InvalidRequest: with Triton's text.
    """
    for key, parameter in parameters.items():
        if key == "unload_dependents" and parameter.WhichOneof("parameter_choice") != "bool_param":
            raise InvalidRequest(f"invalid value type for '{key}' parameter, expected bool_param.")


def parse_version(text: str) -> int | None:
    """The version that a request names; None for an empty text, which means the latest.

    Reads numbers as C's strtol does, as Triton: blanks and a sign may stand before, anything may stand behind.

    Raises:
        InvalidRequest: with Triton's text.
    """
    if not text:
        return None
    match = _INTEGER.match(text)
    version = int(match[0]) if match and len(match[0]) < _MOST_DIGITS else _INT64
    if not -_INT64 <= version < _INT64:
        raise InvalidRequest(
            f"failed to get model version from specified version string '{text}' (details: stol),"
            " version should be an integral value > 0"
        )
    if version < 0:
        raise InvalidRequest(f"invalid model version specified '{text}' , version should be an integral value > 0")
    return version
