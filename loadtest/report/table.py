"""A table: a head, and rows of text or numbers, for both HTML and Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadtest.report.markup import Markup, element, markdown
from loadtest.report.numbers import exact, number

_VERDICTS = ("met", "missed", "valid", "invalid")


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: What is in it.
        head: Names of the columns; the first is that of the rows.
        rows: Cells of the same number; None is a dash.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]

    def html(self) -> Markup | None:
        """The table as markup; None when it has no rows."""
        if not self.rows:
            return None
        words = [all(isinstance(cell, str) for cell in column) for column in zip(*self.rows, strict=True)]
        columns = zip(self.head, words, strict=True)
        head = element("tr", *(element("th", text, scope="col", class_=_side(word)) for text, word in columns))
        rows = [
            element("tr", element("th", _shown(row[0]), scope="row"), *map(_cell, row[1:], words[1:]))
            for row in self.rows
        ]
        table = element("table", element("thead", head), element("tbody", *rows))
        return element("section", element("h2", self.title), element("div", table, class_="wide"))

    def markdown(self) -> str:
        """The table as Markdown; empty when it has no rows."""
        if not self.rows:
            return ""
        lines = [_line(self.head), "|---" * len(self.head) + "|", *(_line(map(_shown, row)) for row in self.rows)]
        return f"## {markdown(self.title)}\n\n" + "\n".join(lines) + "\n"


def _line(cells: Any) -> str:
    return f"| {' | '.join(map(markdown, cells))} |"


def _shown(value: str | float | None) -> str:
    return value if isinstance(value, str) else number(value)


def _cell(value: str | float | None, word: bool) -> Markup:  # noqa: FBT001 - see `map` above
    if not isinstance(value, str):
        return element("td", exact(value), class_=_side(word))
    return element("td", value, class_=f"word {value.lower()}" if value.lower() in _VERDICTS else _side(word))


def _side(word: bool) -> str | None:  # noqa: FBT001 - likewise
    """Words stand on the left of their column, numbers on the right."""
    return "word" if word else None
