"""A client's first message, read for what it wants to speak: as real clients write it, whole, cut, and broken."""

import ssl
from typing import SupportsIndex, final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.server.wire.hello import HANDSHAKE, Hello
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


def offered(data: bytes) -> tuple[bytes, ...] | None:
    """What a client offers that has sent all of this at once."""
    return Hello().read(data)


@final
class Looked(bytes):
    """Bytes that count how many of them are looked at."""

    at = 0

    def __getitem__(self, place: SupportsIndex | slice) -> "int | bytes":  # type: ignore[override] # two overloads
        found = super().__getitem__(place)
        Looked.at += len(found) if isinstance(found, bytes) else 1
        return found


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


@pytest.mark.parametrize("size", [1, 100, 1000])
def test_a_message_as_long_as_one_with_keys_against_quantum_computers_is_read(size: int) -> None:
    names = [f"{number}" * 255 for number in range(9)]
    whole = hello(*names, "http/1.1")
    assert len(whole) > 2500
    assert offered(fragmented(whole, size)) == (*(name.encode() for name in names), b"http/1.1")


@pytest.mark.parametrize("size", [1, 100])
def test_of_a_message_that_comes_byte_by_byte_each_byte_is_looked_at_once(size: int) -> None:
    data = fragmented(hello("h2", "http/1.1", "x" * 255, "y" * 255, "z" * 255), size)
    reader, looked_at, most = Hello(), 0, 4 * (size + 5)
    for end in range(1, len(data)):
        Looked.at = 0
        assert reader.read(Looked(data[:end])) is None
        looked_at += Looked.at
        assert Looked.at <= most
    assert looked_at < 10 * len(data)
    assert reader.read(data) is not None


@pytest.mark.parametrize("before", [0, 1, 3])
def test_nobody_is_let_in_who_sends_records_of_nothing(before: int) -> None:
    """A handshake has none (RFC 8446, 5.1): whoever sends them wants us to be busy."""
    whole = hello("http/1.1")
    records = fragmented(whole, 4)
    empty = whole[:3] + b"\0\0"
    with pytest.raises(Malformed):
        offered(records[: 9 * before] + empty + records[9 * before :])


def test_no_record_is_waited_for_that_is_longer_than_any_may_be() -> None:
    assert offered(bytes([HANDSHAKE, 3, 1, 0x40, 0])) is None
    with pytest.raises(Malformed):
        offered(bytes([HANDSHAKE, 3, 1, 0x40, 1]))


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
