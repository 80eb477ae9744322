"""The one error that an unusable image ends in."""

from __future__ import annotations


class ImageError(ValueError):
    """The image cannot be used; the message says why, in words that are safe to send to a remote caller."""
