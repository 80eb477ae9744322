"""POST /classify: one encoded image as the body, its labels and timings as JSON; for people, and for the page.

It takes the way of `coordserve.v1.Classifier`: the same decoder, queue, limits and counters.
"""

from __future__ import annotations

import asyncio
import math
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from aiohttp import web

from proto import classifier_pb2
from server.errors import DeadlineUnreachable, InvalidImage, InvalidRequest, OriginNotAllowed, QueueFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Whoever asks here is a person who looks on; images that arrive at the same time are held in memory.
_SECONDS = 20.0
_AT_ONCE = 8
_TOP_K = re.compile("[1-9][0-9]{0,2}")


class Classify(Protocol):
    """The Classifier, for callers in this process."""

    async def __call__(self, read: Callable[[], Awaitable[Any]], peer: str, seconds: float) -> Any:
        """Await the ClassifyRequest of `peer` that `read()` gives and its ClassifyResponse, for at most `seconds`."""


class ClassifyHandler:
    """Answers POST /classify by `classify`; the body has at most `most_bytes`."""

    def __init__(self, classify: Classify, most_bytes: int) -> None:
        self._classify = classify
        self.most_bytes = most_bytes
        self._arriving = 0

    async def answer(self, request: web.Request) -> web.Response:
        """The classes, or why there are none."""
        response = await self._classify(partial(self._read, request), request.remote or "", _SECONDS)
        failed = next((each.error for each in (response, *response.results) if each.HasField("error")), None)
        if failed:
            return _refusal(_CODES.get(failed.code, grpc.StatusCode.UNKNOWN), failed.message)
        return web.json_response(_told(response, response.results[0]))

    async def _read(self, request: web.Request) -> Any:
        """The request as a message of the Classifier's.

        Raises:
            OriginNotAllowed: it comes from a page of another server.
            InvalidRequest, InvalidImage: it is none.
            QueueFull: too many images arrive at once.
            DeadlineUnreachable: the image arrives too slowly.
        """
        if not _is_from_here(request):
            raise OriginNotAllowed("a page from elsewhere may not ask this server")
        query = request.query
        top_k = query.get("top_k", "5")
        if not _TOP_K.fullmatch(top_k):
            raise InvalidRequest("top_k must be a number from 1 to 999")
        image = await self._image(request)
        try:
            return classifier_pb2.ClassifyRequest(
                images=[image],
                model_name=query.get("model", ""),
                model_version=query.get("version", ""),
                top_k=int(top_k),
                request_id=request.headers.get("X-Request-Id", ""),
            )
        except ValueError:
            raise InvalidRequest("model, version and X-Request-Id must be UTF-8") from None

    async def _image(self, request: web.Request) -> bytes:
        if self._arriving >= _AT_ONCE:
            raise QueueFull("too many images are being received")
        self._arriving += 1
        try:
            async with asyncio.timeout(_SECONDS / 2):
                image = await request.read()
        except TimeoutError:
            raise DeadlineUnreachable("the image did not arrive in time") from None
        except web.HTTPRequestEntityTooLarge:
            raise InvalidImage(f"the image has more than {self.most_bytes} bytes") from None
        except web.RequestPayloadError:
            raise InvalidRequest("the body is not what its headers say") from None
        finally:
            self._arriving -= 1
        if not image:
            raise InvalidRequest("the body must be an encoded image")
        return image


def _is_from_here(request: web.Request) -> bool:
    """Whether no page of another origin asks: browsers tell the origin with every POST, other programs need none."""
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def _refusal(code: grpc.StatusCode, text: str) -> web.Response:
    status = _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
    return web.json_response({"code": code.name, "error": text}, status=status)


def _told(response: Any, result: Any) -> dict[str, Any]:
    timing = result.timing
    parts = {name: getattr(timing, f"{name}_ns") / 1e9 for name in ("decode", "queue", "compute", "total")}
    return {
        "model": response.model_name,
        "version": response.model_version,
        "classes": [
            {"index": each.index, "label": each.label, "probability": _number(each.probability)}
            for each in result.classes
        ],
        "seconds": parts,
        "batch_size": timing.batch_size,
    }


def _number(value: float) -> float | None:
    """What JSON can say of it."""
    return value if math.isfinite(value) else None
