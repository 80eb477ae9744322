"""The frame of a page: what every report has, and nothing that has to be fetched from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from loadtest.report.markup import Markup, element, join

if TYPE_CHECKING:
    from loadtest.report.sentence import Statement


def page(title: str, *sections: Markup | None) -> str:
    """A page in HTML that is well-formed XML, too."""
    style = files("loadtest.report").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(style)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', *sections)), lang='en')}\n"


def top(statement: Statement, verdict: str, subtitle: str) -> Markup:
    """The verdict, before anything else."""
    details = [element("li", detail) for detail in statement.details]
    return element(
        "header",
        element("p", element("span", statement.word, class_="chip"), " ", subtitle, class_="what"),
        element("h1", statement.sentence + "."),
        element("ul", *details) if details else None,
        class_=f"verdict {verdict}",
    )


def charts(*figures: Markup | None) -> Markup:
    """Charts side by side, where there is room."""
    return element("section", join(*figures), class_="charts")
