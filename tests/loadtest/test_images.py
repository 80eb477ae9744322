from __future__ import annotations

from typing import TYPE_CHECKING

import imaging
from loadtest.images import make_images, read_images

if TYPE_CHECKING:
    from pathlib import Path


def test_made_pictures_are_many_and_decode() -> None:
    """The pictures are different JPEG files of a photograph's size, the same for the same seed."""
    images = make_images(seed=3, count=8)

    assert len(set(images)) == len(images) == 8
    assert images == make_images(seed=3, count=8)
    assert imaging.decode_crop(images[0], 224, 224).std() > 10


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    """What is sent of a user's file is its bytes."""
    (tmp_path / "a.jpg").write_bytes(b"bytes")

    assert read_images([tmp_path / "a.jpg"]) == [b"bytes"]
