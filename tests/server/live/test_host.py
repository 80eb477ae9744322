from __future__ import annotations

import os

from server.live.host import Host


def test_work_shows_in_the_readings() -> None:
    """What this process works is in its own seconds and in the machine's; memory is what it holds."""
    host = Host()
    before = host.read()
    while sum(os.times()[:2]) < before.process_seconds + 0.1:
        pass
    after = host.read()
    assert after.process_seconds > before.process_seconds
    assert after.busy_seconds > before.busy_seconds
    assert after.machine_seconds - before.machine_seconds >= after.busy_seconds - before.busy_seconds
    assert 1 << 20 < after.resident_bytes < after.machine_used_bytes < host.about()["machine_memory"]
