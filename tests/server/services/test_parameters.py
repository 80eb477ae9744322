from __future__ import annotations

import ctypes
import os
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from server.errors import InvalidRequest, Unsupported
from server.services.parameters import (
    check_load_parameters,
    check_request_parameters,
    check_unload_parameters,
    classification_count,
    parse_version,
)
from tests.server.services.requests import output, set_parameters

_VALUES = {
    "bool_param": True,
    "int64_param": 5,
    "string_param": "x",
    "double_param": 1.5,
    "uint64_param": 5,
    "nothing": None,
}
_RESERVED = (
    "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with"
    " 'triton_' are allowed: triton_enable_empty_final_response"
)


def _request_error(key: str, choice: tuple[str, Any] | None) -> str | None:
    request = service_pb2.ModelInferRequest()
    set_parameters(request.parameters, {key: choice})
    try:
        check_request_parameters(request.parameters)
    except InvalidRequest as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("key", "accepted", "text"),
    [
        ("priority", {"int64_param", "uint64_param"}, "expected int64_param or uint64_param."),
        ("timeout", {"int64_param"}, "expected int64_param."),
        ("sequence_id", {"int64_param", "string_param"}, "expected int64_param or string_param."),
        ("sequence_start", {"bool_param"}, "expected bool_param."),
        ("sequence_end", {"bool_param"}, "expected bool_param."),
        ("triton_enable_empty_final_response", {"bool_param"}, "expected bool_param."),
        *(
            (
                key,
                {"bool_param", "int64_param", "string_param", "double_param"},
                "int64_param, bool_param, or string_param.",
            )
            for key in ("custom", "binary_data_output", "headers", "")
        ),
    ],
)
def test_request_parameters_have_their_types(key: str, accepted: set[str], text: str) -> None:
    """Each key takes the types that Triton takes for it, and names them when the type is another."""
    for field, value in _VALUES.items():
        error = _request_error(key, None if value is None else (field, value))
        if field in accepted:
            assert error is None
        else:
            assert error is not None
            assert error.startswith(f"invalid value type for '{key}' parameter, expected ")
            assert error.endswith(text)


@pytest.mark.parametrize("key", ["triton_other", "triton_final_response", "triton_"])
def test_reserved_keys_are_refused(key: str) -> None:
    """Keys that begin with triton_ are Triton's, whatever their value."""
    for field, value in _VALUES.items():
        assert _request_error(key, None if value is None else (field, value)) == _RESERVED


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("priority", -1, "invalid value for 'priority', expected value >= 0."),
        ("priority", 0, None),
        ("timeout", 0, None),
        ("timeout", -1, None),
        ("sequence_id", 0, None),
        ("sequence_id", -1, None),
    ],
)
def test_values_that_cannot_be_honoured_are_refused(key: str, value: int, text: str | None) -> None:
    """A negative priority is an error; a negative timeout is none."""
    assert _request_error(key, ("int64_param", value)) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "expected >= 0"), (-1, "expected >= 0"), (-(1 << 63), "expected >= 0")]
)
def test_a_number_of_classes_is_positive(count: int, text: str) -> None:
    """Asking for no classes is an error, not a request for the tensor."""
    with pytest.raises(InvalidRequest, match=f"invalid value for 'classification' parameter, {text}"):
        classification_count(output(parameters={"classification": ("int64_param", count)}))


def test_without_classification_the_tensor_is_meant() -> None:
    """0 stands for the output as it is."""
    assert classification_count(output()) == 0
    assert classification_count(output(parameters={"classification": ("int64_param", 3)})) == 3


def _parameters(key: str, choice: tuple[str, Any]) -> Any:
    request = service_pb2.RepositoryModelLoadRequest()
    set_parameters(request.parameters, {key: choice})
    return request.parameters


