"""Bodies of any size with little memory: whoever is slow is waited for, where the data lies already."""

import resource
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, HELLO, Held, Running, engine, route, running
from tests.server.upstream import Listening, upstream
from tests.wire import Wire, connected, request

SIZE = 100 * 1024 * 1024
PIECE = b"\xa5" * 65_536
MOST_BUFFERED = 40 * 1024 * 1024  # the kernel's, at four ends; it lets them grow as it likes
MOST_GROWN = 8 * 1024 * 1024  # the gateway's and this test's own
SOON = 0.2


@pytest.fixture
def behind() -> Iterator[Listening]:
    with upstream() as listening:
        yield listening


@pytest.fixture
def gate(behind: Listening) -> Iterator[Running]:
    with running(route("/*", behind.proxy)) as gate:
        yield gate


def pour(into: socket.socket, piece: bytes, size: int) -> int:
    """Send a piece again and again, until nobody takes more for a while or all is sent; return how much went."""
    into.settimeout(SOON)
    sent = 0
    try:
        while sent < size:
            sent += into.send(piece[sent % len(piece) :][: size - sent])
    except TimeoutError:
        pass
    into.settimeout(10)
    return sent


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Do something meanwhile."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def send_for_ever(into: socket.socket, piece: bytes) -> None:
    """Send until it fails."""
    while True:
        into.sendall(piece)


def drain(wire: Wire, size: int) -> int:
    """Read so many bytes without keeping them; return how many came."""
    read = 0
    while read < size:
        data = wire.socket.recv(1 << 20)
        if not data:
            break
        read += len(data)
    return read


def grown() -> int:
    """The most memory this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_reader_that_stops_stops_the_upstream_and_nothing_is_lost(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        peer = behind.accept()
        peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        assert wire.receive_head().status == 200
        sent = pour(peer.socket, PIECE, SIZE)
        assert sent < MOST_BUFFERED
        before = grown()
        rest = in_background(lambda: pour(peer.socket, PIECE, SIZE - sent))
        assert drain(wire, SIZE) == SIZE
        rest.join()
        assert grown() - before < MOST_GROWN


def test_an_upstream_that_stops_stops_the_client_and_nothing_is_lost(gate: Running, behind: Listening) -> None:
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER, ("Content-Length", str(SIZE)), method="POST"))
        peer = behind.accept()
        peer.request()
        sent = pour(wire.socket, PIECE, SIZE)
        assert sent < MOST_BUFFERED
        before = grown()
        rest = in_background(lambda: pour(wire.socket, PIECE, SIZE - sent))
        assert drain(peer.wire, SIZE) == SIZE
        rest.join()
        assert grown() - before < MOST_GROWN


def test_a_body_waits_for_its_decision_with_the_client() -> None:
    store = Held()
    with (
        upstream() as behind,
        running(route("/*", behind.proxy), decides=engine(store)) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/a", BEARER, ("Content-Length", str(SIZE)), method="POST"))
        assert store.asked.acquire(timeout=10)
        sent = pour(wire.socket, PIECE, SIZE)
        assert sent < MOST_BUFFERED
        assert behind.is_untouched()
        store.answer()
        peer = behind.accept()
        peer.request()
        assert len(peer.body(sent)) == sent


def test_a_large_body_in_chunks_goes_both_ways_unchanged(gate: Running, behind: Listening) -> None:
    pieces = [bytes([number]) * (number * 331 + 1) for number in range(200)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    with connected(gate.address) as wire:
        wire.send(request("/a", BEARER, ("Transfer-Encoding", "chunked"), method="POST"))
        sending = in_background(lambda: wire.send(framed))
        peer = behind.accept()
        peer.request()
        assert peer.chunked() == b"".join(pieces)
        sending.join()
        sending = in_background(lambda: peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed))
        assert wire.receive().body == b"".join(pieces)
        sending.join()


def test_a_client_that_reads_nothing_is_cut_off(behind: Listening) -> None:
    with running(route("/*", behind.proxy), limits=Limits(write_time=SOON)) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER))
        peer = behind.accept()
        peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
        with pytest.raises(OSError):  # noqa: PT011 - broken pipe or reset, as the kernel likes
            send_for_ever(peer.socket, PIECE)


def test_an_upstream_that_takes_nothing_is_504(behind: Listening) -> None:
    limits = Limits(body_time=SOON, response_time=SOON)
    with running(route("/*", behind.proxy), limits=limits) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER, ("Content-Length", str(SIZE)), method="POST"))
        behind.accept()
        pour(wire.socket, PIECE, SIZE)
        assert wire.receive().status == 504


def test_answers_that_nobody_reads_stop_the_requests() -> None:
    """A client that pipelines for ever and reads nothing fills its buffers, then waits; the gate holds little."""
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        one = request("/hello", BEARER)
        before = grown()
        count = pour(wire.socket, one, 10**9) // len(one)
        assert grown() - before < MOST_GROWN
        for _ in range(count):
            assert wire.receive().body == b"Hello alice!"
