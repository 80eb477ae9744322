"""Encoded image bytes to the uint8 RGB crop that a model takes; for untrusted input, from any thread."""

from imaging.decode import decode_crop
from imaging.errors import ImageError
from imaging.limits import DEFAULT_LIMITS, Limits

__all__ = ["DEFAULT_LIMITS", "ImageError", "Limits", "decode_crop"]
