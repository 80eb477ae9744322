"""The report that a result directory comes with: one page that needs nothing else, and the same as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest import results
from loadtest.report import result_page

if TYPE_CHECKING:
    from pathlib import Path

REPORT = "report.html"


def write_report(directory: Path) -> Path:
    """Write report.html and report.md beside the results in `directory`; gives the page's path.

    Raises:
        OSError: A file of the results is not there.
        ValueError: It is not what `results.write` wrote.
    """
    found = results.read(directory)
    (directory / "report.md").write_text(result_page.markdown(found), encoding="utf-8")
    path = directory / REPORT
    path.write_text(result_page.html(found), encoding="utf-8")
    return path
