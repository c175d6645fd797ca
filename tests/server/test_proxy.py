"""Requests and responses passed through: the same content on both sides, framed anew, whatever its form."""

import dataclasses
import json
import socket
import threading

import pytest

from sluicegate.server.routes import Proxy, Upstream
from sluicegate.server.wire.limits import Limits
from tests.server.gate import BEARER, TOKEN, Running, route, running
from tests.server.upstream import OK, Listening, Peer
from tests.wire import Wire, connected, request

CHUNKED = ("Transfer-Encoding", "chunked")


def test_a_body_with_a_length_arrives_with_it(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, method="PUT", body=b"hello"))
    peer = behind.accept()
    received = peer.request()
    assert received.all("Content-Length") == ("5",)
    assert not received.all("Transfer-Encoding")
    assert peer.body(5) == b"hello"


def test_an_empty_body_with_a_length_keeps_it(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, ("Content-Length", "0"), method="POST"))
    assert behind.accept().request().all("Content-Length") == ("0",)


def test_a_body_in_chunks_arrives_in_chunks_of_our_own(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, CHUNKED, ("Trailer", "X"), method="POST"))
    wire.send(b"3;ext=1\r\nabc\r\n")
    peer = behind.accept()
    received = peer.request()
    assert received.all("Transfer-Encoding") == ("chunked",)
    assert not received.all("Content-Length")
    assert not received.all("Trailer")
    assert peer.body(8) == b"3\r\nabc\r\n"
    wire.send(b"0003\r\ndef\r\n0\r\nX: y\r\n\r\n")
    assert peer.body(19) == b"3\r\ndef\r\n0\r\nX: y\r\n\r\n"
    peer.send()
    assert wire.receive().body == b"ok"


def test_a_body_is_passed_on_before_it_is_whole(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, ("Content-Length", "6"), method="POST") + b"abc")
    peer = behind.accept()
    peer.request()
    assert peer.body(3) == b"abc"
    wire.send(b"def")
    assert peer.body(3) == b"def"


FORBIDDEN = [
    "Host: a", "Content-Length: 5", "Transfer-Encoding: x", "Authorization: Bearer x", "Cookie: a", "X-API-Key: x",
    "X-Auth-User-Id: root", "x_auth_user_id: root", "X-User: root", "X-Forwarded-For: 10.0.0.1", "X-Request-ID: x",
    "Content-Type: a", "content_length: 5", "Expect: 100-continue", "TE: trailers", "Set-Cookie: a=b", "Location: /",
    "Cache-Control: no-store", "Connection: close", "Access-Control-Allow-Origin: *",
]  # fmt: skip


def test_of_trailers_only_those_go_up_that_nobody_takes_for_a_header(behind: Listening) -> None:
    proxy = dataclasses.replace(behind.proxy, header_up=(("X-User", "{http.auth.user.id}"),))
    with running(route("/*", proxy)) as gate, connected(gate.address) as wire:
        trailers = "\r\n".join([*FORBIDDEN, "Digest: abc", "X-Checksum: 1"])
        wire.send(request("/a", BEARER, CHUNKED, method="POST") + f"1\r\na\r\n0\r\n{trailers}\r\n\r\n".encode())
        peer = behind.accept()
        peer.request()
        expected = b"1\r\na\r\n0\r\nDigest: abc\r\nX-Checksum: 1\r\n\r\n"
        assert peer.body(len(expected)) == expected
        peer.send()
        assert wire.receive().body == b"ok"


