"""What the process and the machine have used of processors and memory."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class HostReading:
    """Processor seconds are since the start; `machine_seconds` of all cores together, `busy_seconds` those at work."""

    process_seconds: float
    busy_seconds: float
    machine_seconds: float
    resident_bytes: int
    machine_used_bytes: int


class Host:
    """Reads this process and its machine; a reading costs some system calls."""

    def __init__(self) -> None:
        self._process = psutil.Process()

    def about(self) -> dict[str, int]:
        """What the machine has."""
        return {"machine_cores": psutil.cpu_count() or 1, "machine_memory": psutil.virtual_memory().total}

    def read(self) -> HostReading:
        """What has been used so far, and what is in use now."""
        own, machine, memory = self._process.cpu_times(), psutil.cpu_times(), psutil.virtual_memory()
        # Linux counts the time of guests among `user`, too.
        total = sum(machine) - getattr(machine, "guest", 0.0) - getattr(machine, "guest_nice", 0.0)
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        return HostReading(
            process_seconds=own.user + own.system,
            busy_seconds=total - idle,
            machine_seconds=total,
            resident_bytes=self._process.memory_info().rss,
            machine_used_bytes=memory.total - memory.available,
        )
