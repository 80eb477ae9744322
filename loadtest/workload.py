"""What is sent: serialised requests in a fixed order, and what a right server answers to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.answers import Answer


@dataclass(frozen=True, slots=True)
class Message:
    """A request, ready to be sent.

    Attributes:
        body: The serialised message.
        method: The gRPC method's path.
        kind: What reports call its kind: empty where there is only one.
        images: How many are in it.
        expected: The gRPC code of a right answer; another one than OK for bad input.
        answer: What the server answered at rest, if answers are to be compared with it.
    """

    body: bytes
    method: str
    kind: str = ""
    images: int = 1
    expected: str = "OK"
    answer: tuple[Answer, ...] | None = None

    @property
    def good(self) -> bool:
        """Whether a right server answers it."""
        return self.expected == "OK"


@dataclass(frozen=True, slots=True)
class Workload:
    """Messages that take turns: request number n of a run sends message n modulo their number.

    Attributes:
        messages: At least one; shuffled already where there are several kinds.
    """

    messages: tuple[Message, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The name of each message's kind."""
        return tuple(message.kind for message in self.messages)
