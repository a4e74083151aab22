"""A host on loopback that says what it is told, byte for byte, and remembers what it was asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Host:
    """What it was asked; `names` are those that TLS asked for."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def hosting(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Host]:
    """It answers every connection so, and closes it."""
    host = Host()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin1"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: host.names.append(name)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    async with server:
        yield host
