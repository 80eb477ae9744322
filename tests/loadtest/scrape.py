"""The load generator's metrics, as Prometheus gets them."""

from __future__ import annotations

import time
import urllib.request

from tests.serving import Samples


def wait_for_metric(address: str, name: str, least: float) -> None:
    """Scrape until a metric has grown to `least`."""
    end = time.monotonic() + 60
    value = 0.0
    while value < least:
        assert time.monotonic() < end, f"{name} is {value}"
        with urllib.request.urlopen(address, timeout=10) as page:  # noqa: S310 - the address of our own process
            text = page.read().decode()
        value = Samples(text).total(name) if name in text else 0.0
        time.sleep(0.05)
