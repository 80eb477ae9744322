"""How the command line reaches a server that speaks TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from imaging.errors import InputError

if TYPE_CHECKING:
    import argparse


def credentials(options: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """Returns what `--tls` and `--ca` say, or None for a connection without encryption.

    Raises:
        InputError: The file of `--ca` cannot be read.
    """
    if options.ca is not None:
        try:
            return grpc.ssl_channel_credentials(options.ca.read_bytes())
        except OSError as error:
            raise InputError(f"cannot read {options.ca}: {error.strerror}") from None
    return grpc.ssl_channel_credentials() if options.tls else None