@pytest.mark.parametrize("accepted", ["trailers", "gzip;q=0.5, Trailers", "trailer", None])
def test_of_trailers_those_come_down_that_the_client_takes(wire: Wire, behind: Listening, accepted: str | None) -> None:
    takes = accepted is not None and "trailers" in accepted.lower()
    wire.send(request("/a", BEARER, *([("TE", accepted), ("Connection", "TE")] if accepted else [])))
    peer = behind.accept()
    trailers = "\r\n".join([*FORBIDDEN[:-1], "Server-Timing: a"])
    received = peer.serve(
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n\r\n".encode()
    )
    assert received.all("TE") == (("trailers",) if takes else ())
    response = wire.receive()
    assert response.body == b"ok"
    assert ("Server-Timing", "a") in response.trailers if takes else response.trailers == ()
    allowed = {"Server-Timing", "X-User"}  # the second is managed where a route sets it
    assert {name for name, _ in response.trailers} <= allowed


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;a=b\r\nhello \r\n5\r\nworld\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    ],
    ids=["length", "chunks", "HTTP/1.0"],
)
def test_every_cut_of_a_response_arrives_as_the_same(gate: Running, behind: Listening, response: bytes) -> None:
    for cut in range(1, len(response)):
        with connected(gate.address) as wire:
            wire.send(request("/a", BEARER, ("Connection", "close")))
            peer = behind.accept()
            peer.request()
            peer.send(response[:cut])
            gate.turn()
            peer.send(response[cut:])
            received = wire.receive()
            assert (received.status, received.body) == (200, b"hello world")
            peer.close()


def test_a_response_that_ends_with_its_connection_arrives_in_chunks(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.serve(b"HTTP/1.1 200 OK\r\n\r\nhello ")
    peer.send(b"world")
    peer.close()
    response = wire.receive()
    assert response.body == b"hello world"
    assert response.header("Transfer-Encoding") == "chunked"
    wire.send(request("/b", BEARER))
    behind.accept().serve()
    assert wire.receive().body == b"ok"


@pytest.mark.parametrize("form", [b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"\r\nhello"])
def test_a_client_of_http10_gets_no_chunks(wire: Wire, behind: Listening, form: bytes) -> None:
    wire.send(request("/a", BEARER, ("Connection", "keep-alive")).replace(b"HTTP/1.1", b"HTTP/1.0"))
    peer = behind.accept()
    assert peer.serve(b"HTTP/1.1 200 OK\r\n" + form).all("Via") == ("1.0 sluicegate",)
    peer.close()
    response = wire.receive()
    assert response.body == b"hello"
    assert response.header("Transfer-Encoding") is None
    assert response.header("Connection") == "close"
    assert wire.is_closed()


def test_a_client_of_http10_that_names_no_host_is_given_the_upstreams(wire: Wire, behind: Listening) -> None:
    wire.send(b"GET /a HTTP/1.0\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n")
    assert behind.accept().serve().all("Host") == (f"127.0.0.1:{behind.port}",)


def test_the_authority_of_a_url_becomes_the_host(wire: Wire, behind: Listening) -> None:
    wire.send(request("http://real.test/a?b", BEARER))
    received = behind.accept().serve()
    assert received.line == "GET /a?b HTTP/1.1"
    assert received.all("Host") == ("real.test",)
    assert received.all("X-Forwarded-Host") == ("real.test",)


LATE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"


@pytest.mark.parametrize("framing", ["Content-Length: 5", "Transfer-Encoding: chunked", "X: y"])
def test_head_has_no_body_whatever_the_upstream_says(wire: Wire, behind: Listening, framing: str) -> None:
    for _ in range(2):
        wire.send(request("/a", BEARER, method="HEAD"))
        behind.accept().serve(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        assert wire.receive(to="HEAD").status == 200


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 51\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 51\r\n\r\n"),
    ],
)
def test_content_that_comes_late_and_unasked_is_nobodys_answer(
    wire: Wire, behind: Listening, method: str, head: bytes
) -> None:
    """An upstream that sends content to HEAD sends it when it likes: it must not meet the next request there."""
    wire.send(request("/a", BEARER, method=method))
    first = behind.accept()
    first.serve(head)
    assert wire.receive(to=method).status in {200, 204, 304}
    wire.send(request("/b", BEARER))
    second = behind.accept()
    first.send(LATE)
    second.serve()
    assert wire.receive().body == b"ok"


