"""Take a picture of the top of a report: `python docs/report_picture.py RESULT docs/report.png`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

_WIDTH, _HEIGHT = 1100, 765
_COLOURS = 128  # enough for a page of text and lines, and small


def main() -> None:
    """Show the page in Chromium and keep what is seen first."""
    result, target = Path(sys.argv[1]), Path(sys.argv[2])
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("this takes Chromium")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    page = (result / "report.html").resolve().as_uri()
    command = [browser, *options, f"--window-size={_WIDTH},{_HEIGHT}", f"--screenshot={target.resolve()}", page]
    subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 - found above
    with Image.open(target) as picture:
        small = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


if __name__ == "__main__":
    main()
