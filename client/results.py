"""What a classification gives: values that do not change and know no protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from client.errors import ClientError


@dataclass(frozen=True, slots=True)
class Class:
    """One class of an image.

    Attributes:
        index: Position in the model's output.
        label: From the model's labels file; empty when it has none for this index.
        probability: Between 0 and 1.
    """

    index: int
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Where an image's time in the server went, in nanoseconds.

    Attributes:
        decode_ns: Waiting for a decoder, decoding and cropping.
        queue_ns: Waiting for a model instance.
        compute_ns: The whole execution of the batch that the image was part of.
        total_ns: From the arrival of the request until the image's result.
        batch_size: Images in that batch.
    """

    decode_ns: int
    queue_ns: int
    compute_ns: int
    total_ns: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Classification:
    """The classes of one image.

    Attributes:
        file: Name of the image's file; None for bytes and for file objects without a name.
        model: Name of the model that answered.
        version: Version of the model that answered.
        classes: At least one, most probable first.
        timing: None when the server does not tell (Triton).
    """

    file: str | None
    model: str
    version: str
    classes: tuple[Class, ...]
    timing: Timing | None = None

    @property
    def best(self) -> Class:
        """The most probable class."""
        return self.classes[0]


@dataclass(frozen=True, slots=True)
class ImageFailure:
    """Stands in bulk results for an image that has no classes.

    Attributes:
        file: As in `Classification`.
        error: Why.
    """

    file: str | None
    error: ClientError


Result: TypeAlias = Classification | ImageFailure


def require_classification(result: Result) -> Classification:
    """Returns `result`, or raises the error of an image that failed."""
    if isinstance(result, ImageFailure):
        raise result.error
    return result
