"""HTML and SVG from nested calls: text is escaped where it is put in, so that no name can break a page."""

from __future__ import annotations

import re
from html import escape

_VOID = ("br", "link", "meta")


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """An element; children that are no `Markup` are escaped, None is left out.

    Args:
        name: Of the element.
        children: In their order.
        attributes: `class_` and `font_size` stand for class and font-size; one that is None is left out.
    """
    inner = join(*children)
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{inner}</{name}>")


def join(*children: str | None) -> Markup:
    """Children one after another."""
    return Markup("".join(each if isinstance(each, Markup) else escape(each) for each in children if each is not None))


def markdown(text: str) -> str:
    """Text as Markdown shows it as it is, also in the cell of a table."""
    return " ".join(re.sub(r"([\\`*_|#])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").split())


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
