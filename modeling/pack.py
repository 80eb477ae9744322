"""`python -m modeling.pack`: labelled images in one packed `.npz` file, which is quicker to read than a folder."""

from __future__ import annotations

import io
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from modeling.command import InputError, Parser, positive, run, seed
from modeling.files import replacing
from modeling.sources import CIFAR10, read_test_images
from modeling.stored_view import BEST_JPEG

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from modeling.dataset import DataSet

PROGRAM = "python -m modeling.pack"
SUFFIX = ".npz"
_JPEG_QUALITY = 75
_HELD_OUT_SHARE = 0.1
_MOST_PIXELS = 2048  # a side, of the dozens of images that are held at a time


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run(PROGRAM, lambda: pack(options))


def pack(options: Namespace) -> int:
    """Write the images, or most of them and the rest apart, as the options say; both files or none."""
    _check(options)
    images = read_test_images(options.data)
    parts: dict[Path, DataSet] = {options.output: images}
    if options.held_out is not None:
        kept, held_out = images.hold_out(_or_default(options.held_out_share, _HELD_OUT_SHARE), options.seed)
        parts = {options.output: kept, options.held_out: held_out}
    quality = _or_default(options.jpeg_quality, _JPEG_QUALITY)
    with ExitStack() as outputs:
        for path, part in parts.items():
            contents = _as_files(part) if options.size is None else _as_jpeg(part, options.size, quality)
            _write(outputs.enter_context(replacing(path)), contents, part)
    for path, part in parts.items():
        sys.stdout.write(f"{path}: {len(part.labels)} images of {len(part.classes)} classes\n")
    return 0


def _check(options: Namespace) -> None:
    outputs = [path for path in (options.output, options.held_out) if path is not None]
    for path in outputs:
        if path.suffix != SUFFIX:
            raise InputError(f"{path} is no {SUFFIX} file")
    if len({path.resolve() for path in (Path(options.data), *outputs)}) <= len(outputs):
        raise InputError("what is read, written and held out must be different files")
    if options.held_out is None and options.held_out_share is not None:
        raise InputError("--held-out-share is for --held-out FILE")
    if options.size is None and options.jpeg_quality is not None:
        raise InputError("--jpeg-quality is for --size N: without it files stay as they are")
    if options.size is not None and options.size > _MOST_PIXELS:
        raise InputError(f"--size must be at most {_MOST_PIXELS}, got {options.size}")
    if options.jpeg_quality is not None and not 1 <= options.jpeg_quality <= BEST_JPEG:
        raise InputError(f"--jpeg-quality must be from 1 to {BEST_JPEG}, got {options.jpeg_quality}")


def _or_default(given: Any, default: Any) -> Any:
    return default if given is None else given


def _as_files(images: DataSet) -> list[bytes]:
    """Return the images as they are, each of which can be read."""
    for _ in _crops(images, 1):  # what cannot is told here by its name, which a packed file does not keep
        pass
    return [image.read_bytes() if isinstance(image, Path) else image for image in images.images]


def _as_jpeg(images: DataSet, size: int, quality: int) -> list[bytes]:
    """Return the centred square of each image, at this many pixels a side, encoded anew."""
    return [_jpeg(crop, quality) for crop in _crops(images, size)]


def _crops(images: DataSet, size: int) -> Iterator[NDArray[np.uint8]]:
    crops = images.crops(size, 1.0)
    return iter(tqdm(crops, f"reading {images.name}", len(images.labels), unit="image", disable=None))


def _jpeg(pixels: NDArray[np.uint8], quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def _write(path: Path, contents: Sequence[bytes], images: DataSet) -> None:
    """Write what `imaging.labelled_images` reads."""
    with path.open("wb") as file:
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
    add("--jpeg-quality", type=int, help=f"... of this quality (with --size: {_JPEG_QUALITY})")
    add("--held-out", type=Path, metavar="FILE", help="put some images of each class here instead")
    add("--held-out-share", type=float, help=f"... this share of them (with --held-out: {_HELD_OUT_SHARE})")
    add("--seed", type=seed, default=0, help="decides which")
    return parser


if __name__ == "__main__":
    sys.exit(main())
