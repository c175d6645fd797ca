"""The first message of a TLS client (RFC 8446, 4.1.2), read for what it offers to speak inside (RFC 7301). Pure.

OpenSSL reads it too, and judges it: what cannot be read here is left to it. It does not tell, though, whether a client
offered protocols of which we speak none, and goes on as if there were one; that client would then speak HTTP/2 to us.
"""

from typing import Final, final

from sluicegate.server.wire.malformed import Malformed

HANDSHAKE: Final = 22
"""The first byte of whatever is TLS: the type of its first record."""

NO_APPLICATION_PROTOCOL: Final = b"\x15\x03\x03\x00\x02\x02\x78"
"""The fatal alert that RFC 7301, 3.2 asks for, as a record; before our hello it is sent in the clear."""

_LONGEST: Final = 16_384  # several times what any client sends
_LONGEST_RECORD: Final = 16_384  # RFC 8446, 5.1
_HEADER: Final = 5
_MESSAGE_HEADER: Final = 4  # type and length
_CLIENT_HELLO: Final = 1
_ALPN: Final = 16
_RANDOM: Final = 34  # with the version before it


@final
class Hello:
    """The first message of one client. It may come in several records, and these in any number of packets.

    Each record is read once, when it is whole: who sends a byte at a time has us look at that byte, and not at all the
    records before it.
    """

    __slots__ = ("_message", "_place")

    def __init__(self) -> None:
        self._message: Final = bytearray()
        self._place = 0  # where the first record begins that has not been read

    def read(self, data: bytes) -> tuple[bytes, ...] | None:
        """Return the protocols that the client offers, none where it offers none; None when more must come.

        `data` is all that has come so far. Raises `Malformed` for what is not TLS, or too long to be waited for.
        """
        message = self._message
        while (fragment := _fragment(data, self._place)) is not None:
            message += fragment
            self._place += _HEADER + len(fragment)
            end = _MESSAGE_HEADER + int.from_bytes(message[1:_MESSAGE_HEADER])
            if len(message) >= max(end, _MESSAGE_HEADER):
                try:
                    return tuple(_names(bytes(message[:end])))
                except IndexError:  # it ends where it should go on
                    return ()
        if len(data) > _LONGEST:
            raise Malformed(400, "tls", "A client's first message is too long")
        return None


def _fragment(data: bytes, place: int) -> bytes | None:
    """Return what is in the record that begins here; None where it is not whole. Raises `Malformed`."""
    size = len(data) - place
    if size > 0 and data[place] != HANDSHAKE:
        raise Malformed(400, "tls", "What came is not TLS")
    if size < _HEADER:
        return None
    length = int.from_bytes(data[place + 3 : place + _HEADER])
    if not 0 < length <= _LONGEST_RECORD:  # RFC 8446, 5.1: a handshake has no empty fragments
        raise Malformed(400, "tls", "No record of a handshake is so long, or so short")
    return data[place + _HEADER : place + _HEADER + length] if size >= _HEADER + length else None


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
