"""Fixtures for every room's tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# A busy machine is no mistake in what is tested. Where CI is set, hypothesis has a patient profile of its own.
if "CI" not in os.environ:
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

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
