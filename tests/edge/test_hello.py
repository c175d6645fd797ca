"""A client's first message, read for what it wants to speak: as real clients write it, whole, cut, and broken."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.server.wire.hello import HANDSHAKE, offered
from sluicegate.server.wire.malformed import Malformed


def hello(*protocols: str, host: str | None = "gate.test") -> bytes:
    """What OpenSSL sends first."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


def fragmented(data: bytes, size: int) -> bytes:
    """The same message in records of so many bytes."""
    head, message = data[:3], data[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(head + len(piece).to_bytes(2) + piece for piece in pieces)


@pytest.mark.parametrize("protocols", [(), ("h2",), ("h2", "http/1.1"), ("http/1.1",), ("x" * 255, "y")])
def test_what_a_client_offers_is_read_in_its_order(protocols: tuple[str, ...]) -> None:
    assert offered(hello(*protocols)) == tuple(name.encode() for name in protocols)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100, 5000])
def test_a_message_in_several_records_is_the_same_message(size: int) -> None:
    assert offered(fragmented(hello("h2", "http/1.1"), size)) == (b"h2", b"http/1.1")


def test_no_part_of_a_message_is_taken_for_the_whole() -> None:
    whole = hello("h2", "http/1.1")
    assert [offered(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    cut = fragmented(whole, 7)
    assert [offered(cut[:size]) for size in range(len(cut))] == [None] * len(cut)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"\x80\x2e\x01", b"\0", b"\x15\x03\x01\0\x02\x02\x00", b"PRI * HTTP/2.0\r\n\r\n"]
)
def test_what_is_not_tls_is_known_by_its_first_byte(data: bytes) -> None:
    with pytest.raises(Malformed):
        offered(data[:1])


def test_nobody_is_waited_for_without_a_bound() -> None:
    record = bytes([HANDSHAKE, 3, 1, 0x40, 0]) + b"\x01\xff\xff\xff" + bytes(0x4000 - 4)
    assert offered(record[:16_000]) is None
    with pytest.raises(Malformed):
        offered(record)


@given(st.data())
def test_a_message_that_was_changed_anywhere_is_read_or_left_to_openssl(data: st.DataObject) -> None:
    whole = bytearray(hello("h2", "http/1.1"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(9, len(whole) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(offered(bytes(whole)), tuple)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_accident(tail: bytes) -> None:
    message = b"\x01" + len(tail).to_bytes(3) + tail
    assert isinstance(offered(bytes([HANDSHAKE, 3, 1]) + len(message).to_bytes(2) + message), tuple)
