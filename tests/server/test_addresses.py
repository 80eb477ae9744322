from __future__ import annotations

import socket

import pytest

from server.addresses import address, why_unusable


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1", "127.0.0.1:8001"),
        ("localhost", "localhost:8001"),
        ("::1", "[::1]:8001"),
        ("::", "[::]:8001"),
        ("[::1]", "[::1]:8001"),
    ],
)
def test_ipv6_is_put_into_brackets(host: str, text: str) -> None:
    """Host and port can be told apart, whatever the host is."""
    assert address(host, 8001) == text


def test_the_system_says_why_an_address_cannot_be_used() -> None:
    """A port in use, an address of another machine and a name that is none have a reason each; a free port has none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        assert why_unusable("127.0.0.1", taken) == "Address already in use"
    assert why_unusable("127.0.0.1", taken) == ""
    assert why_unusable("192.0.2.1", 0) == "Cannot assign requested address"
    assert why_unusable("no.such.host.invalid", 0) != ""