@pytest.mark.parametrize(
    ("key", "choice", "text"),
    [
        ("other", ("string_param", "x"), r"^unrecognized load parameter 'other'\.$"),
        ("config", ("bool_param", True), r"^invalid value type for load parameter 'config', expected string_param\.$"),
    ],
)
def test_load_parameters_are_checked(key: str, choice: tuple[str, Any], text: str) -> None:
    """A load takes a configuration as text and nothing else."""
    with pytest.raises(InvalidRequest, match=text):
        check_load_parameters(_parameters(key, choice))


def test_models_do_not_come_in_requests() -> None:
    """Files in a load request are refused."""
    with pytest.raises(Unsupported):
        check_load_parameters(_parameters("file:1/model.pt", ("bytes_param", b"x")))
    check_load_parameters(_parameters("config", ("string_param", "{}")))


def test_unload_parameters_are_checked() -> None:
    """`unload_dependents` must be a flag, though it changes nothing here, and others are passed over."""
    with pytest.raises(InvalidRequest, match="'unload_dependents' parameter, expected bool_param"):
        check_unload_parameters(_parameters("unload_dependents", ("int64_param", 1)))
    check_unload_parameters(_parameters("unload_dependents", ("bool_param", True)))
    check_unload_parameters(_parameters("other", ("int64_param", 1)))


@pytest.mark.parametrize(
    ("text", "version"),
    [("", None), ("1", 1), ("01", 1), (" 1", 1), ("1 ", 1), ("+1", 1), ("1.5", 1), ("0", 0), ("0x1", 0), ("-0", 0),
     ("9223372036854775807", (1 << 63) - 1)],
)  # fmt: skip
def test_a_version_is_the_number_at_the_front(text: str, version: int | None) -> None:
    """Versions are read as a real Triton was seen to read them."""
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text", ["abc", " ", "+", "--1", "99999999999999999999", "9223372036854775808", "\u0661", "9" * 5000]
)
def test_a_version_that_is_no_number_is_refused(text: str) -> None:
    """What is no number, or one beyond 64 bits, is told with Triton's words."""
    with pytest.raises(InvalidRequest) as raised:
        parse_version(text)
    assert str(raised.value) == (
        f"failed to get model version from specified version string '{text}' (details: stol),"
        " version should be an integral value > 0"
    )


@pytest.mark.parametrize("text", ["-1", " -7x", "-9223372036854775808"])
def test_a_negative_version_is_refused(text: str) -> None:
    """Negative numbers have a text of their own."""
    with pytest.raises(InvalidRequest) as raised:
        parse_version(text)
    assert str(raised.value) == (f"invalid model version specified '{text}' , version should be an integral value > 0")


def _strtol(text: str) -> int | None:
    """What the C library reads, or None where it reads no number or one out of range."""
    library = ctypes.CDLL(None, use_errno=True)
    library.strtol.restype = ctypes.c_long
    library.strtol.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int]
    encoded, end = ctypes.create_string_buffer(text.encode()), ctypes.c_char_p()
    ctypes.set_errno(0)
    value = library.strtol(ctypes.cast(encoded, ctypes.c_char_p), ctypes.byref(end), 10)
    rest = ctypes.cast(end, ctypes.c_void_p).value
    return None if rest == ctypes.addressof(encoded) or ctypes.get_errno() else int(value)


@pytest.mark.skipif(os.name != "posix", reason="compares with the C library")
@settings(max_examples=300)
@given(
    st.text(st.sampled_from("0123456789+-x. \t\n\v\f\r\u00a0\u0665"), min_size=1, max_size=60) | st.integers().map(str)
)
@example("0" * 40 + "7")
def test_versions_are_read_as_c_reads_numbers(text: str) -> None:
    """The C library's strtol, which Triton uses, gives the same number, or none."""
    version: int | None
    try:
        version = parse_version(text)
    except InvalidRequest as error:
        version = None if str(error).startswith("failed") else -1
    value = _strtol(text)
    assert version == (-1 if value is not None and value < 0 else value)
