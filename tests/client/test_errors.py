"""The mapping from gRPC's codes to errors."""

from __future__ import annotations

import grpc
import pytest

from client import errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("CANCELLED", errors.RequestCancelled),
        ("UNKNOWN", errors.ServerError),
        ("INVALID_ARGUMENT", errors.InvalidRequest),
        ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
        ("NOT_FOUND", errors.ModelNotFound),
        ("PERMISSION_DENIED", errors.AccessDenied),
        ("RESOURCE_EXHAUSTED", errors.Overloaded),
        ("UNIMPLEMENTED", errors.Unimplemented),
        ("INTERNAL", errors.ServerError),
        ("UNAVAILABLE", errors.ServerUnreachable),
        ("UNAUTHENTICATED", errors.AccessDenied),
    ],
)
def test_code_decides_the_class_and_text_is_kept(code: str, kind: type[errors.ClientError]) -> None:
    """Each code becomes its own class of error, with the server's words."""
    error = errors.from_status(grpc.StatusCode[code].value[0], "the server's words")

    assert type(error) is kind
    assert str(error) == "the server's words"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Exceeds maximum queue size", errors.Overloaded),
        ("too many images wait to be decoded", errors.Overloaded),
        ("there is too little memory for the image now", errors.Overloaded),
        ("Request timeout expired", errors.Overloaded),
        ("Request for unknown model: 'm' version 1 is not at ready state", errors.ServerNotReady),
        ("Server not ready", errors.ServerNotReady),
        ("no model that classifies images answers; not ready: m", errors.ServerNotReady),
        ("Request for unknown model: 'm' has no available versions: inconsistent shape", errors.ServerNotReady),
        ("Request for unknown model: 'm' has no available versions: it is being loaded", errors.ModelLoading),
        ("no model that classifies images is ready yet; being loaded: m", errors.ModelLoading),
        ("the model is being unloaded", errors.ModelLoading),
        ("Server is stopping, scheduler for model has stopped", errors.ServerStopping),
        ("the server is stopping", errors.ServerStopping),
        ("failed to connect to all addresses", errors.ServerUnreachable),
        ("Socket closed", errors.ServerUnreachable),
    ],
)
def test_unavailable_is_told_apart_by_its_text(text: str, kind: type[errors.ClientError]) -> None:
    """A full queue and a model that is not ready are no unreachable servers, though their code is the same."""
    assert type(errors.from_status(grpc.StatusCode.UNAVAILABLE.value[0], text)) is kind


def test_invalid_argument_of_an_image_is_an_invalid_image() -> None:
    """The same code means the image where the status is that of one image."""
    code = grpc.StatusCode.INVALID_ARGUMENT.value[0]

    assert type(errors.from_status(code, "not an image", concerning_image=True)) is errors.InvalidImage


def test_unknown_code_without_text_still_says_something() -> None:
    """No error has an empty message."""
    error = errors.from_status(99, "")

    assert type(error) is errors.ServerError
    assert "99" in str(error)
