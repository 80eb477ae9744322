"""Images that come otherwise than by gRPC, on the Classifier's way: observed, counted and refused as its calls are."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from proto import classifier_pb2
from server.errors import DeadlineUnreachable
from server.services.accounting import Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import grpc

    from server.services.accounting import Account
    from server.services.classifier import ClassifierServicer
    from server.services.intake import Intake


class DirectClassifier:
    """The Classifier, for callers in this process; `account` is where they are counted."""

    def __init__(self, servicer: ClassifierServicer, account: Account, intake: Intake) -> None:
        self._servicer = servicer
        self._account = account
        self._intake = intake

    async def classify(self, read: Callable[[], Awaitable[Any]], peer: str, seconds: float) -> Any:
        """Await the ClassifyResponse to what `read()` gives, whose `error` is set where all of it was refused.

        Of a caller that is refused at the door nothing is read. `peer` is its address, who waits for `seconds`;
        cancelling this is the caller's leaving.
        """
        context = _Context(peer, seconds)

        async def answer() -> Any:
            try:
                async with asyncio.timeout(seconds):  # as gRPC ends a call whose deadline has passed
                    with self._intake:
                        request = await read()
                        with self._intake.holding(*request.images):
                            return await self._servicer.Classify(request, Call(context, self._account))
            except TimeoutError:
                raise DeadlineUnreachable("there was no answer in time") from None

        return await self._account.settle(answer(), context)


class _Context:
    """What accounts ask of a `grpc.aio.ServicerContext`."""

    def __init__(self, peer: str, seconds: float) -> None:
        self._peer = peer
        self._deadline = time.monotonic() + seconds

    def peer(self) -> str:
        """The caller's address."""
        return self._peer

    def invocation_metadata(self) -> tuple[()]:
        """The caller's headers, of which none matters."""
        return ()

    def time_remaining(self) -> float:
        """Seconds until the caller gives up."""
        return self._deadline - time.monotonic()

    async def abort(self, code: grpc.StatusCode, text: str) -> Any:
        """The answer to a call that failed."""
        return classifier_pb2.ClassifyResponse(error=classifier_pb2.Error(code=code.value[0], message=text))
