"""Fixtures for every room's tests."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

# A shell starts its background jobs with SIGINT ignored, and every program started here would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("tests.serving", "tests.integration.rows", "tests.integration.books")

from tests import serving  # noqa: E402 - its assertions must be rewritten first

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


@pytest.fixture(scope="session")
def start_server() -> Callable[..., AbstractContextManager[serving.ServerProcess]]:
    """The context manager `start_server(repository, *options)`: a real server process, see `tests.serving.started`."""
    return serving.started
