"""The header that a proxy of TCP sends ahead: who its client is (the PROXY protocol, versions 1 and 2). Pure.

The specification is HAProxy's `doc/proxy-protocol.txt`. It is read strictly: whoever may announce clients is trusted to
tell the truth, and what can be read in two ways is not the truth.
"""

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple, NoReturn

from sluicegate.server.wire.malformed import Malformed

LONGEST: Final = 4096
"""Bytes of a header of version 2; nginx has the same bound."""

_V1: Final = b"PROXY "
_V1_LONGEST: Final = 107  # with CR LF; the specification's own figure
_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED: Final = 16
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_SIZES: Final = {_TCP4: 12, _TCP6: 36, _UNIX: 216}
_CRC32C: Final = 0x03
_MOST_DIGITS: Final = 5
_MOST_PORT: Final = 65_535


class Announced(NamedTuple):
    """`address` is the client's; empty where the proxy does not know it; None where the proxy speaks for itself."""

    address: str | None
    size: int
    """Bytes of the header."""


def read(data: bytes) -> Announced | None:
    """Read a header from the first bytes of a connection; None when more must come. Raises `Malformed`."""
    if data.startswith(_V1):
        return _read_v1(data)
    if data.startswith(_V2):
        return _read_v2(data)
    if _V1.startswith(data) or _V2.startswith(data):
        return None
    return _refuse("No PROXY protocol header where one is expected")


def _refuse(message: str = "A PROXY protocol header cannot be read") -> NoReturn:
    raise Malformed(400, "proxy_protocol", message)


# version 1: a line of text


def _read_v1(data: bytes) -> Announced | None:
    end = data.find(b"\r\n", 0, _V1_LONGEST)
    line = data[: _V1_LONGEST if end < 0 else end]
    # a lone CR at the end may be half of the line's
    if not line.isascii() or not line.removesuffix(b"\r" if end < 0 else b"").decode().isprintable():
        _refuse()
    if end < 0:
        return _refuse() if len(data) >= _V1_LONGEST else None
    size = end + 2
    kind, _, rest = line[len(_V1) :].partition(b" ")
    if kind == b"UNKNOWN":  # whatever follows is to be ignored
        return Announced("", size)
    if kind not in {b"TCP4", b"TCP6"}:
        _refuse()
    parts = rest.decode("ascii").split(" ")
    if len(parts) != 4 or not all(map(_is_port, parts[2:])):  # noqa: PLR2004 - two addresses, two ports
        _refuse()
    read_address = _ipv4 if kind == b"TCP4" else _ipv6
    read_address(parts[1])
    return Announced(read_address(parts[0]), size)


def _is_port(text: str) -> bool:
    is_number = text.isdecimal() and len(text) <= _MOST_DIGITS and (text[0] != "0" or text == "0")
    return is_number and int(text) <= _MOST_PORT


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        _refuse()


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        _refuse()
    if address.scope_id is not None:
        _refuse()
    return str(address.ipv4_mapped or address)


# version 2: binary


def _read_v2(data: bytes) -> Announced | None:
    if len(data) < _V2_FIXED:
        return None
    command, family, length = struct.unpack_from("!BBH", data, len(_V2))
    size = _V2_FIXED + length
    if command not in {_LOCAL, _PROXY} or size > LONGEST:
        _refuse()
    if command == _PROXY and family != _UNSPECIFIED and length < _SIZES.get(family, LONGEST):
        _refuse()  # a family that is none, or of datagrams, or an address that is not there
    if len(data) < size:
        return None
    if command == _LOCAL:  # what it says of addresses is to be ignored
        return Announced(None, size)
    if family != _UNSPECIFIED:
        _check_extensions(data[:size], _V2_FIXED + _SIZES[family])
    return Announced(_address(data[_V2_FIXED:], family), size)


def _address(block: bytes, family: int) -> str:
    if family == _TCP4:
        return str(IPv4Address(block[:4]))
    if family == _TCP6:
        address = IPv6Address(block[:16])
        return str(address.ipv4_mapped or address)
    return ""


def _check_extensions(header: bytes, at: int) -> None:
    """Walk over what follows the addresses: all of it is skipped, but a checksum must be right."""
    while at < len(header):
        if len(header) - at < 3:  # noqa: PLR2004 - type and length
            _refuse()
        kind, length = struct.unpack_from("!BH", header, at)
        at += 3
        if len(header) - at < length:
            _refuse()
        if kind == _CRC32C:
            if length != 4:  # noqa: PLR2004 - bytes of a CRC32c
                _refuse()
            if crc32c(header[:at] + bytes(4) + header[at + 4 :]) != int.from_bytes(header[at : at + 4]):
                _refuse("The checksum of a PROXY protocol header is wrong")
        at += length


def crc32c(data: bytes) -> int:
    """Return the checksum of RFC 9260, appendix A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _row(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(map(_row, range(256)))
