"""Real servers for the tests, as their users start them: by a command, in a process of their own, on free ports."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.samples import Sample

COORDSERVE = (sys.executable, "-m", "server")
TRITON = (sys.executable, "-m", "deploy.triton", "--http-port", "0")

# Bounds for what hangs, no measures: imports alone take long on a busy machine.
PATIENCE_SECONDS = 60.0
# The first start unpacks Triton's wheel, and each of its models starts a Python that imports torch.
TRITON_START_SECONDS = 240.0
_ROOT = Path(__file__).parents[1]
_LISTENING = re.compile(r"listening: gRPC on ([^\s,]+),.* metrics on http://([^\s/]+)/metrics")
# The last line that each server writes while it starts: every model has been tried.
_LOADED = re.compile(r"ready: serving |Started Metrics Service", re.IGNORECASE)


class Samples:
    """One scrape of /metrics; names are without `_total`, which the parser adds to every counter."""

    def __init__(self, page: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels; a name that is missing is an error."""
        return sum(sample.value for sample in self._named(name) if labels.items() <= sample.labels.items())

    def by_labels(self, name: str, *keys: str) -> dict[tuple[str, ...], float]:
        """The sums of the samples of this name, by the values of the labels `keys`."""
        sums: dict[tuple[str, ...], float] = {}
        for sample in self._named(name):
            group = tuple(sample.labels[key] for key in keys)
            sums[group] = sums.get(group, 0.0) + sample.value
        return sums

    def _named(self, name: str) -> list[Sample]:
        samples = [sample for sample in self._samples if sample.name.removesuffix("_total") == name]
        assert samples, f"no {name} on the page"
        return samples


class ServerProcess:
    """A server that was started; what it writes is read all the time, line by line."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COORDSERVE_")}
        self._process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=inherited | {"COORDSERVE_LOG_FORMAT": "text"} | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return "\n".join(self.lines)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait_for(self, pattern: str | re.Pattern[str], seconds: float = PATIENCE_SECONDS) -> re.Match[str]:
        """Wait until a line of the log has `pattern`; that the process ends without one is an error."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(pattern) or self._ended, seconds)
            match = self._find(pattern)
        assert match, f"the server never wrote {pattern!r}:\n{self.log}"
        return match

    def _find(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)

    @property
    def grpc_address(self) -> str:
        """HOST:PORT of gRPC, once the server listens."""
        return self.wait_for(_LISTENING)[1]

    @property
    def http_address(self) -> str:
        """HOST:PORT of /metrics, once the server listens."""
        return self.wait_for(_LISTENING)[2]

    def wait_loaded(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until every model has been tried."""
        self.wait_for(_LOADED, seconds)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the metrics port."""
        connection = http.client.HTTPConnection(self.http_address, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()

    def metrics(self) -> Samples:
        """Scrape /metrics."""
        status, page = self.get("/metrics")
        assert status == 200
        return Samples(page)

    def metrics_when(self, holds: Callable[[Samples], bool], seconds: float = PATIENCE_SECONDS) -> Samples:
        """Scrape /metrics until it says what must become true."""
        end = time.monotonic() + seconds
        while not holds(samples := self.metrics()):
            assert time.monotonic() < end, "it never became true"
            time.sleep(0.01)
        return samples

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait_exit(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end; returns the exit status."""
        status = self._process.wait(seconds)
        self._reader.join()
        return status

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait_exit()
        assert self._process.stdout
        self._process.stdout.close()


@contextlib.contextmanager
def started(
    repository: Path,
    *options: str,
    command: Sequence[str] = COORDSERVE,
    environment: dict[str, str] | None = None,
    loaded: bool = True,
) -> Iterator[ServerProcess]:
    """A server of `repository` on free ports, which is always ended; `loaded` waits until it has tried every model."""
    ports = ("--grpc-port", "0", "--metrics-port", "0")
    process = ServerProcess([*command, "--model-repository", str(repository), *ports, *options], environment)
    with contextlib.closing(process):
        if loaded:
            process.wait_loaded()
        yield process
