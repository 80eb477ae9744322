"""The one error of this package."""

from __future__ import annotations


class LaunchError(Exception):
    """Triton cannot be started here; the message says what is missing."""
