"""What a check finds: one line each, as linters write it."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


# A path of a field in config.pbtxt, such as `input[0].dims`, and what is wrong there.
Fault = tuple[str, str]


class Severity(enum.StrEnum):
    """An error keeps a model from being served; a warning tells of what is ignored or may surprise."""

    ERROR = "error"
    WARNING = "warning"


class Servers(enum.StrEnum):
    """Whom a finding concerns."""

    TRITON = "triton"
    COORDSERVE = "coordserve"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd; `line` counts from 1."""

    file: Path
    line: int
    severity: Severity
    servers: Servers
    message: str

    def __str__(self) -> str:
        """FILE:LINE: SEVERITY: [SERVERS] MESSAGE."""
        return f"{self.file}:{self.line}: {self.severity}: [{self.servers}] {self.message}"

    def to_json(self) -> dict[str, object]:
        """The same as a JSON object."""
        return asdict(self) | {"file": str(self.file)}


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """In the order of files and lines; what is wrong at one place for either server is one finding for both."""
    places: dict[tuple[Path, int, Severity], dict[Servers, list[str]]] = {}
    for finding in findings:
        place = places.setdefault((finding.file, finding.line, finding.severity), {})
        place.setdefault(finding.servers, []).append(finding.message)
    result = []
    for (file, line, severity), place in sorted(places.items()):
        shared = severity is Severity.ERROR and place.keys() >= {Servers.TRITON, Servers.COORDSERVE}
        messages = _one_for_both(place) if shared else place
        result += [
            Finding(file, line, severity, who, text) for who in messages for text in dict.fromkeys(messages[who])
        ]
    return result


def _one_for_both(messages: dict[Servers, list[str]]) -> dict[Servers, list[str]]:
    (ours, *_), (theirs, *more) = messages[Servers.COORDSERVE], messages[Servers.TRITON]
    text = ours if ours == theirs else f"{ours} (Triton: {theirs})"
    return {Servers.BOTH: [*messages.get(Servers.BOTH, []), text], Servers.TRITON: more}
