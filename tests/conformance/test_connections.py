"""RFC 9112, section 9: how long a connection lasts, and what is answered in which order."""

import pytest

from tests.conformance.requirement import must
from tests.conformance.scene import OK, TOKEN, Scene

GET = b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n"
END = b"\r\n"


@must("9112 9.3", "server", "close from the client ends the connection")
@pytest.mark.parametrize("option", [b"close", b"Close", b"x, close", b"keep-alive, close"])
def test_close_ends_the_connection(talk: Scene, option: bytes) -> None:
    exchanged = talk.exchange(GET + b"Connection: " + option + b"\r\n" + END, closes=True)
    assert (exchanged.statuses, exchanged.closed) == ((200,), True)


@must("9112 9.3", "server", "reads the whole body, or closes after the answer", "a short rest is read and thrown away")
def test_an_unread_body_is_no_request(talk: Scene) -> None:
    body = GET + END
    raw = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n" % len(body) + body + GET + END
    exchanged = talk.exchange(raw)
    assert (exchanged.statuses, len(exchanged.sent)) == ((401, 200), 1)


@must("9112 9.3.2", "server", "pipelined requests are answered in their order")
def test_pipelined_requests_are_answered_in_order(talk: Scene) -> None:
    raw = (
        GET
        + END
        + b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
        + b"GET /hello HTTP/1.1\r\nHost: a.test\r\n"
        + TOKEN
        + END
    )
    assert talk.exchange(raw).statuses == (200, 401, 200)


@must("9112 9.6", "server", "nothing that comes behind a request with close is looked at")
def test_nothing_behind_close_is_read(talk: Scene) -> None:
    exchanged = talk.exchange(GET + b"Connection: close\r\n" + END + GET + END, closes=True)
    assert (exchanged.statuses, len(exchanged.sent)) == ((200,), 1)


@must("9112 9.6", "server", "an answer behind which it closes says close (SHOULD)")
def test_the_last_answer_says_close(talk: Scene) -> None:
    assert talk.exchange(GET + b"Connection: close\r\n" + END).answer.header("Connection") == "close"
    assert talk.exchange(b"GET /open/a HTTP/1.0\r\n\r\n").answer.header("Connection") == "close"


@must("9110 9.2.2", "gateway", "what is not idempotent is not sent again by itself")
def test_a_post_is_not_sent_again(talk: Scene) -> None:
    talk.exchange(GET + END)
    raw = b"POST /open/a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nok"
    exchanged = talk.exchange(raw, reply=(None,))
    assert (exchanged.statuses, len(exchanged.sent)) == ((502,), 1)


@must("9110 7.6.1", "gateway", "Connection, and the fields that it names, end here: requests")
def test_hop_by_hop_fields_of_a_request_end_here(talk: Scene) -> None:
    fields = b"Connection: X-Mine, close\r\nX-Mine: a\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: x\r\n"
    names = {name for name, _ in talk.exchange(GET + fields + b"Upgrade: h2c\r\n" + END).request.fields}
    assert not names & {"connection", "x-mine", "keep-alive", "te", "proxy-connection", "upgrade"}


@must("9110 7.6.1", "gateway", "Connection, and the fields that it names, end here: responses")
def test_hop_by_hop_fields_of_a_response_end_here(talk: Scene) -> None:
    reply = b"HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: a\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n"
    answer = talk.exchange(GET + END, reply=reply).answer
    assert (answer.header("X-Mine"), answer.header("Keep-Alive")) == (None, None)


@must(
    "9110 7.6.1",
    "sender",
    "Connection names no field that is meant for every recipient",
    "such a name takes nothing away",
)
@pytest.mark.parametrize("name", [b"Host", b"Cookie", b"Content-Length", b"X-Forwarded-For"])
def test_connection_takes_nothing_away_that_is_everybodys(talk: Scene, name: bytes) -> None:
    raw = (
        b"POST /open/a HTTP/1.1\r\nHost: a.test\r\nCookie: a=b\r\nContent-Length: 2\r\nConnection: "
        + name
        + b"\r\n\r\nok"
    )
    sent = talk.exchange(raw).request
    assert name.decode().lower() in dict(sent.fields)
    assert sent.body == b"ok"


@must("9110 7.6.2", "gateway", "OPTIONS with Max-Forwards: 0 goes no further")
def test_max_forwards_zero_goes_no_further(talk: Scene) -> None:
    exchanged = talk.exchange(b"OPTIONS /open/a HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\n\r\n")
    assert (exchanged.statuses, exchanged.sent) == ((204,), ())


@must("9110 7.6.2", "gateway", "OPTIONS with more goes on with one less")
def test_max_forwards_becomes_one_less(talk: Scene) -> None:
    sent = talk.exchange(b"OPTIONS /open/a HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 7\r\n\r\n").request
    assert dict(sent.fields)["max-forwards"] == "6"


@must("9110 7.6.3", "gateway", "adds itself to Via, with the version that it was spoken to in")
def test_via_is_added(talk: Scene) -> None:
    via = [value for name, value in talk.exchange(GET + b"Via: 1.0 x\r\n" + END).request.fields if name == "via"]
    assert via == ["1.0 x", "1.1 sluicegate"]
    assert dict(talk.exchange(b"GET /open/a HTTP/1.0\r\n\r\n").request.fields)["via"] == "1.0 sluicegate"


@must("9110 7.7", "gateway", "path and query go on as they came")
@pytest.mark.parametrize("target", ["/open/%7Ea/%41?b=%2f&c=%zz", "/open/a?", "/open/a,b:c@d"])
def test_path_and_query_go_on_as_they_came(talk: Scene, target: str) -> None:
    assert talk.exchange(f"GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n".encode()).request.target == target


@must("9110 7.7", "gateway", "content goes on as it came")
def test_content_goes_on_as_it_came(talk: Scene) -> None:
    body = bytes(range(256)) * 4
    reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: x\r\nContent-Length: 1024\r\n\r\n" + body
    raw = b"POST /open/a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1024\r\n\r\n" + body
    exchanged = talk.exchange(raw, reply=reply)
    assert exchanged.request.body == exchanged.answer.body == body


@must("9110 7.8", "server", "switches to no protocol that the client did not name, and ignores those it does not know")
@pytest.mark.parametrize("upgrade", [b"h2c", b"HTTP/2.0", b"x"])
def test_unknown_upgrades_are_ignored(talk: Scene, upgrade: bytes) -> None:
    assert talk.exchange(GET + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n" + END).statuses == (200,)


@must("9110 7.8", "server", "an upstream's 101 that nobody asked for reaches nobody", "502")
def test_an_unasked_101_is_502(talk: Scene) -> None:
    reply = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    assert talk.exchange(GET + END, reply=reply).statuses == (502,)


@must("9110 7.8", "server", "an upgrade in HTTP/1.0 is ignored")
def test_an_upgrade_in_http10_is_ignored(talk: Scene) -> None:
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    fields += b"Sec-WebSocket-Version: 13\r\n"
    exchanged = talk.exchange(b"GET /open/a HTTP/1.0\r\nHost: a.test\r\n" + fields + END, reply=OK)
    assert 101 not in exchanged.statuses
