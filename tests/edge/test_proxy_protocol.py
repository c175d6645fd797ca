"""The header of the PROXY protocol, as bytes: what is read, what is waited for, and what is refused."""

import struct
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.proxy_protocol import LONGEST, Announced, crc32c, read

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_TCP4: Final = bytes([192, 0, 2, 7, 198, 51, 100, 1]) + struct.pack("!HH", 56324, 443)
_TCP6: Final = bytes.fromhex("20010db8000000000000000000000007" + "00" * 15 + "01") + struct.pack("!HH", 1, 2)
_MAPPED: Final = bytes(10) + b"\xff\xff\xc0\x00\x02\x07" + bytes(16) + struct.pack("!HH", 1, 2)


def v2(family: int, block: bytes, *, command: int = 0x21) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def with_checksum(family: int, block: bytes, *, off: int = 0) -> bytes:
    """A header with a CRC32c and another extension behind it."""
    header = v2(family, block + extension(3, bytes(4)) + extension(4, b"\0" * 9))
    at = 16 + len(block) + 3
    return header[:at] + (crc32c(header) ^ off).to_bytes(4) + header[at + 4 :]


READ: Final[dict[str, tuple[bytes, str | None]]] = {
    "v1 TCP4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7"),
    "v1 TCP4, largest": (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    "v1 TCP4, port 0": (b"PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\n", "192.0.2.7"),
    "v1 TCP6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7"),
    "v1 TCP6, written out": (
        b"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0007 2001:db8::1 56324 443\r\n",
        "2001:db8::7",
    ),
    "v1 TCP6, mapped": (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:c000:0201 1 2\r\n", "192.0.2.7"),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", ""),
    "v1 UNKNOWN, longest": (
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".ljust(105, b"x") + b"\r\n",
        "",
    ),
    "v2 TCP4": (v2(0x11, _TCP4), "192.0.2.7"),
    "v2 TCP6": (v2(0x21, _TCP6), "2001:db8::7"),
    "v2 TCP6, mapped": (v2(0x21, _MAPPED), "192.0.2.7"),
    "v2 UNIX": (v2(0x31, b"/run/x".ljust(216, b"\0")), ""),
    "v2 UNSPEC": (v2(0, b""), ""),
    "v2 UNSPEC with a block": (v2(0, bytes(50)), ""),
    "v2 LOCAL": (v2(0, b"", command=0x20), None),
    "v2 LOCAL with addresses": (v2(0x11, _TCP4, command=0x20), None),
    "v2 LOCAL of no family": (v2(0x77, b"abc", command=0x20), None),
    "v2 with extensions": (v2(0x11, _TCP4 + extension(2, b"gate.test") + extension(0xEE, b"")), "192.0.2.7"),
    "v2 with a checksum": (with_checksum(0x11, _TCP4), "192.0.2.7"),
    "v2 TCP6 with a checksum": (with_checksum(0x21, _TCP6), "2001:db8::7"),
    "v2, longest": (v2(0x11, _TCP4 + extension(4, bytes(LONGEST - 16 - 12 - 3))), "192.0.2.7"),
}

REFUSED: Final[dict[str, bytes]] = {
    "HTTP": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01\x02\x00",
    "lower case": b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 of no kind": b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 without kind": b"PROXY \r\n",
    "v1 UNKNOWN and more": b"PROXY UNKNOWNX\r\n",
    "v1 with LF alone": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n",
    "v1 with CR alone": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rX",
    "v1 with a tab": b"PROXY\tTCP4 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 with two spaces": b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 with a space at its end": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n",
    "v1 with a port missing": b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
    "v1 with a port too many": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
    "v1 with leading zeros in an address": b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n",
    "v1 with a short address": b"PROXY TCP4 192.2 198.51.100.1 1 2\r\n",
    "v1 with a number for an address": b"PROXY TCP4 3221225991 198.51.100.1 1 2\r\n",
    "v1 TCP4 with a v6 address": b"PROXY TCP4 2001:db8::7 198.51.100.1 1 2\r\n",
    "v1 TCP6 with a v4 address": b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
    "v1 TCP6 with a zone": b"PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n",
    "v1 with a bad destination": b"PROXY TCP4 192.0.2.7 x 1 2\r\n",
    "v1 with leading zeros in a port": b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n",
    "v1 with a large port": b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n",
    "v1 with a signed port": b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
    "v1 with digits of another script": "PROXY TCP4 192.0.2.7 198.51.100.1 \u0661 2\r\n".encode(),
    "v1 with a byte that is not ASCII at its end": b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\xb2\r\n",
    "v1 with NUL": b"PROXY TCP4 192.0.2.7\0 198.51.100.1 1 2\r\n",
    "v1 UNKNOWN with a control character": b"PROXY UNKNOWN \x1b[31m\r\n",
    "v1 too long": b"PROXY UNKNOWN ".ljust(106, b"x") + b"\r\n",
    "v1 without end": b"PROXY UNKNOWN ".ljust(107, b"x"),
    "v2 of version 1": v2(0x11, _TCP4, command=0x11),
    "v2 of version 3": v2(0x11, _TCP4, command=0x31),
    "v2 with another command": v2(0x11, _TCP4, command=0x22),
    "v2 of datagrams": v2(0x12, _TCP4),
    "v2 of no family": v2(0x41, bytes(216)),
    "v2 of no transport": v2(0x10, _TCP4),
    "v2 too short for its family": v2(0x11, _TCP4[:-1]),
    "v2 TCP6 with a v4 block": v2(0x21, _TCP4),
    "v2 too long": v2(0x11, _TCP4 + bytes(LONGEST)),
    "v2 with half an extension": v2(0x11, _TCP4 + b"\x04\x00"),
    "v2 with an extension that is too long": v2(0x11, _TCP4 + b"\x04\x00\x05abcd"),
    "v2 with a wrong checksum": with_checksum(0x11, _TCP4, off=1),
    "v2 with a short checksum": v2(0x11, _TCP4 + extension(3, b"abc")),
    "v2 with a broken signature": b"\r\n\r\n\0\r\nQUIX\n" + v2(0x11, _TCP4)[12:],
}


@pytest.mark.parametrize("name", READ)
def test_a_header_names_its_client_and_what_follows_is_left(name: str) -> None:
    header, address = READ[name]
    assert read(header) == Announced(address, len(header))
    assert read(header + b"GET / HTTP/1.1\r\n") == Announced(address, len(header))


@pytest.mark.parametrize("name", READ)
def test_no_part_of_a_header_is_taken_for_the_whole(name: str) -> None:
    header, _ = READ[name]
    assert {read(header[:size]) for size in range(len(header))} == {None}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_whatever_comes_behind(name: str) -> None:
    for behind in (b"", b"\r\n" * 60, bytes(5000)):
        with pytest.raises(Malformed):
            read(REFUSED[name] + behind)


def test_the_checksum_is_the_one_of_its_rfc() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_any_bytes_are_read_the_same_however_they_are_cut(tail: bytes, start: bytes) -> None:
    def judge(data: bytes) -> Announced | str | None:
        try:
            return read(data)
        except Malformed:
            return "refused"

    verdicts = [judge((start + tail)[:size]) for size in range(len(start + tail) + 1)]
    decided = [verdict for verdict in verdicts if verdict is not None]
    assert len(set(decided)) <= 1
    assert verdicts[: len(verdicts) - len(decided)] == [None] * (len(verdicts) - len(decided))
