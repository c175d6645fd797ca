"""What client and server say to each other arrives, whichever it is: nginx before Node.js, Node.js, or gunicorn."""

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from sluicegate.server.routes import Proxy, Tls, Upstream
from sluicegate.server.sessions import Sessions
from tests.server.gate import BEARER, Running, route, running
from tests.servers.certificates import Authority
from tests.servers.ports import LOOPBACK
from tests.upstreams.servers import Node, gunicorn, nginx_before, node
from tests.websockets.opening import ACCEPT, ASKING, frame
from tests.wire import Response, Wire, connected, exchange, request

CHUNKED: Final = ("Transfer-Encoding", "chunked")
EXPECT: Final = ("Expect", "100-continue")
BODY: Final = bytes(range(256)) * 1200  # more than buffers on the way hold at once

NAMES: Final = ("nginx", "Node.js", "gunicorn")


class Behind(NamedTuple):
    """The gates before each of them, and what stands there."""

    gates: dict[str, Running]
    node: Node
    tls: Running


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    directory = tmp_path_factory.mktemp("upstreams")
    certificate = Authority(directory).server("nginx")
    context = Sessions()
    context.load_verify_locations(cafile=certificate.ca_file)
    signed = f"ssl_certificate {certificate.cert_file}; ssl_certificate_key {certificate.key_file};"
    with ExitStack() as stack:
        it = stack.enter_context(node(directory))
        plain = stack.enter_context(nginx_before(it.port, directory))
        secured = stack.enter_context(nginx_before(it.port, directory, tls=" ssl", directives=signed))
        ports = {"nginx": plain.port, "Node.js": it.port, "gunicorn": stack.enter_context(gunicorn())}
        gates = {name: stack.enter_context(before(Upstream(LOOPBACK, port))) for name, port in ports.items()}
        tls = stack.enter_context(before(Upstream(LOOPBACK, secured.port, tls=Tls(context, "localhost"))))
        yield Behind(gates, it, tls)


def before(upstream: Upstream) -> AbstractContextManager[Running]:
    return running(route("/*", Proxy(upstream)))


@pytest.fixture(params=NAMES)
def gate(behind: Behind, request: pytest.FixtureRequest) -> Running:
    return behind.gates[request.param]


@pytest.fixture
def wire(gate: Running) -> Iterator[Wire]:
    with connected(gate.address) as wire:
        yield wire


@pytest.fixture
def to_node(behind: Behind) -> Iterator[Wire]:
    with connected(behind.gates["Node.js"].address) as wire:
        yield wire


