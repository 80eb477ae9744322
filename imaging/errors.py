"""What can be wrong with what is given: one image, or what a command was told to work with."""

from __future__ import annotations


class ImageError(ValueError):
    """The image cannot be used; the message says why, in words that are safe to send to a remote caller."""


class InputError(ValueError):
    """What the user gave cannot be used; the message is one line that says what to do about it."""
