"""Where a server is, and how it is spoken to."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # After an outage the server is what is measured, and not how long gRPC waits before it tries again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_LOAD_OPTIONS = (*_OPTIONS, ("grpc.lb_policy_name", "round_robin"))


@dataclass(frozen=True, slots=True)
class Address:
    """A server's, or that of several: a name such as dns:///coordserve:8001 may stand for them.

    Attributes:
        url: HOST:PORT of its gRPC port.
        authorities: Certificates in PEM that vouch for it, where it speaks TLS; empty for those that gRPC knows, None
            for a connection without encryption.
    """

    url: str
    authorities: bytes | None = None

    def channel(self) -> grpc.Channel:
        """Connect to one server: what asks for its statistics, and asks again later, stays with it."""
        return self._channel(_OPTIONS)

    def load_channel(self) -> grpc.Channel:
        """Connect to every server, which take turns."""
        return self._channel(_LOAD_OPTIONS)

    def async_load_channel(self) -> grpc.aio.Channel:
        """Do the same for asyncio."""
        if self.authorities is None:
            return grpc.aio.insecure_channel(self.url, _LOAD_OPTIONS)
        return grpc.aio.secure_channel(self.url, self._credentials(), _LOAD_OPTIONS)

    def _channel(self, options: tuple[tuple[str, int | str], ...]) -> grpc.Channel:
        if self.authorities is None:
            return grpc.insecure_channel(self.url, options)
        return grpc.secure_channel(self.url, self._credentials(), options)

    def _credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(self.authorities or None)
