"""The opening handshake of a WebSocket (RFC 6455, 4.2): what a client must ask, and what the upstream must answer.

A proxy that believes in an upgrade to which the upstream has not agreed lets whatever follows reach it as requests that
nobody has decided about. So both sides are held to the letter, and no other protocol is ever switched to: HTTP/2 over
plain text (`h2c`) would be such a tunnel by its very purpose.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final, final

from sluicegate.server.wire.head import Head
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.reply import Reply

SWITCHING: Final = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
"""What both heads carry: these fields are between two neighbours, so each hop writes its own."""

ONLY_VERSION: Final = b"Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
"""Goes with 426, and says what would be understood (RFC 6455, 4.4; RFC 9110, 15.5.22)."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in base64, without loose bits
_ACCEPT: Final = re.compile(rb"\nsec-websocket-accept:([^\r]*+)", re.IGNORECASE)
_VERSION: Final = b"13"
_ONCE: Final = (b"sec-websocket-key", b"sec-websocket-version")


@final
@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's wish to speak WebSocket. `accept` is what proves that the upstream has read it."""

    accept: bytes

    def is_met_by(self, reply: Reply) -> bool:
        """Tell whether a 101 is the answer to this."""
        options = _listed(reply.fields.get(b"connection", b""))
        accepts = [proof.strip(b" \t") for proof in _ACCEPT.findall(reply.lines)]
        return b"upgrade" in options and reply.fields.get(b"upgrade") == b"websocket" and accepts == [self.accept]


def handshake(head: Head) -> Handshake | None:
    """Return the handshake that a request is; None where it is an ordinary one, whose `Upgrade` is not passed on.

    Raises `Malformed` for one that no WebSocket client would send.
    """
    block = head.block
    # RFC 9110, 7.8: the field means nothing in HTTP/1.0, nor where Connection does not name it
    if not block.http11 or b"upgrade" not in _fields(head, b"connection"):
        return None
    if b"websocket" not in _fields(head, b"upgrade"):
        return None
    if head.method != "GET" or block.length:
        raise Malformed(400, "websocket", "A WebSocket begins with GET, and without a body")
    if any(sum(name == once for name, _ in block.fields) > 1 for once in _ONCE):
        raise Malformed(400, "websocket", "A field of the handshake came twice")
    if block.by_name.get(b"sec-websocket-version") != _VERSION:
        raise Malformed(426, "websocket", "Only version 13 of WebSocket is spoken here")
    key = block.by_name.get(b"sec-websocket-key", b"")
    if _KEY.fullmatch(key) is None:
        raise Malformed(400, "websocket", "A WebSocket begins with a key of 16 bytes")
    return Handshake(base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()))


def _fields(head: Head, name: bytes) -> set[bytes]:
    return set().union(*(_listed(value) for field, value in head.block.fields if field == name))


def _listed(value: bytes) -> set[bytes]:
    return {option.strip(b" \t").lower() for option in value.split(b",")}
