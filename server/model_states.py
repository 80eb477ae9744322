"""What is known of each model of a repository: which versions answer, and why the others do not."""

from __future__ import annotations

import contextlib
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from server.model import ModelVersion

ENDED = "an instance of it has ended unexpectedly"
UNLOADED = "unloaded"


class State(enum.Enum):
    """A version's state, in the words of RepositoryIndex."""

    LOADING = "LOADING"
    READY = "READY"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of the repository's index; `version` is 0 when no version is known."""

    name: str
    version: int
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is to be known of a model from afar.

    `versions` tells which of its versions answer; the name of one is empty where a model failed without any. `loads`
    counts by outcome.
    """

    name: str
    versions: Mapping[str, bool]
    loads: Mapping[str, int]


@dataclass(slots=True)
class ModelRecord:
    """What is known of one name.

    `loaded` is in service, `states` tells of every version that was ever tried; `error` is why the last load failed,
    empty once one succeeds or the model is unloaded. `is_loading` while a load runs, or waits for its turn.
    """

    loaded: dict[int, ModelVersion] = field(default_factory=dict)
    states: dict[int, tuple[State, str]] = field(default_factory=dict)
    error: str = ""
    is_loading: bool = False
    loads: dict[str, int] = field(default_factory=lambda: {"ok": 0, "failed": 0})

    @property
    def is_told_of(self) -> bool:
        """Whether there is something to tell, even if the directory has no such model."""
        return bool(self.states or self.error)

    def lacks(self) -> dict[int, str]:
        """Why versions that are loaded do not answer: ensembles that miss a step, or whose steps fit no more."""
        found = {number: version.lack for number, version in self.loaded.items()}
        return {number: lack for number, lack in found.items() if lack}

    @property
    def complete(self) -> dict[int, ModelVersion]:
        """The versions that are loaded and lack nothing."""
        lacks = self.lacks()
        return {number: version for number, version in self.loaded.items() if number not in lacks}

    def current_states(self) -> dict[int, tuple[State, str]]:
        """The states, with those of versions that have ended, or lost what they need, since they were loaded."""
        ended = (number for number, version in self.loaded.items() if not version.batcher.alive)
        states = dict(self.states) | dict.fromkeys(ended, (State.UNAVAILABLE, ENDED))
        return states | {number: (State.UNAVAILABLE, lack) for number, lack in self.lacks().items()}

    @property
    def is_wanted(self) -> bool:
        """Whether something of it answers or should: neither what was unloaded nor what is gone is missed."""
        return bool(self.loaded or self.error or self.is_loading)

    def answers(self) -> dict[str, bool]:
        """Whether each version answers that should; where none is known, none does."""
        states = {str(number): state for number, (state, _) in sorted(self.current_states().items())}
        return {number: state is State.READY for number, state in states.items()} or {"": False}

    def replace(self, versions: Sequence[ModelVersion]) -> list[ModelVersion]:
        """Let `versions` answer from now on; returns those that did so far.

        As with Triton a version that is loaded again goes on counting where it was.
        """
        replaced = list(self.loaded.values())
        self.loads["ok"] += 1
        for version in versions:
            if before := self.loaded.get(version.version):
                version.go_on_counting(before.statistics)
        self.loaded = {version.version: version for version in versions}
        self.states = dict.fromkeys(self.loaded, (State.READY, ""))
        self.error = ""
        return replaced

    def withdraw(self) -> list[ModelVersion]:
        """Let nothing answer any more; returns what did."""
        withdrawn, self.loaded, self.error = self.loaded, {}, ""
        self.states = dict.fromkeys(withdrawn, (State.UNAVAILABLE, UNLOADED))
        return list(withdrawn.values())

    def forget(self) -> None:
        """Tell nothing any more of what does not answer."""
        self.states, self.error = dict.fromkeys(self.loaded, (State.READY, "")), ""

    def fail(self, text: str, available: Iterable[int], *, tried: bool) -> None:
        """Note why the last load failed; `tried` versions have been told of already, else it is the latest's state."""
        self.error = text
        self.loads["failed"] += 1
        if not tried and not self.loaded:
            numbers = {*self.states, *sorted(available)[-1:]}
            self.states = dict.fromkeys(sorted(numbers), (State.UNAVAILABLE, text))

    @contextlib.contextmanager
    def loading(self, number: int) -> Iterator[None]:
        """Tell that a version is loading, or why it did not load; not of one that serves meanwhile."""
        if number not in self.loaded:
            self.states[number] = (State.LOADING, "")
        try:
            yield
        except Exception as error:
            for tried, (state, _) in list(self.states.items()):
                if state is State.LOADING:  # this one, and those before it, which do not serve without it
                    reason = str(error) if tried == number else f"version {number} did not load"
                    self.states[tried] = (State.UNAVAILABLE, reason)
            raise
