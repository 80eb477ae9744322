"""What the README shows can be copied, run and understood."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from modeling.export import main as export
from tests.serving import PATIENCE_SECONDS, ServerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("modeling/**/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LABELS = r"(?:airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck)"
# What a program writes, by something that only that program has.
PRINTED = {
    "classify_many": rf"{LABELS}\nClassification\(.*\nImageFailure\(.*b\.png.*\n",
    "INPUT__0": rf"\[\[(?:b'[\d.]+:\d:{LABELS}'\s*)+\]\]\n",
    "IMAGE": rf"(?s)\[\[(?:b'[\d.]+:\d:{LABELS}'\s*)+\]\s*\[.*\]\]\n",
}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., AbstractContextManager[ServerProcess]]
) -> Iterator[ServerProcess]:
    """A server of what `make export` writes."""
    repository = tmp_path_factory.mktemp("repository")
    assert export(["--model-repository", str(repository)]) == 0
    with start_server(repository) as server:
        yield server


@pytest.mark.parametrize(("own", "printed"), PRINTED.items(), ids=PRINTED)
def test_programs(server: ServerProcess, tmp_path: Path, own: str, printed: str) -> None:
    """Each program in Python runs as it stands, with pictures of these names and the server at its own address."""
    for name in ("photo.jpg", "a.jpg", "cat.jpg", "dog.png"):
        Image.new("RGB", (60, 40), (90, 120, 200)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"no picture")
    [program] = (each for each in PROGRAMS if f'"{own}"' in each or f".{own}(" in each)

    ended = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:8001", server.grpc_address)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert re.fullmatch(printed, ended.stdout), ended.stdout


def test_every_program_is_run() -> None:
    """A program that is added to the README finds itself among those that are run, or fails here."""
    assert len(PROGRAMS) == len(PRINTED)


def anchors(page: Path) -> set[str]:
    """What links can point to within a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project finds it, and the heading that it names."""
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
