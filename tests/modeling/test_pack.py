"""The packing command: from labelled images to one file of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from modeling.pack import main
from modeling.sources import read_images

if TYPE_CHECKING:
    from pathlib import Path


def test_files_stay_as_they_are(coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a size the packed file has the very bytes, labels and classes of the folder."""
    output = tmp_path / "packed.npz"
    assert main([str(coloured_folder), str(output)]) == 0
    folder, packed = read_images(coloured_folder), read_images(output)
    assert packed.images == [path.read_bytes() for path in sorted(coloured_folder.glob("*/*"))]
    assert (packed.labels, packed.classes) == (folder.labels, folder.classes)
    assert capsys.readouterr().out == f"{output}: 36 images of 3 classes\n"


def test_stored_as_jpeg(packed_file: Path, tmp_path: Path) -> None:
    """With a size each image is a JPEG of so many pixels a side, its colours at half the resolution."""
    output = tmp_path / "jpeg.npz"
    assert main([str(packed_file), str(output), "--size", "10", "--jpeg-quality", "60"]) == 0
    before, after = (read_images(path).decode(10, 1.0)[0].float() for path in (packed_file, output))
    for content in read_images(output).images:
        assert isinstance(content, bytes)
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.size) == ("JPEG", (10, 10))
            layers = image.layer  # type: ignore[attr-defined]  # which only a JPEG has
            assert [layer[1:3] for layer in layers] == [(2, 2), (1, 1), (1, 1)]
    assert (after - before).abs().mean() < np.ptp(before.numpy()) / 10


def test_held_out(coloured_folder: Path, tmp_path: Path) -> None:
    """Held-out images are in their own file, the same share of each class, and no image is lost or there twice."""
    kept, held_out = tmp_path / "kept.npz", tmp_path / "held_out.npz"
    assert main([str(coloured_folder), str(kept), "--held-out", str(held_out), "--held-out-share", "0.25"]) == 0
    parts = [read_images(path) for path in (kept, held_out)]
    assert [np.bincount(part.labels).tolist() for part in parts] == [[9, 9, 9], [3, 3, 3]]
    both = [image for part in parts for image in part.images]
    assert sorted(both) == sorted(path.read_bytes() for path in coloured_folder.glob("*/*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["packed.jpg"], "packed.jpg is no .npz file"),
        (["packed.npz", "--held-out", "rest"], "rest is no .npz file"),
        (["packed.npz", "--held-out", "./packed.npz"], "what is read, written and held out must be different files"),
        (["packed.npz", "--held-out", "x/../packed.npz"], "what is read, written and held out must be different files"),
        (["packed.npz", "--held-out-share", "0.2"], "--held-out-share is for --held-out FILE"),
        (["packed.npz", "--jpeg-quality", "50"], "--jpeg-quality is for --size N: without it files stay as they are"),
        (["packed.npz", "--size", "2049"], "--size must be at most 2048, got 2049"),
        (["packed.npz", "--size", "8", "--jpeg-quality", "96"], "--jpeg-quality must be from 1 to 95, got 96"),
        (["packed.npz", "--held-out", "rest.npz", "--held-out-share", "1"], "the share to hold out must be above 0"),
    ],
)
def test_bad_options(
    arguments: list[str],
    message: str,
    coloured_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be done is one line, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert main([str(coloured_folder), *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"python -m modeling.pack: {message}")
    assert not list(tmp_path.iterdir())


def test_its_own_input(packed_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The images that are read are not written over."""
    before = packed_file.read_bytes()
    assert main([str(packed_file), str(packed_file.parent / "." / packed_file.name), "--size", "8"]) == 2
    assert "must be different files" in capsys.readouterr().err
    assert packed_file.read_bytes() == before


def test_both_files_or_none(coloured_folder: Path, tmp_path: Path) -> None:
    """Where held-out images cannot be written, the others are not either."""
    (tmp_path / "file").touch()
    kept, held_out = tmp_path / "kept.npz", tmp_path / "file" / "held_out.npz"
    assert main([str(coloured_folder), str(kept), "--held-out", str(held_out)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("size", [[], ["--size", "8"]])
def test_broken_image(
    coloured_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], size: list[str]
) -> None:
    """An image that cannot be read is named, and nothing is written."""
    folder, output = tmp_path / "images", tmp_path / "packed.npz"
    for name in ("blue", "red"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes((coloured_folder / name / "0.png").read_bytes())
    broken = folder / "red" / "1.png"
    broken.write_bytes(broken.with_name("0.png").read_bytes()[:60])
    assert main([str(folder), str(output), *size]) == 2
    assert str(broken) in capsys.readouterr().err
    assert not output.exists()