def test_a_connection_serves_again_after_a_head_behind_which_nothing_can_come(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, method="HEAD"))
    peer = behind.accept()
    peer.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert wire.receive(to="HEAD").status == 200
    wire.send(request("/b", BEARER))
    peer.serve()
    assert wire.receive().status == 200


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_204_and_304_have_no_body(wire: Wire, behind: Listening, status: bytes) -> None:
    peer = None
    for _ in range(2):
        wire.send(request("/a", BEARER))
        peer = peer or behind.accept()
        peer.serve(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
        response = wire.receive()
        assert (response.body, response.header("ETag")) == (b"", "x")


def test_early_hints_are_passed_on(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER))
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n"
    behind.accept().serve(hints + hints + OK)
    response = wire.receive()
    assert [interim.status for interim in response.interim] == [103, 103]
    assert response.interim[0].header("Link") == "</a.css>"
    assert response.interim[0].header("Connection") is None
    assert response.body == b"ok"


def test_http10_is_sent_no_interim_response(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER).replace(b"HTTP/1.1", b"HTTP/1.0"))
    behind.accept().serve(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    assert not wire.receive().interim


def test_whoever_waits_for_100_is_told_by_the_upstream(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, ("Content-Length", "5"), ("Expect", "100-continue"), method="POST"))
    peer = behind.accept()
    assert peer.request().all("Expect") == ("100-continue",)
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert wire.receive_head().status == 100
    wire.send(b"hello")
    assert peer.body(5) == b"hello"
    peer.send()
    assert wire.receive().body == b"ok"


def test_an_upstream_that_wants_no_body_gets_none(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, ("Content-Length", "5"), ("Expect", "100-continue"), method="POST"))
    behind.accept().serve(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    response = wire.receive()
    assert (response.status, response.interim, response.header("Connection")) == (403, (), "close")
    assert wire.is_closed()


def test_a_100_that_nobody_waits_for_goes_no_further(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, method="POST", body=b"hello"))
    behind.accept().serve(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert not wire.receive().interim


def test_an_answer_before_the_end_of_the_question_is_passed_on_and_ends_the_connection(
    wire: Wire, behind: Listening
) -> None:
    wire.send(request("/a", BEARER, ("Content-Length", "1000000"), method="POST") + b"x" * 1000)
    peer = behind.accept()
    peer.serve(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
    response = wire.receive()
    assert (response.status, response.body, response.header("Connection")) == (413, b"no", "close")
    assert wire.is_closed()


def test_an_upgrade_to_anything_but_websocket_is_passed_on_as_a_plain_request(wire: Wire, behind: Listening) -> None:
    wire.send(request("/a", BEARER, ("Connection", "Upgrade"), ("Upgrade", "h2c")))
    peer = behind.accept()
    received = peer.serve()
    assert received.names.isdisjoint({"upgrade", "connection"})
    assert wire.receive().body == b"ok"
    wire.send(request("/b", BEARER))
    peer.serve()
    assert wire.receive().body == b"ok"


@pytest.mark.parametrize("left", ["0", "00", "0" * 5000])
def test_options_goes_no_further_than_it_may(wire: Wire, behind: Listening, left: str) -> None:
    wire.send(request("/a", BEARER, ("Max-Forwards", left), method="OPTIONS"))
    assert wire.receive().status == 204
    assert behind.is_untouched()


@pytest.mark.parametrize(
    ("left", "sent"),
    [
        ("1", "0"),
        ("7", "6"),
        ("007", "6"),
        ("10000", "9999"),
        ("70000", "69999"),
        ("2147483648", "2147483647"),
        ("2147483649", "2147483647"),
        ("9" * 5000, "2147483647"),
    ],
)
def test_options_goes_on_with_one_hop_less_and_no_number_that_is_too_great_for_some(
    wire: Wire, behind: Listening, left: str, sent: str
) -> None:
    wire.send(request("/a", BEARER, ("Max-Forwards", left), method="OPTIONS"))
    assert behind.accept().serve().all("Max-Forwards") == (sent,)


@pytest.mark.parametrize("left", ["", "-1", "+5", "5, 5", "5;", "0x5", "1e3", "5.0", "1_0", "\u00b2"])
def test_options_with_hops_that_nobody_can_count_goes_nowhere(wire: Wire, behind: Listening, left: str) -> None:
    wire.send(request("/a", BEARER, ("Max-Forwards", left), method="OPTIONS"))
    answer = wire.receive()
    assert (answer.status, json.loads(answer.body)["reason"]) == (400, "max_forwards")
    assert behind.is_untouched()


def test_options_counts_its_hops_after_other_methods_with_the_same_fields(wire: Wire, behind: Listening) -> None:
    asked = ("GET", "GET", "GET", "OPTIONS", "GET", "OPTIONS")
    wire.send(b"".join(request("/a", BEARER, ("Max-Forwards", "7"), method=method) for method in asked))
    peer = behind.accept()
    sent = [peer.serve().all("Max-Forwards") for _ in asked]
    assert sent == [("7",), ("7",), ("7",), ("6",), ("7",), ("6",)]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "QUERY", "PURGE"])
