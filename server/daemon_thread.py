"""Work that may never end, as that on a disk which does not answer: nobody waits for it when the process is to end."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def in_daemon_thread(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Call a function in a thread of its own, as `asyncio.to_thread` does in one that Python joins at its end."""
    done: Future[Result] = Future()

    def work() -> None:
        if not done.set_running_or_notify_cancel():
            return
        try:
            done.set_result(function(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - who awaits it is told
            done.set_exception(error)

    threading.Thread(target=work, name=function.__name__, daemon=True).start()
    return await asyncio.wrap_future(done)


class SharedCall(Generic[Result]):
    """A function that is called in such a thread, once at a time: those who ask while it is share the next call.

    What they get was found after they asked, and a call that never ends takes one thread, however many ask.
    """

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._call: asyncio.Task[Result] | None = None

    async def __call__(self) -> Result:
        """Await what the function returns, or raises."""
        if self._call and not self._call.done():
            await asyncio.wait({self._call})
        if not self._call or self._call.done():
            self._call = asyncio.create_task(in_daemon_thread(self._function))
            self._call.add_done_callback(_heard)  # its callers may all have left
        return await asyncio.shield(self._call)


def _heard(call: asyncio.Task[Result]) -> None:
    """Take note of an error, of which asyncio would tell if nobody did."""
    if not call.cancelled():
        call.exception()
