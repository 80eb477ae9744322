from __future__ import annotations

import asyncio
import io
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import imaging
from server import model_config
from server.errors import InvalidImage, InvalidRequest, QueueFull, Unavailable
from server.model_config import PYTHON
from server.services import images
from server.services.images import ImageDecoder, ImageInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PHOTO = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
_UINT8 = ImageInput(16, 24, 1.0, channels_first=False)
_FLOAT32 = ImageInput(16, 24, 1.0, channels_first=True)


def _encoded(kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(_PHOTO).save(file, kind)
    return file.getvalue()


@pytest.fixture
def new_decoder() -> Iterator[Callable[..., ImageDecoder]]:
    """Makes decoders of one thread, which end with the test: `new_decoder(capacity, limits)`."""
    decoders = []

    def make(capacity: int, limits: imaging.Limits = imaging.DEFAULT_LIMITS) -> ImageDecoder:
        decoders.append(ImageDecoder(1, limits, capacity))
        return decoders[-1]

    yield make
    for decoder in decoders:
        decoder.close()


def _config(directory: Path, inputs: str, output: str = "FP32", more: str = "") -> model_config.ModelConfig:
    text = f'platform: "pytorch_libtorch" max_batch_size: 4 {inputs} {more}'
    text += f'output [ {{ name: "y" data_type: TYPE_{output} dims: [ 5 ] }} ]'
    (directory / "config.pbtxt").write_text(text)
    return model_config.read(directory)


def _input(datatype: str, dims: list[int], name: str = "x") -> str:
    return f'input [ {{ name: "{name}" data_type: TYPE_{datatype} dims: {dims} }} ]'


def test_an_image_model_is_known_by_its_input(tmp_path: Path) -> None:
    """Bytes in rows of pixels, or floats in planes of colours, are images; the crop stands in the parameters."""
    config = _config(tmp_path, _input("UINT8", [16, 24, 3]))
    assert ImageInput.of(config) == _UINT8
    crop = 'parameters [ { key: "CROP_FRACTION" value: { string_value: "0.875" } } ]'
    config = _config(tmp_path, _input("FP32", [3, 16, 24]), more=crop)
    assert ImageInput.of(config) == ImageInput(16, 24, 0.875, channels_first=True)


@pytest.mark.parametrize("backend", [PYTHON, ""])
def test_other_kinds_of_models_take_no_pixels(tmp_path: Path, backend: str) -> None:
    """Ensembles and models in Python are asked for tensors, whatever these look like."""
    config = replace(_config(tmp_path, _input("UINT8", [16, 24, 3])), backend=backend)
    with pytest.raises(InvalidRequest, match=r"model '.*' does not classify images"):
        ImageInput.of(config)


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        (_input("UINT8", [16, 24, 4]), "FP32"),
        (_input("UINT8", [3, 16, 24]), "FP32"),
        (_input("UINT8", [16, 24]), "FP32"),
        (_input("FP32", [16, 24, 3]), "FP32"),
        (_input("FP32", [1, 3, 16, 24]), "FP32"),
        (_input("INT8", [16, 24, 3]), "FP32"),
        (_input("UINT8", [16, 24, 3]), "INT64"),
        (_input("UINT8", [16, 24, 3]) + _input("UINT8", [16, 24, 3], "z"), "FP32"),
    ],
)
def test_other_models_classify_no_images(tmp_path: Path, inputs: str, output: str) -> None:
    """Any other input, number of inputs, or output is told by the model's name."""
    with pytest.raises(InvalidRequest, match=r"model '.*' does not classify images"):
        ImageInput.of(_config(tmp_path, inputs, output))


async def test_an_image_becomes_the_models_bytes(new_decoder: Callable[..., ImageDecoder]) -> None:
    """The payload is the crop that `imaging` makes, as the model takes it."""
    decoder = new_decoder(4)
    crop = imaging.decode_crop(_encoded(), 16, 24)
    [payload] = await decoder.decode(_encoded(), _UINT8)
    assert bytes(payload) == crop.tobytes()
    [payload] = await decoder.decode(_encoded(), _FLOAT32)
    assert len(payload) == 3 * 16 * 24 * 4
    planes = np.frombuffer(payload, np.float32).reshape(3, 16, 24)
    np.testing.assert_array_equal(planes, crop.transpose(2, 0, 1).astype(np.float32) / 255)


@pytest.mark.parametrize("data", [b"", b"no image", _encoded()[:-40], _encoded("JPEG")[:200]])
async def test_what_cannot_be_decoded_is_the_callers_fault(
    new_decoder: Callable[..., ImageDecoder], data: bytes
) -> None:
    """Damaged files are an error of their own kind, and the next image is decoded."""
    decoder = new_decoder(1)
    with pytest.raises(InvalidImage):
        await decoder.decode(data, _UINT8)
    await decoder.decode(_encoded(), _UINT8)


async def test_limits_are_kept(new_decoder: Callable[..., ImageDecoder]) -> None:
    """An image beyond the server's limits is refused."""
    for limits in (imaging.Limits(max_bytes=100), imaging.Limits(max_pixels=100)):
        with pytest.raises(InvalidImage):
            await new_decoder(4, limits).decode(_encoded(), _UINT8)


async def test_so_many_wait_to_be_decoded_and_no_more(
    new_decoder: Callable[..., ImageDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the capacity images are refused at once; those whose callers leave make room and are not decoded."""
    decoded, gate, decode = [], threading.Event(), imaging.decode_crop

    def gated(data: bytes, *arguments: Any) -> Any:
        gate.wait()
        decoded.append(len(data))
        return decode(data, *arguments)

    monkeypatch.setattr(images.imaging, "decode_crop", gated)
    decoder = new_decoder(3)
    running, leaving, staying = [
        asyncio.ensure_future(decoder.decode(_encoded(kind), _UINT8)) for kind in ("PNG", "JPEG", "WEBP")
    ]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match=r"^too many images wait to be decoded$"):
        await decoder.decode(_encoded(), _UINT8)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    more = asyncio.ensure_future(decoder.decode(_encoded("GIF"), _UINT8))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(running, staying, more)
    assert decoded == [len(_encoded(kind)) for kind in ("PNG", "WEBP", "GIF")]


async def test_an_image_that_nobody_waits_for_any_more_counts_until_it_is_decoded(
    new_decoder: Callable[..., ImageDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread cannot be stopped and holds its bytes: callers that come and leave cannot fill the memory."""
    gate, begun, decode = threading.Event(), threading.Event(), imaging.decode_crop

    def gated(*arguments: Any) -> Any:
        begun.set()
        gate.wait()
        return decode(*arguments)

    monkeypatch.setattr(images.imaging, "decode_crop", gated)
    decoder = new_decoder(1)
    leaving = asyncio.ensure_future(decoder.decode(_encoded(), _UINT8))
    await asyncio.to_thread(begun.wait)
    leaving.cancel()
    await asyncio.wait([leaving])
    with pytest.raises(QueueFull):
        await decoder.decode(_encoded(), _UINT8)
    gate.set()
    await asyncio.to_thread(decoder._executor.submit(int).result)  # its turn comes once the image is decoded
    await decoder.decode(_encoded(), _UINT8)


async def test_too_little_memory_is_no_fault_of_the_caller(
    new_decoder: Callable[..., ImageDecoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later, or elsewhere, the same image may be decoded."""

    def fail(*_arguments: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(images.imaging, "decode_crop", fail)
    with pytest.raises(Unavailable, match="too little memory"):
        await new_decoder(1).decode(_encoded(), _UINT8)
