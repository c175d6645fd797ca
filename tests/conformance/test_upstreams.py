"""RFC 9110 and RFC 9112, of the gate as a client: what it sends to upstreams, and what it takes from them."""

import re

import pytest

from sluicegate.server.routes import Proxy, Upstream
from sluicegate.server.wire.limits import Limits
from tests.conformance.requirement import must
from tests.conformance.scene import OK, TOKEN, Scene
from tests.server.gate import route, running
from tests.server.upstream import upstream
from tests.servers.cable import cable
from tests.servers.ports import LOOPBACK
from tests.wire import connected, exchange, request

GET = b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n"
POST = b"POST /open/a HTTP/1.1\r\nHost: a.test\r\n"
END = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@must("9112 2.2", "sender", "no line end stands before or behind a request")
def test_nothing_stands_between_two_requests(talk: Scene) -> None:
    sent = talk.exchange(POST + b"Content-Length: 2\r\n\r\nok" + GET + END).sent
    assert talk.behind.raw == sent[0].raw + sent[1].raw
    assert talk.behind.raw.startswith(b"POST ")
    assert talk.behind.raw.endswith(b"\r\n\r\n")


@must("9112 2.2", "sender", "the first field follows the request line at once")
def test_the_first_field_follows_the_line(talk: Scene) -> None:
    sent = talk.exchange(GET + b"X: \t y\r\n" + END).request
    assert re.match(rb"GET /open/a HTTP/1\.1\r\n[A-Za-z-]+: ", sent.raw)


@must("9112 3.2", "sender", "a request names its host, also where the client named none")
def test_a_request_always_names_its_host(talk: Scene) -> None:
    host = dict(talk.exchange(b"GET /open/a HTTP/1.0\r\n\r\n").request.fields)["host"]
    assert re.fullmatch(r"127\.0\.0\.1:[0-9]+", host)


@must("9112 3.2.1", "sender", "a request line holds path and query alone, and an empty path is `/`")
def test_an_empty_path_is_sent_as_a_slash(talk: Scene) -> None:
    assert talk.exchange(b"GET http://b.test?c HTTP/1.1\r\nHost: a.test\r\n" + TOKEN + END).request.target == "/?c"


@must("9112 5.2", "sender", "no field is folded", "of many lines of one name each stays a line")
def test_no_field_is_folded(talk: Scene) -> None:
    lines = b"".join(b"X: %s\r\n" % (b"y" * 300) for _ in range(20))
    sent = talk.exchange(GET + lines + END).request
    assert re.search(rb"\r\n[ \t]", sent.raw) is None
    assert sent.raw.count(b"\r\nx: ") == 20


