"""Addresses to listen on, as people write them and as the system sees them."""

from __future__ import annotations

import socket


def address(host: str, port: int) -> str:
    """HOST:PORT, with brackets around an IPv6 address, where the colons of both could not be told apart."""
    bare = ":" in host and not host.startswith("[")
    return f"[{host}]:{port}" if bare else f"{host}:{port}"


def why_unusable(host: str, port: int) -> str:
    """What the system says against listening on TCP `port` of `host`; empty where it has nothing against it."""
    try:
        for family, kind, protocol, _, target in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not count
                probe.bind(target)
                probe.listen()
    except OSError as error:
        return error.strerror or str(error)
    return ""
