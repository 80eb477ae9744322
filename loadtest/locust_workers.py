"""A master's workers: what they are doing, and that each has told everything once a test has stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from loadtest.locust_activity import Activity

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.runners import MasterRunner, WorkerRunner

_STOP, _STOPPED = "coordserve_stop", "coordserve_stopped"
_POLL_SECONDS = 0.05


class Workers:
    """Those of `runner`; `receive` is given each of their reports.

    Locust tells its workers to quit and gives them half a second to report: what is under way by then, the slowest
    requests of all, would be lost. So they are asked to stop first, and answer once they have nothing more to tell.
    """

    def __init__(self, runner: MasterRunner, receive: Callable[[dict[str, Any]], None]) -> None:
        self._runner = runner
        self._receive = receive
        self._activities: dict[str, Activity] = {}
        self._finished: set[str] = set()
        runner.register_message(_STOPPED, self._stopped)

    def restart(self) -> None:
        """A test begins: what was told before does not count."""
        self._activities.clear()
        self._finished.clear()

    def report(self, client_id: str, report: dict[str, Any]) -> None:
        """Take a worker's report."""
        self._activities[client_id] = Activity(report["cpu"], report["in_flight"])
        self._receive(report)

    def activity(self) -> Activity:
        """What those that are there have reported last."""
        found = [self._activities[name] for name in self._present() & self._activities.keys()]
        return Activity(max((each.cpu for each in found), default=0.0), sum(each.in_flight for each in found))

    def stop(self, patience_seconds: float) -> set[str]:
        """Have them stop and tell all that they know; gives those that did not.

        One that is gone, or takes longer, is not waited for.
        """
        involved = self._present() | self._activities.keys()
        for name in self._present():
            self._runner.send_message(_STOP, client_id=name)
        with gevent.Timeout(patience_seconds, False):
            while (involved - self._finished) & self._present():
                gevent.sleep(_POLL_SECONDS)
        return involved - self._finished

    def _present(self) -> set[str]:
        clients = self._runner.clients
        return {client.id for client in (*clients.ready, *clients.spawning, *clients.running)}

    def _stopped(self, msg: Any, **_more: Any) -> None:
        self.report(msg.node_id, msg.data)
        self._finished.add(msg.node_id)


def obey(runner: WorkerRunner, report: Callable[[], dict[str, Any]]) -> Callable[[], None]:
    """Have a worker stop when its master asks it to; gives what is to be called whenever it has stopped."""

    def stopped() -> None:
        runner.send_message(_STOPPED, report())

    def stop(**_more: Any) -> None:
        runner.stop()
        stopped()  # once more, since it may have stopped before

    runner.register_message(_STOP, stop)
    return stopped
