"""`python -m modeling.pack`: labelled images in one packed `.npz` file, which is quicker to read than a folder."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm import tqdm

from modeling.command import InputError, Parser, positive, run, seed
from modeling.files import replacing
from modeling.sources import CIFAR10, read_test_images
from modeling.stored_view import BEST_JPEG

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from modeling.dataset import DataSet

PROGRAM = "python -m modeling.pack"
SUFFIX = ".npz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: pack(options))


def pack(options: Namespace) -> int:
    """Write the images, or most of them and the rest apart, as the options say."""
    paths = [path for path in (options.output, options.held_out) if path is not None]
    _check(options, paths)
    images = read_test_images(options.data)
    if options.size is not None:
        images = _stored_as_jpeg(images, options.size, options.jpeg_quality)
    parts = images.hold_out(options.held_out_share, options.seed) if options.held_out else (images,)
    for path, part in zip(paths, parts, strict=True):
        _write(path, part)
        sys.stdout.write(f"{path}: {len(part.labels)} images of {len(part.classes)} classes\n")
    return 0


def _check(options: Namespace, paths: list[Path]) -> None:
    for path in paths:
        if path.suffix != SUFFIX:
            raise InputError(f"{path} is no {SUFFIX} file")
    if options.held_out is not None and options.held_out.absolute() == options.output.absolute():
        raise InputError(f"{options.output} cannot hold the images that are held out, too")
    if not 1 <= options.jpeg_quality <= BEST_JPEG:
        raise InputError(f"--jpeg-quality must be from 1 to {BEST_JPEG}, got {options.jpeg_quality}")


def _stored_as_jpeg(images: DataSet, size: int, quality: int) -> DataSet:
    """Return the centred square of each image, at this many pixels a side, encoded anew."""
    crops = tqdm(images.crops(size, 1.0), f"encoding {images.name}", len(images.labels), unit="image", disable=None)
    return replace(images, images=[_jpeg(crop, quality) for crop in crops])


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def _write(path: Path, images: DataSet) -> None:
    """Write what `imaging.labelled_images` reads."""
    contents = [image.read_bytes() if isinstance(image, Path) else image for image in images.images]
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            jpeg=np.frombuffer(b"".join(contents), np.uint8),
            offset=np.cumsum([0, *map(len, contents)]),
            label=np.array(images.labels),
            classes=np.array(images.classes),
        )


def _parser() -> Parser:
    parser = Parser(PROGRAM, "Put labelled images into one packed .npz file.")
    add = parser.add_argument
    add("data", help=f"a folder of class folders, a packed .npz file, or {CIFAR10} (its test images)")
    add("output", type=Path, help="the file to write")
    add("--size", type=positive, help="keep the centred square of each image, this many pixels a side, as JPEG")
    add("--jpeg-quality", type=int, default=75, help="... of this quality; without --size, files stay as they are")
    add("--held-out", type=Path, metavar="FILE", help="put some images of each class here instead")
    add("--held-out-share", type=float, default=0.1, help="... this share of them")
    add("--seed", type=seed, default=0, help="decides which")
    return parser


if __name__ == "__main__":
    sys.exit(main())
