"""What Locust loads: `locust -f loadtest/locustfile.py --host 127.0.0.1:8001 --users 40 --spawn-rate 40`.

Each user is an independent Poisson source of `--rate-per-user` requests a second that never waits for an answer: 40
users of one request a second offer 40 requests a second, however slow the server is, where Locust's own users would
offer a slow server less. With Locust's own `--spawn-rate`, one user a second, the rate rises for 40 seconds, and they
count. `--objective 100ms` decides on the exit code; add `loadtest/locust_shapes.py` to -f for rates that change
(`--load-profile`).
"""

from __future__ import annotations

from locust import events

from loadtest.locust_arguments import add_arguments
from loadtest.locust_load import OpenLoopUser
from loadtest.locust_test import install

__all__ = ["OpenLoopUser"]

events.init_command_line_parser.add_listener(add_arguments)
# Not before Locust has forked its workers (--processes): gRPC must not have begun to work by then.
events.init.add_listener(install)
