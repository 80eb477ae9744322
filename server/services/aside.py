"""Work that would hold up the event loop, in a thread beside it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")


class Aside:
    """One thread for all of it: several would take the interpreter's lock from each other and from the event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="aside")

    async def run(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Await `function(*arguments)`.

        A thread cannot be stopped: a caller that leaves is held until what has begun has ended, and with it the memory
        that the caller counts for.
        """
        work = self._executor.submit(function, *arguments)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if not work.cancelled():
                [ended], _ = await asyncio.wait([asyncio.wrap_future(work)])
                ended.exception()  # which nobody else asks for any more
            raise
