"""The first message of a TLS client (RFC 8446, 4.1.2), read for what it offers to speak inside (RFC 7301). Pure.

OpenSSL reads it too, and judges it: what cannot be read here is left to it. It does not tell, though, whether a client
offered protocols of which we speak none, and goes on as if there were one; that client would then speak HTTP/2 to us.
"""

from typing import Final

from sluicegate.server.wire.malformed import Malformed

HANDSHAKE: Final = 22
"""The first byte of whatever is TLS: the type of its first record."""

NO_APPLICATION_PROTOCOL: Final = b"\x15\x03\x03\x00\x02\x02\x78"
"""The fatal alert that RFC 7301, 3.2 asks for, as a record; before our hello it is sent in the clear."""

_LONGEST: Final = 16_384  # several times what any client sends
_HEADER: Final = 5
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16
_RANDOM: Final = 34  # with the version before it


def offered(data: bytes) -> tuple[bytes, ...] | None:
    """Return the protocols that a client offers, none where it offers none; None when more must come.

    Raises `Malformed` for what is not TLS, or too long to be waited for.
    """
    message = _first_message(data)
    if message is None:
        if len(data) > _LONGEST:
            raise Malformed(400, "tls", "A client's first message is too long")
        return None
    try:
        return tuple(_names(message))
    except IndexError:  # it ends where it should go on
        return ()


def _first_message(data: bytes) -> bytes | None:
    """Join the fragments of the first message: it may come in several records (RFC 8446, 5.1)."""
    message, at = b"", 0
    while at < len(data):
        if data[at] != HANDSHAKE:
            raise Malformed(400, "tls", "What came is not TLS")
        if len(data) < at + _HEADER:
            return None
        length = int.from_bytes(data[at + 3 : at + _HEADER])
        message += data[at + _HEADER : at + _HEADER + length]
        at += _HEADER + length
        if len(message) >= 4 and len(message) >= (end := 4 + int.from_bytes(message[1:4])):  # noqa: PLR2004 - type and length
            return message[:end]
    return None


def _names(message: bytes) -> list[bytes]:
    """Find the ALPN extension. Raises `IndexError` where the message is too short for what it says."""
    if message[0] != _CLIENT_HELLO:
        return []
    at = 4 + _RANDOM
    at += 1 + message[at]  # session id
    at += 2 + _number(message, at)  # cipher suites
    at += 1 + message[at]  # compression methods
    end = at + 2 + _number(message, at)
    at += 2
    while at < end:
        kind, length = _number(message, at), _number(message, at + 2)
        at += 4
        if kind == _ALPN:
            return _listed(message[at : at + length])
        at += length
    return []


def _listed(extension: bytes) -> list[bytes]:
    found, at = [], 2
    while at < len(extension):
        length = extension[at]
        found.append(extension[at + 1 : at + 1 + length])
        at += 1 + length
    return found


def _number(message: bytes, at: int) -> int:
    """Read two bytes; raises `IndexError`."""
    return message[at] << 8 | message[at + 1]
