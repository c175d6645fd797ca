"""An upstream of a soak: it answers, takes bodies, streams without end, and fails in the ways that upstreams fail."""

import asyncio
import random
from contextlib import suppress
from typing import Final

from tests.websockets.opening import frame, switching

_SAID: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
BIG: Final = 300_000
EVENT: Final = b"data: from behind\n\n"
THINKS: Final = 0.8
"""Seconds: longer than a gateway leaves an exchange untied."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection of the gateway."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while await _answer(reader, writer):
            pass
    writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    path = head.split(b" ")[1].rpartition(b"/")[2]
    size = await _body(reader, head)
    match path:
        case b"close":
            return False
        case b"cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of it")
            await writer.drain()
            return False
        case b"nonsense":
            writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
            return False
        case b"big":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + b"x" * BIG)
        case b"feed":
            await _stream(reader, writer)
            return False
        case b"slow":
            await asyncio.sleep(THINKS)
            writer.write(_SAID)
        case b"socket":
            await _speak(reader, writer)
            return False
        case b"size":
            text = b"%d" % size
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        case _:
            writer.write(_SAID)
    await writer.drain()
    return True


async def _stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)


async def _speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(random.choice((0, THINKS)))  # noqa: S311 - chance
    writer.write(switching())
    while piece := await reader.read(1000):
        writer.write(frame(b"heard %d bytes" % len(piece)))
        await writer.drain()


async def _body(reader: asyncio.StreamReader, head: bytes) -> int:
    if b"transfer-encoding: chunked" in head:
        total = 0
        while size := int(await reader.readuntil(b"\n"), 16):
            await reader.readexactly(size + 2)
            total += size
        await reader.readexactly(2)
        return total
    found = head.partition(b"content-length: ")[2]
    size = int(found.split(b"\r\n")[0]) if found else 0
    left = size
    while left:
        left -= len(await reader.readexactly(min(left, 65_536)))
    return size
