"""An event loop that wakes when it should."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

_Result = TypeVar("_Result")


def run(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run `main` in a loop whose timers are exact to the microsecond.

    It waits with select(), where asyncio's usual loop waits with epoll_wait() and rounds up to the millisecond: half a
    millisecond of lag on average. There are few files to wait for, so select() is no slower.
    """
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(main)
