"""Where in a config.pbtxt each field stands.

protobuf's parser for Python tells the line of an error and keeps no other. So a file that has been parsed is walked
once more with protobuf's own tokenizer, which is possible without knowing more of the grammar than its brackets.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import text_format

_QUOTED = re.compile(r'"([^"]+)"')
_WORD = re.compile(r"[A-Za-z_]\w*")
_INDEX = re.compile(r"\[[0-9]+\]")


class Source:
    """The lines, counted from 1, of a file's fields and string values."""

    def __init__(self, text: str, descriptor: Any) -> None:
        """Walk `text`, which holds one message of the kind `descriptor`; if it cannot be parsed, as far as possible."""
        self._fields: dict[str, int] = {}
        self._values: dict[str, int] = {}
        tokens = text_format.Tokenizer(text.split("\n"))
        try:
            self._walk(tokens, descriptor, "", "")
        except (text_format.ParseError, KeyError):
            return

    def line(self, path: str) -> int:
        """The line of the first field at `path`, such as `input[1].dims` or, of any input, `input.dims`.

        Where it is not set, the line of what it would stand in; at last the first line.
        """
        while path:
            if path in self._fields:
                return self._fields[path]
            path = path.rpartition(".")[0]
        return 1

    def line_of_value(self, value: str, default: int = 1) -> int:
        """The line of the first string that is `value`."""
        return self._values.get(value, default)

    def line_of_message(self, message: str) -> int:
        """The line of the value, else of the field, which an error's text names; at last the first line."""
        values = [*_QUOTED.findall(message), *_WORD.findall(message)]
        if line := next((self._values[value] for value in values if value in self._values), 0):
            return line
        named = {
            name: re.search(rf"\b{name.replace('_', '[_ ]')}s?\b", message) for name in self._fields if "." not in name
        }
        places = {match.start(): self._fields[name] for name, match in named.items() if match and "[" not in name}
        return places[min(places)] if places else 1

    def _walk(self, tokens: Any, descriptor: Any, prefix: str, end: str) -> None:
        counts: dict[str, int] = {}
        while not (tokens.AtEnd() or tokens.TryConsume(end)):
            field = descriptor.fields_by_name[tokens.ConsumeIdentifier()]
            line = tokens.ParseErrorPreviousToken("").GetLine()
            tokens.TryConsume(":")
            closing = "]" if tokens.TryConsume("[") else ""
            while not (closing and tokens.TryConsume(closing)):
                index = counts[field.name] = counts.get(field.name, -1) + 1
                path = prefix + field.name + (f"[{index}]" if field.is_repeated and field.message_type else "")
                self._note(self._fields, path, line)
                self._value(tokens, field, path)
                if not closing:
                    break
                if tokens.TryConsume(","):
                    line = tokens.ParseError("").GetLine()
            tokens.TryConsume(",") or tokens.TryConsume(";")

    def _value(self, tokens: Any, field: Any, path: str) -> None:
        line = tokens.ParseError("").GetLine()
        if field.message_type is not None:
            end = "}" if tokens.TryConsume("{") else ">"
            if end == ">":
                tokens.Consume("<")
            self._walk(tokens, field.message_type, path + ".", end)
        elif field.cpp_type == field.CPPTYPE_STRING:
            self._values.setdefault(tokens.ConsumeByteString().decode(errors="replace"), line)
        else:
            tokens.NextToken()

    @staticmethod
    def _note(lines: dict[str, int], path: str, line: int) -> None:
        lines.setdefault(path, line)
        lines.setdefault(_INDEX.sub("", path), line)
