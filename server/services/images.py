"""Encoded images to what an image model takes, off the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import imaging
from server.errors import InvalidImage, InvalidRequest, QueueFull, Unavailable
from server.model_config import BACKEND

if TYPE_CHECKING:
    from server.engine import Payload
    from server.model_config import ModelConfig

_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How a model wants its image: uint8 [height, width, 3], or float32 [3, height, width] from 0 to 1."""

    height: int
    width: int
    crop_fraction: float
    channels_first: bool

    @classmethod
    def of(cls, config: ModelConfig) -> ImageInput:
        """Read it off a model's only input.

        Raises:
            InvalidRequest: the model does not classify images.
        """
        spec, output = config.inputs[0], config.outputs[0]
        plausible = config.backend == BACKEND and len(config.inputs) == 1 and output.datatype == "FP32"
        if plausible and len(spec.dims) == _CHANNELS:
            if spec.datatype == "UINT8" and spec.dims[2] == _CHANNELS:
                return cls(spec.dims[0], spec.dims[1], config.crop_fraction, channels_first=False)
            if spec.datatype == "FP32" and spec.dims[0] == _CHANNELS:
                return cls(spec.dims[1], spec.dims[2], config.crop_fraction, channels_first=True)
        raise InvalidRequest(f"model '{config.name}' does not classify images given as pixels; name one that does")


class ImageDecoder:
    """Decodes on `threads` threads; as many images may wait for them as `capacity` says."""

    def __init__(self, threads: int, limits: imaging.Limits, capacity: int) -> None:
        self.capacity = capacity
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._limits = limits
        self._free = asyncio.Semaphore(threads)
        self._held = 0

    async def decode(self, data: bytes, wanted: ImageInput) -> Payload:
        """The model's payload for one image; cancelling it before a thread is free costs that thread nothing.

        A thread cannot be stopped: what it decodes for nobody is held, and counts, until it has done so.

        Raises:
            InvalidImage: the bytes cannot be decoded within the limits.
            QueueFull: too many images wait to be decoded.
            Unavailable: there is too little memory.
        """
        if self._held >= self.capacity:
            raise QueueFull("too many images wait to be decoded")
        self._held += 1
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            self._held -= 1
            raise
        try:
            return await self._in_thread(data, wanted)
        except imaging.ImageError as error:
            raise InvalidImage(str(error)) from error
        except MemoryError as error:
            raise Unavailable("there is too little memory for the image now") from error

    async def _in_thread(self, data: bytes, wanted: ImageInput) -> Payload:
        """Decode in a thread, of which one must be free."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        try:
            work = self._executor.submit(_decode, data, wanted, self._limits)
        except BaseException:  # there may be no thread to be had
            self._finished(done)
            raise

        def tell(_work: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(self._finished, done)

        work.add_done_callback(tell)
        await done
        try:
            return work.result()
        finally:
            del work  # it knows its error, whose trace knows this frame, and the image with it

    def _finished(self, done: asyncio.Future[None]) -> None:
        self._held -= 1
        self._free.release()
        if not done.done():
            done.set_result(None)

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _decode(data: bytes, wanted: ImageInput, limits: imaging.Limits) -> Payload:
    crop: Any = imaging.decode_crop(data, wanted.height, wanted.width, wanted.crop_fraction, limits)
    if wanted.channels_first:
        crop = np.ascontiguousarray(crop.transpose(2, 0, 1), np.float32) / np.float32(255)
    return (memoryview(crop).cast("B"),)
