"""What a model in Python is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class TensorRequest:
    """One request: an array for each input, in the order of config.pbtxt, and what the model may ask of it.

    `parameters` are the request's, as JSON. Whoever has lost interest sets `cancelled`.
    """

    tensors: tuple[NDArray[Any], ...]
    request_id: str = ""
    parameters: str = "{}"
    timeout_us: int = 0
    cancelled: bool = False