def test_every_method_that_is_served_arrives(wire: Wire, behind: Listening, method: str) -> None:
    wire.send(request("/a", BEARER, method=method))
    assert behind.accept().serve().line == f"{method} /a HTTP/1.1"


def test_the_upstream_may_be_a_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("u") / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        with running(route("/*", Proxy(Upstream(path=path)))) as gate, connected(gate.address) as wire:
            wire.send(request("/a", BEARER))
            connection, _ = listening.accept()
            with connection:
                assert Peer(connection).serve().line == "GET /a HTTP/1.1"
                assert wire.receive().body == b"ok"


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (b"nonsense\r\n", 400),
        (b"3\r\ndef\r\nnonsense\r\n", 400),
        (b"0\r\nX : y\r\n\r\n", 400),
        (b"0\r\n" + b"X: y\r\n" * 101, 431),
    ],
    ids=["chunk", "chunk behind a good one", "trailer", "too many trailers"],
)
def test_a_body_that_breaks_on_the_way_ends_both_sides(
    wire: Wire, behind: Listening, broken: bytes, status: int
) -> None:
    """Nothing of the packet in which it breaks goes up, above all no last chunk."""
    wire.send(request("/a", BEARER, CHUNKED, method="POST") + b"3\r\nabc\r\n")
    peer = behind.accept()
    peer.request()
    assert peer.body(8) == b"3\r\nabc\r\n"
    wire.send(broken)
    assert wire.receive().status == status
    assert wire.is_closed()
    assert peer.is_closed()


def test_a_chunked_body_that_grows_past_the_bound_ends_both_sides(behind: Listening) -> None:
    with running(route("/*", behind.proxy), limits=Limits(body=10)) as gate, connected(gate.address) as wire:
        wire.send(request("/a", BEARER, CHUNKED, method="POST") + b"8\r\nabcdefgh\r\n")
        peer = behind.accept()
        peer.request()
        peer.body(13)
        wire.send(b"8\r\n")
        assert wire.receive().status == 413
        assert peer.is_closed()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 1000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n61a80\r\n"]
)
def test_of_an_answer_that_breaks_off_all_that_came_is_handed_on(wire: Wire, behind: Listening, framing: bytes) -> None:
    """Its framing tells the client that more was due, so what there is need not be thrown away with a reset."""
    wire.send(request("/a", BEARER))
    peer = behind.accept()
    peer.request()
    much = b"x" * 200_010
    sending = threading.Thread(target=peer.send, args=(b"HTTP/1.1 200 OK\r\n" + framing + much,))
    sending.start()
    assert wire.receive_head().status == 200
    sending.join()  # the kernels hold it all, and so far nobody has read it
    peer.close()
    assert wire.read_to_end().count(b"x") == len(much)


def test_an_answer_whose_end_only_its_connection_shows_is_broken_off_visibly(wire: Wire, behind: Listening) -> None:
    wire.send(b"GET /a HTTP/1.0\r\nHost: a\r\n%b: %b\r\n\r\n" % (BEARER[0].encode(), BEARER[1].encode()))
    peer = behind.accept()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert wire.receive_head().status == 200
    peer.close()
    with pytest.raises(ConnectionResetError):
        wire.read_to_end()
