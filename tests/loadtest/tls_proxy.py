"""A proxy that speaks TLS with those who call and passes on what they say without it, as many stand before servers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tests.serving import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trustme

_BYTES = 1 << 16


@contextlib.contextmanager
def tls_proxy(url: str, certificate: trustme.LeafCert) -> Iterator[str]:
    """Stand before the server at `url`, as long as this lasts; gives the proxy's address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])  # gRPC speaks with no server that does not name it
    certificate.configure_cert(context)
    host, port = url.split(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    listening: Future[tuple[asyncio.AbstractEventLoop, int]] = Future()
    over = asyncio.Event()

    async def stand() -> None:
        async with await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context) as server:
            listening.set_result((asyncio.get_running_loop(), server.sockets[0].getsockname()[1]))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(stand(),), daemon=True)
    thread.start()
    loop, own_port = listening.result(PATIENCE_SECONDS)
    try:
        yield f"127.0.0.1:{own_port}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):  # either side may go away
        while content := await reader.read(_BYTES):
            writer.write(content)
            await writer.drain()
