"""What most cases are made of."""

from typing import Final

HOST: Final = b"Host: a.test\r\n"
GET: Final = b"GET /open/a HTTP/1.1\r\n" + HOST
POST: Final = b"POST /open/a HTTP/1.1\r\n" + HOST
BEARER: Final = b"Authorization: Bearer $TOKEN\r\n"

GOT: Final = "GET /open/a 0"
POSTED: Final = "POST /open/a 5"
EMPTY: Final = "POST /open/a 0"

LENGTH: Final = b"Content-Length: 5\r\n"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
HELLO: Final = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED: Final = b"GET /open/smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"

TOKEN_BYTES: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""RFC 9110, 5.6.2: what a method or a field name is made of."""

VALUE_BYTES: Final = frozenset({9, *range(0x20, 0x7F), *range(0x80, 0x100)})
"""RFC 9110, 5.5: what a field value is made of."""


def shown(data: bytes) -> str:
    """Write bytes as part of a case's name."""
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E else f"\\x{byte:02x}" for byte in data) or "(empty)"