def in_chunks(body: bytes, size: int = 7000, *, trailers: str = "") -> bytes:
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n%b\r\n" % trailers.encode()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/sized", "/echo"])
@pytest.mark.parametrize("size", [0, 1, len(BODY)])
def test_a_body_comes_back_as_it_was_sent_framed_as_it_was_on_both_ways(
    gate: Running, method: str, path: str, size: int
) -> None:
    """Connections of their own, for one ends with an answer that begins before its question has ended."""
    body = BODY[:size]
    for field, sent in ((("Content-Length", str(size)), body), (CHUNKED, in_chunks(body))):
        response = exchange(gate.address, request(path, BEARER, field, method=method) + sent)
        assert (response.status, response.header("X-Method"), response.body) == (200, method, body)
        assert response.header("X-Framed") in {str(size), "none"} if field[1] != "chunked" else "chunked"
        is_sized = response.header("Content-Length") == str(size)
        assert is_sized is (response.header("Transfer-Encoding") is None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_methods_without_a_body_arrive_and_head_gets_the_head_alone(wire: Wire, method: str) -> None:
    for _ in range(2):
        wire.send(request("/sized", BEARER, method=method))
        response = wire.receive(to=method)
        assert (response.status, response.header("X-Method"), response.body) == (200, method, b"")


@pytest.mark.parametrize("status", [204, 205, 304, 404, 503])
def test_answers_without_content_end_where_they_should(wire: Wire, status: int) -> None:
    """What comes next on the connection would show a body too many or too few."""
    for _ in range(2):
        wire.send(request(f"/status/{status}", BEARER))
        response = wire.receive()
        assert (response.status, response.body) == (status, b"")
        if status == 204:
            assert response.header("Content-Length") is response.header("Transfer-Encoding") is None
    wire.send(request("/sized", BEARER, method="POST", body=b"next"))
    assert wire.receive().body == b"next"


def test_requests_of_one_packet_are_answered_in_turn(wire: Wire) -> None:
    bodies = [b"%d" % number * (number + 1) for number in range(8)]
    wire.send(b"".join(request("/echo", BEARER, method="POST", body=body) for body in bodies))
    assert [wire.receive().body for _ in bodies] == bodies


def test_early_hints_come_before_the_answer_and_not_to_http10(to_node: Wire) -> None:
    to_node.send(request("/hints", BEARER))
    response = to_node.receive()
    assert [one.status for one in response.interim] == [103, 102]
    assert response.interim[0].header("Link") == "</style.css>; rel=preload"
    assert response.body == b"hinted"
    to_node.send(request("/hints", BEARER).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (response := to_node.receive()).interim == ()
    assert response.body == b"hinted"


def test_whoever_waits_for_100_gets_it_from_the_server_and_then_its_answer(wire: Wire) -> None:
    wire.send(request("/sized", BEARER, EXPECT, ("Content-Length", "5"), method="PUT"))
    assert wire.receive_head().status == 100
    wire.send(b"hello")
    assert wire.receive().body == b"hello"


@pytest.mark.parametrize("field", [("Content-Length", "5"), CHUNKED], ids=["length", "chunked"])
def test_whoever_is_refused_instead_gets_that_alone_and_the_connection_ends(
    to_node: Wire, field: tuple[str, str]
) -> None:
    to_node.send(request("/enough", BEARER, EXPECT, field, method="PUT"))
    response = to_node.receive()
    assert (response.status, response.interim, response.body) == (417, (), b"no")
    assert response.header("Connection") == "close"
    assert to_node.is_closed()


def test_trailers_go_up_and_come_down(to_node: Wire) -> None:
    for takes in (True, False, True):
        asks = (("TE", "trailers"), ("Connection", "TE")) if takes else ()
        to_node.send(
            request("/trailers", BEARER, CHUNKED, ("Trailer", "X-Checksum"), *asks, method="POST")
            + in_chunks(BODY, trailers="X-Checksum: 4711\r\nX-Auth-User-Id: root\r\n")
        )
        response = to_node.receive()
        assert response.body == b"with trailers"
        digest = hashlib.sha256(BODY).hexdigest()
        expected = (("X-Digest", digest), ("X-Sent", "4711"))
        assert response.trailers == (expected if takes else ())


@pytest.mark.parametrize(("path", "status", "said"), [("/enough", 413, b"enough"), ("/reset", 401, b"no")])
@pytest.mark.parametrize("field", [("Content-Length", "50000000"), CHUNKED], ids=["length", "chunked"])
def test_a_server_that_has_enough_is_heard_by_whoever_sends_on(
    behind: Behind, path: str, status: int, said: bytes, field: tuple[str, str]
) -> None:
    for _ in range(10):
        response = sending_on(behind.gates["Node.js"], path, field)
        assert (response.status, response.body) == (status, said)


@pytest.mark.parametrize("field", [("Content-Length", "50000000"), CHUNKED], ids=["length", "chunked"])
def test_a_bound_of_nginx_is_heard_by_whoever_sends_on(behind: Behind, tmp_path: Path, field: tuple[str, str]) -> None:
    with nginx_before(behind.node.port, tmp_path, most="1k") as it, before(Upstream(LOOPBACK, it.port)) as gate:
        for _ in range(10):
            assert sending_on(gate, "/echo", field).status == 413


def sending_on(gate: Running, path: str, field: tuple[str, str]) -> Response:
    """Send nine megabytes of a body that has no end, and then read."""
    with connected(gate.address) as wire:
        wire.send(request(path, BEARER, field, method="POST"))
        piece = in_chunks(b"x" * 30_000)[:-5] if field is CHUNKED else b"x" * 30_000
        try:
            for _ in range(300):
                wire.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pytest.fail("the gate did not wait until the client had read")
        return wire.receive()


def test_one_connection_serves_many_clients_until_the_server_says_otherwise(behind: Behind) -> None:
    gate = behind.gates["Node.js"]
    numbers = [exchange(gate.address, request("/sized", BEARER)).header("X-Connection") for _ in range(5)]
    assert len(set(numbers)) == 1
    assert exchange(gate.address, request("/close", BEARER)).body == b"closing"
    assert exchange(gate.address, request("/sized", BEARER)).header("X-Connection") != numbers[0]


def test_a_connection_that_the_server_closes_while_nothing_is_under_way_costs_no_request(behind: Behind) -> None:
    gate, seen = behind.gates["Node.js"], set()
    with connected((LOOPBACK, behind.node.port)) as direct:
        for _ in range(30):
            direct.send(request("/idle"))  # so that the request and the end of the connection cross
            response = exchange(gate.address, request("/sized", BEARER, method="PUT", body=b"hello"))
            assert (response.status, response.body) == (200, b"hello")
            seen.add(response.header("X-Connection"))
            assert direct.receive().status == 200
    assert len(seen) > 1


def test_a_websocket_opens_and_closes(to_node: Wire) -> None:
    to_node.send(request("/", BEARER, *ASKING))
    opened = to_node.receive()
    assert (opened.status, opened.header("Sec-WebSocket-Accept")) == (101, ACCEPT)
    to_node.send(frame(b"hello", opcode=1, mask=b"mask"))
    assert to_node.read_exactly(7) == frame(b"hello", opcode=1)
    to_node.send(frame(b"\x03\xe8", opcode=8, mask=b"mask"))
    assert to_node.read_to_end() == frame(b"\x03\xe8", opcode=8)


def test_parts_and_conditions_are_the_servers_to_judge(behind: Behind) -> None:
    with connected(behind.gates["nginx"].address) as wire:
        wire.send(request("/file", BEARER))
        whole = wire.receive()
        assert (whole.status, len(whole.body)) == (200, 10_000)
        wire.send(request("/file", BEARER, ("Range", "bytes=5-14")))
        part = wire.receive()
        assert (part.status, part.body, part.header("Content-Range")) == (206, b"5678901234", "bytes 5-14/10000")
        wire.send(request("/file", BEARER, ("Range", "bytes=5-6,8-9")))
        several = wire.receive()
        assert re.match("multipart/byteranges", several.header("Content-Type") or "")
        wire.send(request("/file", BEARER, ("Range", "bytes=20000-")))
        assert wire.receive().status == 416
        tag = whole.header("ETag") or ""
        wire.send(request("/file", BEARER, ("If-None-Match", tag)))
        unchanged = wire.receive()
        assert (unchanged.status, unchanged.body, unchanged.header("ETag")) == (304, b"", tag)
        wire.send(request("/file", BEARER, method="HEAD"))
        assert wire.receive(to="HEAD").header("Content-Length") == "10000"


def test_nginx_is_spoken_to_in_tls_on_a_connection_that_is_kept_and_resumed(behind: Behind) -> None:
    connections, resumed = set(), []
    for _ in range(3):
        for size in (1, len(BODY)):
            response = exchange(behind.tls.address, request("/sized", BEARER, method="PUT", body=BODY[:size]))
            assert (response.status, response.body) == (200, BODY[:size])
            connections.add(response.header("X-Socket"))
    assert len(connections) == 1
    first = exchange(behind.tls.address, request("/sized", BEARER))
    assert first.header("X-Resumed") == "."
    with ExitStack() as stack:  # at one time, so that they need connections of their own
        wires = [stack.enter_context(connected(behind.tls.address)) for _ in range(3)]
        for wire in wires:
            wire.send(request("/echo", BEARER, ("Content-Length", "2"), method="POST") + b"o")
        for wire in wires:
            wire.send(b"k")
            response = wire.receive()
            assert response.body == b"ok"
            resumed.append(response.header("X-Resumed"))
    assert "r" in resumed


def test_a_slow_reader_gets_all_of_a_long_answer(behind: Behind) -> None:
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        slow.connect(behind.gates["nginx"].address)
        slow.settimeout(10)
        wire, body = Wire(slow), BODY * 10
        slow.sendall(request("/sized", BEARER, ("Content-Length", str(len(body))), method="PUT"))
        slow.sendall(body)
        assert wire.receive().body == body
