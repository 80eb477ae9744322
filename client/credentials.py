"""How the command line reaches a server that speaks TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from imaging.errors import InputError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def credentials(options: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """Returns what `--tls` and `--ca` say, or None for a connection without encryption.

    Raises:
        InputError: The file of `--ca` cannot be read, or holds no certificate.
    """
    if options.ca is not None:
        return grpc.ssl_channel_credentials(read_certificates(options.ca))
    return grpc.ssl_channel_credentials() if options.tls else None


def read_certificates(path: Path) -> bytes:
    """Returns what a file says of who vouches for servers.

    Raises:
        InputError: It cannot be read, or holds no certificate.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise InputError(f"{path} holds no certificate in PEM")
    return pem
