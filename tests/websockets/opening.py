"""Opening WebSockets by hand, byte for byte, through a real gateway to an upstream that the test plays."""

import base64
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, final

from tests.events.gate import Streams, bearer, streaming
from tests.server.upstream import Listening, Peer, Received, upstream
from tests.table.tokens import mint
from tests.wire import Response, Wire, connected, request

KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455, 1.3, and what must come back for it."""
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

ASKING: Final = (
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", KEY),
)


def switching(accept: str = ACCEPT, *lines: str, connection: str = "Upgrade", protocol: str = "websocket") -> bytes:
    """What an upstream says when it agrees."""
    head = (f"Connection: {connection}", f"Upgrade: {protocol}", f"Sec-WebSocket-Accept: {accept}", *lines)
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *head, "", ""]).encode()


def accept_for(key: str) -> str:
    """Reckon the answer to a key (RFC 6455, 4.2.2)."""
    text = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    return base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode()


def frame(payload: bytes, *, opcode: int = 2, final: bool = True, mask: bytes = b"") -> bytes:
    """Write a frame; with a mask, as a client does."""
    first = (0x80 if final else 0) | opcode
    flag, size = (0x80 if mask else 0), len(payload)
    if size < 126:
        head = bytes((first, flag | size))
    elif size < 65536:
        head = bytes((first, flag | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, flag | 127)) + size.to_bytes(8)
    if mask:
        payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return head + mask + payload


@final
class Opened:
    """Both ends of a WebSocket that passes through the gate."""

    def __init__(self, hub: Streams, wire: Wire, peer: Peer, asked: Received, answer: Response) -> None:
        self.hub: Final = hub
        self.wire: Final = wire
        self.peer: Final = peer
        self.asked: Final = asked
        self.answer: Final = answer

    def revoke(self) -> None:
        """Revoke its token, and wait until the gate has taken note of it."""
        self.hub.revoke("BLACKLIST:sub:alice")
        deadline = time.monotonic() + 10
        while self.hub.hub.live.open:
            assert time.monotonic() < deadline
            self.hub.gate.turn()

    def closes(self) -> tuple[int, str]:
        """Read the close frame that comes next, and the end behind it."""
        first, size = self.wire.read_exactly(2)
        assert first == 0x88, f"no close frame, but one of {first:#x}"
        payload = self.wire.read_exactly(size)
        assert self.wire.is_closed()
        return int.from_bytes(payload[:2]), payload[2:].decode()

    def upstream_closes(self) -> tuple[int, str]:
        """Read the masked close frame that the upstream gets, and the end behind it."""
        head = self.peer.body(2)
        assert head[0] == 0x88
        assert head[1] & 0x80, "not masked"
        mask, payload = self.peer.body(4), self.peer.body(head[1] & 0x7F)
        plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        assert self.peer.is_closed()
        return int.from_bytes(plain[:2]), plain[2:].decode()


@contextmanager
def behind(**choices: Any) -> Iterator[tuple[Streams, Listening]]:  # noqa: ANN401 - whatever a gateway takes
    """A gateway, and an upstream behind it."""
    with upstream() as listening, streaming(proxied=listening.proxy, **choices) as hub:
        yield hub, listening


@contextmanager
def opened(token: str | None = None, *, answer: bytes = b"", early: bytes = b"", **choices: Any) -> Iterator[Opened]:  # noqa: ANN401 - likewise
    """Open one. `early` is what the client sends before it is told that it may."""
    with behind(**choices) as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", bearer(mint() if token is None else token), *ASKING) + early)
        peer = listening.accept()
        asked = peer.serve(answer or switching())
        yield Opened(hub, wire, peer, asked, wire.receive())
