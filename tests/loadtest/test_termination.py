from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from loadtest import server_process
from loadtest.server_process import listening
from loadtest.termination import exit_on_sigterm, held_back

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator


@pytest.fixture
def _sigterm_exits() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    exit_on_sigterm()
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_sigterm_exits")
def test_a_server_ends_though_sigterm_came_while_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that nobody holds yet is not forgotten."""
    start = server_process._start
    started: list[subprocess.Popen[str]] = []

    def interrupted(command: tuple[str, ...]) -> subprocess.Popen[str]:
        started.append(start(command))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    monkeypatch.setattr(server_process, "_start", interrupted)
    with pytest.raises(SystemExit) as ended, listening("loadtest.null_server"):
        pass

    assert ended.value.code == 128 + signal.SIGTERM
    assert started[0].returncode is not None


@pytest.mark.usefixtures("_sigterm_exits")
def test_the_second_sigterm_breaks_no_end_off() -> None:
    """timeout(1) signals its child, and then the group that the child is in."""
    ended = False

    def end() -> None:
        nonlocal ended
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            ended = True

    with pytest.raises(SystemExit):
        end()
    assert ended


def test_what_is_held_back_comes_at_the_end() -> None:
    """Ctrl-C is not lost, and the handlers are those of before."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    whole = False

    def work() -> None:
        nonlocal whole
        with held_back():
            signal.raise_signal(signal.SIGINT)
            whole = True

    with pytest.raises(KeyboardInterrupt):
        work()
    assert whole
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
