"""Take the pictures of the live page: `python docs/screenshots.py`; needs Chromium.

Serves `model_repository/`, offers a load that rises, and writes docs/live-page.png (wide, light) and
docs/live-page-phone.png (a phone, dark).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import skimage
from PIL import Image
from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1]))  # a script's own directory is all that Python looks in

from tests.browser import chromium
from tests.serving import started

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

_DOCS = Path(__file__).parent
_ROOT = _DOCS.parent
_PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
# Requests a second, and for how long: enough for the charts to have a shape.
_LOADS = ((6, "40s"), (14, "50s"), (10, "300s"))
_WIDE: ViewportSize = {"width": 1440, "height": 1120}
_PHONE: ViewportSize = {"width": 375, "height": 812}
_COLOURS = 256
_SETTLING_SECONDS = 30
_PATIENCE_MS = 60_000


def main() -> None:
    """Start everything, and take the pictures while the last load runs."""
    with (
        tempfile.TemporaryDirectory() as directory,
        started(_ROOT / "model_repository") as server,
        chromium() as browser,
    ):
        images = _small_photographs(Path(directory))
        for rate, duration in _LOADS[:-1]:
            _offer(server.grpc_address, images, rate, duration).wait()
        with _offer(server.grpc_address, images, *_LOADS[-1]) as last:
            wide = _open(browser, server.http_address, _WIDE, "light")
            phone = _open(browser, server.http_address, _PHONE, "dark")
            time.sleep(_SETTLING_SECONDS)  # opening windows disturbs the server on a small machine
            _save(wide, "live-page.png")
            _save(phone, "live-page-phone.png")
            last.terminate()


def _small_photographs(directory: Path) -> Path:
    """A few photographs in a size that people send."""
    for name in ("chelsea", "coffee", "astronaut"):
        with Image.open(_PHOTOGRAPHS / f"{name}.png") as image:
            image.convert("RGB").resize((256, 256)).save(directory / f"{name}.jpg")
    return directory


def _offer(address: str, images: Path, rate: int, duration: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "loadtest", "run", "poisson", "--url", address, "--images", str(images)]
    options = ["--rate", str(rate), "--duration", duration, "--output", str(images / f"load-{rate}")]
    return subprocess.Popen([*command, *options], cwd=_ROOT, stdout=subprocess.DEVNULL)  # noqa: S603 - our own


def _open(browser: Browser, address: str, size: ViewportSize, scheme: Literal["light", "dark"]) -> Page:
    """The page in a window of this size."""
    page = browser.new_page(viewport=size, color_scheme=scheme, device_scale_factor=1.25)
    page.goto(f"http://{address}/")
    expect(page.locator("#slowest .breakdown").first).to_be_visible(timeout=_PATIENCE_MS)
    return page


def _save(page: Page, name: str) -> None:
    """A picture of few colours, as those in a repository stay for ever."""
    path = _DOCS / name
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
