"""Images for the Classifier, and requests with them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

from proto import classifier_pb2


def picture(red: int, green: int, blue: int, kind: str = "PNG", size: tuple[int, int] = (48, 32)) -> bytes:
    """An image file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(file, kind)
    return file.getvalue()


def bomb() -> bytes:
    """A small PNG file that says that it has 20000 x 20000 pixels."""
    file = picture(0, 0, 0)
    header = file[12:16] + struct.pack(">II", 20_000, 20_000) + file[24:29]
    return file[:12] + header + struct.pack(">I", zlib.crc32(header)) + file[33:]


def classify(*images: bytes, model: str = "colours", **fields: Any) -> Any:
    """A ClassifyRequest."""
    return classifier_pb2.ClassifyRequest(model_name=model, images=images, **fields)