@must("9112 6.1", "sender", "chunks are sent where they are known to be understood", "only where the client sent some")
def test_a_body_goes_on_in_the_framing_it_came_in(talk: Scene) -> None:
    assert "transfer-encoding" not in dict(talk.exchange(POST + b"Content-Length: 2\r\n\r\nok").request.fields)
    sent = dict(talk.exchange(POST + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n").request.fields)
    assert sent["transfer-encoding"] == "chunked"


@must("9112 6.3", "gateway", "of a response with both framings the length does not go on", "502")
@pytest.mark.parametrize("length", [b"Content-Length: 2\r\n", b"Content-Length: 5\r\n"])
def test_both_framings_from_an_upstream_are_502(talk: Scene, length: bytes) -> None:
    chunks = b"\r\n2\r\nok\r\n0\r\n\r\n"
    assert talk.exchange(GET + END, reply=b"HTTP/1.1 200 OK\r\n" + length + CHUNKED + chunks).statuses == (502,)


@must("9112 6.3", "gateway", "what follows a response is no response to anybody", "its connection is closed")
def test_a_second_response_is_nobodys(talk: Scene) -> None:
    wrong = OK.replace(b"ok", b"no")
    assert talk.exchange(GET + END, reply=OK + wrong).answer.body == b"ok"
    before = talk.behind.connections
    assert talk.exchange(GET + END).answer.body == b"ok"
    assert talk.behind.connections == before + 1


@must("9112 9.2", "recipient", "bytes that come unasked are no response", "their connection is closed")
def test_bytes_that_come_unasked_are_no_response() -> None:
    patient = Limits(upstream_idle=600)  # so that nothing else closes it
    with (
        upstream() as behind,
        running(route("/*", behind.proxy, auth="none"), limits=patient) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/"))
        peer = behind.accept()
        peer.serve()
        assert wire.receive().body == b"ok"
        peer.send(OK.replace(b"ok", b"no"))
        assert peer.is_closed()
        wire.send(request("/"))
        behind.accept().serve()
        assert wire.receive().body == b"ok"


@must("9112 9.3", "recipient", "a connection is used again only when its response was read to the end")
def test_a_response_that_nobody_reads_ends_its_connection() -> None:
    with upstream() as behind, running(route("/*", behind.proxy, auth="none")) as gate:
        with connected(gate.address) as wire:
            wire.send(request("/"))
            peer = behind.accept()
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhe")
            assert wire.receive_head().status == 200
        assert peer.is_closed()


@must("9112 9.6", "recipient", "an upstream that says close gets no further request on its connection")
def test_no_request_follows_close_from_an_upstream(talk: Scene) -> None:
    closing = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    talk.exchange(GET + END, reply=closing)
    before = talk.behind.connections
    assert talk.exchange(GET + END, reply=closing).answer.body == b"ok"
    assert talk.behind.connections == before + 1


@must("9112 7.4", "sender", "TE does not name chunked, and Connection names TE", "only `trailers` goes on")
def test_te_names_trailers_alone(talk: Scene) -> None:
    sent = dict(talk.exchange(GET + b"TE: chunked, trailers, gzip\r\nConnection: TE\r\n" + END).request.fields)
    assert (sent["te"], sent["connection"]) == ("trailers", "TE")


@must("9110 5.6.1", "sender", "no list has an empty element")
def test_no_list_has_an_empty_element(talk: Scene) -> None:
    fields = b"X-Forwarded-For:\r\nX-Forwarded-For: ,\r\nConnection: , ,\r\nTE: ,trailers,\r\n"
    sent = dict(talk.exchange(GET + fields + END).request.fields)
    for name in ("x-forwarded-for", "connection", "te", "via"):
        assert all(element.strip() for element in sent.get(name, "x").split(","))


@must(
    "9110 7.6", "gateway", "a request that comes back to the gate does not go round for ever", "431 when it is too long"
)
def test_a_request_does_not_go_round_for_ever() -> None:
    with cable(0) as round_, running(route("/*", Proxy(Upstream(LOOPBACK, round_.port)), auth="none")) as gate:
        round_.to = gate.address[1]
        assert exchange(gate.address, request("/")).status == 431


@must("9110 7.6.1", "gateway", "trailers that Connection names end here: requests")
def test_trailers_that_connection_names_end_here(talk: Scene) -> None:
    chunks = b"\r\n2\r\nok\r\n0\r\nX: 1\r\nY: 2\r\nx_z: 3\r\n\r\n"
    sent = talk.exchange(POST + CHUNKED + b"Connection: keep-alive, X\r\nConnection: X-Z\r\n" + chunks).request
    assert sent.raw.endswith(b"\r\n0\r\nY: 2\r\n\r\n")


@must("9110 7.6.1", "gateway", "trailers that Connection names end here: responses")
def test_trailers_that_an_upstreams_connection_names_end_here(talk: Scene) -> None:
    reply = b"HTTP/1.1 200 OK\r\nConnection: X\r\n" + CHUNKED + b"\r\n2\r\nok\r\n0\r\nX: 1\r\nY: 2\r\n\r\n"
    answer = talk.exchange(GET + b"TE: trailers\r\nConnection: TE\r\n" + END, reply=reply).answer
    assert answer.trailers == (("Y", "2"),)


@must("9110 9.3.7", "gateway", "adds no Max-Forwards where none came")
def test_no_max_forwards_is_added(talk: Scene) -> None:
    assert "max-forwards" not in dict(talk.exchange(b"OPTIONS /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n").request.fields)


@must("9110 10.1.1", "sender", "who sends no content expects no 100", "the expectation ends here")
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 0\r\n"])
def test_nothing_is_expected_without_content(talk: Scene, framing: bytes) -> None:
    sent = talk.exchange(POST + framing + b"Expect: 100-continue\r\n" + END).request
    assert "expect" not in dict(sent.fields)


@must("9110 10.2.1", "gateway", "an upstream's Allow passes on as it came")
def test_allow_passes_on(talk: Scene) -> None:
    reply = OK.replace(b"200 OK\r\n", b"405 X\r\nAllow: GET,  BREW\r\n", 1)
    assert talk.exchange(GET + END, reply=reply).answer.header("Allow") == "GET,  BREW"


@must("9110 12.5.5", "gateway", "puts no `*` into Vary")
def test_vary_passes_on(talk: Scene) -> None:
    reply = OK.replace(b"\r\n", b"\r\nVary: Accept\r\n", 1)
    assert talk.exchange(GET + b"Origin: http://a.test\r\n" + END, reply=reply).answer.all("Vary") == ("Accept",)


@must("9110 13.2.1", "gateway", "who is not the origin evaluates no condition, and passes it on")
def test_conditions_pass_on(talk: Scene) -> None:
    date = "Thu, 01 Jan 1970 00:00:00 GMT"
    conditions = {"if-match": '"a"', "if-none-match": "*", "if-range": date}
    conditions |= {"if-modified-since": date, "if-unmodified-since": date}
    lines = "".join(f"{name}: {value}\r\n" for name, value in conditions.items()).encode()
    exchanged = talk.exchange(GET + lines + END)
    assert {name: value for name, value in exchanged.request.fields if name in conditions} == conditions
    assert exchanged.statuses == (200,)
