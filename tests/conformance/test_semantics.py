"""RFC 9110: methods, expectations, statuses, dates, authentication."""

import re

import pytest

from tests.conformance.requirement import must
from tests.conformance.scene import OK, TOKEN, Scene

GET = b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n"
POST = b"POST /open/a HTTP/1.1\r\nHost: a.test\r\n"
END = b"\r\n"


@must("9110 7.4", "server", "a URL of https is refused on a connection that is not secured", "400")
def test_https_without_tls_is_refused(talk: Scene) -> None:
    assert talk.exchange(b"GET https://a.test/open/a HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (400,)


@must("9110 9.1", "server", "methods are told apart by case")
def test_methods_are_told_apart_by_case(talk: Scene) -> None:
    assert talk.exchange(b"get /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (501,)


@must("9110 9.1", "server", "GET and HEAD are served")
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_get_and_head_are_served(talk: Scene, method: bytes) -> None:
    raw = method + b" /hello HTTP/1.1\r\nHost: a.test\r\n" + TOKEN + END
    assert talk.exchange(raw).statuses == (200,)


@must("9110 9.1", "server", "a method that it does not know gets 501 (SHOULD)")
def test_an_unknown_method_gets_501(talk: Scene) -> None:
    assert talk.exchange(b"BREW /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (501,)


@must("9110 9.3.8", "server", "TRACE shows a client nothing that it should not see", "405, with Allow")
def test_trace_is_refused(talk: Scene) -> None:
    exchanged = talk.exchange(b"TRACE /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert (exchanged.statuses, exchanged.sent) == ((405,), ())


@must("9110 15.5.6", "server", "405 says in Allow what would be allowed")
def test_405_says_what_is_allowed(talk: Scene) -> None:
    answer = talk.exchange(b"TRACE /open/a HTTP/1.1\r\nHost: a.test\r\n\r\n").answer
    assert "GET" in (answer.header("Allow") or "")


@must("9110 10.1.1", "server", "an expectation in HTTP/1.0 is ignored", "and does not pass on")
def test_an_expectation_in_http10_is_ignored(talk: Scene) -> None:
    raw = b"POST /open/a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"
    exchanged = talk.exchange(raw, reply=b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert "expect" not in dict(exchanged.request.fields)
    assert (exchanged.statuses, exchanged.answer.interim) == ((200,), ())


@must("9110 10.1.1", "gateway", "an expectation of 100 passes on, or is answered at once")
def test_an_expectation_passes_on(talk: Scene) -> None:
    raw = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok"
    exchanged = talk.exchange(raw, reply=b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert dict(exchanged.request.fields)["expect"] == "100-continue"
    assert [interim.status for interim in exchanged.answer.interim] == [100]


@must("9110 10.1.1", "server", "who is refused while waiting for 100 gets the final status at once")
def test_a_refusal_does_not_wait_for_the_body(talk: Scene) -> None:
    raw = b"POST /x HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert talk.exchange(raw, closes=True).statuses == (401,)


@must("9110 15.2", "server", "HTTP/1.0 gets no 1xx")
def test_http10_gets_no_interim_response(talk: Scene) -> None:
    reply = b"HTTP/1.1 103 X\r\n\r\n" + OK
    assert talk.exchange(b"GET /open/a HTTP/1.0\r\n\r\n", reply=reply).answer.interim == ()


@must("9110 15.2", "gateway", "1xx responses pass on", "at most 16 of them")
def test_interim_responses_pass_on(talk: Scene) -> None:
    reply = b"HTTP/1.1 103 X\r\nLink: <a>\r\n\r\n" * 2 + OK
    answer = talk.exchange(GET + END, reply=reply).answer
    assert [interim.header("Link") for interim in answer.interim] == ["<a>", "<a>"]


@must("9110 15.5.2", "server", "401 carries a challenge")
def test_401_carries_a_challenge(talk: Scene) -> None:
    answer = talk.exchange(b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n").answer
    assert (answer.status, (answer.header("WWW-Authenticate") or "").split()[0]) == (401, "Bearer")


@must("9110 11.6.1", "gateway", "an upstream's challenge passes on as it came")
def test_a_challenge_passes_on(talk: Scene) -> None:
    reply = b'HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm="a, b"\r\nContent-Length: 0\r\n\r\n'
    assert talk.exchange(GET + END, reply=reply).answer.header("WWW-Authenticate") == 'Basic realm="a, b"'


@must(
    "9110 11.6.2",
    "gateway",
    "Authorization passes on as it came",
    "one that came twice ends here: it has no one meaning",
)
def test_authorization_passes_on(talk: Scene) -> None:
    line = b"Authorization: Basic  YTpi\r\n"
    assert dict(talk.exchange(GET + line + END).request.fields)["authorization"] == "Basic  YTpi"
    assert "authorization" not in dict(talk.exchange(GET + line + line + END).request.fields)


@must("9110 6.6.1", "server", "answers carry a Date", "one is added where an upstream's does not")
@pytest.mark.parametrize("raw", [GET + END, b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", b"GET  / HTTP/1.1\r\n\r\n"])
def test_answers_carry_a_date(talk: Scene, raw: bytes) -> None:
    assert talk.exchange(raw).answer.header("Date")


@must("9110 5.6.7", "sender", "dates are in the one form that all read")
def test_dates_are_in_the_preferred_form(talk: Scene) -> None:
    form = r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    assert re.fullmatch(form, talk.exchange(GET + END).answer.header("Date") or "")


@must("9110 6.6.1", "gateway", "an upstream's Date is not replaced")
def test_an_upstreams_date_is_kept(talk: Scene) -> None:
    date = b"Thu, 01 Jan 1970 00:00:00 GMT"
    reply = OK.replace(b"\r\n", b"\r\nDate: " + date + b"\r\n", 1)
    assert talk.exchange(GET + END, reply=reply).answer.header("Date") == date.decode()


@must("9110 15.6.3", "gateway", "an upstream that cannot be understood is 502 (its definition)")
def test_nonsense_is_502(talk: Scene) -> None:
    assert talk.exchange(GET + END, reply=(b"hello\r\n\r\n", None)).statuses == (502,)


@must("9110 15", "recipient", "a status outside of 100 to 599 is invalid", "502")
@pytest.mark.parametrize("status", [b"099", b"600", b"20", b"2000"])
def test_a_status_out_of_range_is_502(talk: Scene, status: bytes) -> None:
    assert talk.exchange(GET + END, reply=b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\n\r\n").statuses == (502,)


@must("9110 15", "gateway", "a status that it does not know passes on as one of its class")
def test_an_unknown_status_passes_on(talk: Scene) -> None:
    assert talk.exchange(GET + END, reply=b"HTTP/1.1 299 X\r\nContent-Length: 0\r\n\r\n").statuses == (299,)


@must("9110 2.5", "server", "answers in a version that it speaks", "HTTP/1.1 to HTTP/1.0 too; 505 to any other")
@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0"])
def test_other_versions_get_505(talk: Scene, version: bytes) -> None:
    assert talk.exchange(b"GET /open/a " + version + b"\r\nHost: a.test\r\n\r\n").statuses == (505,)


@must("9110 3.3", "server", "two requests of one connection are not taken for one client's", "each shows its own token")
def test_each_request_of_a_connection_is_judged_by_itself(talk: Scene) -> None:
    start = b"GET /hello HTTP/1.1\r\nHost: a.test\r\n"
    assert talk.exchange(start + TOKEN + END + start + END + start + TOKEN + END).statuses == (200, 401, 200)


@must("9110 4.2.1", "recipient", "a URL without a host is invalid", "400")
@pytest.mark.parametrize("url", [b"http:///open/a", b"http://:80/open/a", b"http://?a", b"https:///open/a"])
def test_a_url_without_a_host_is_refused(talk: Scene, url: bytes) -> None:
    exchanged = talk.exchange(b"GET " + url + b" HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert (exchanged.statuses, exchanged.sent) == ((400,), ())


@must("9110 4.2.4", "recipient", "a URL that names a user is an error (SHOULD)", "400")
@pytest.mark.parametrize("url", [b"http://u@a.test/open/a", b"http://u:p@a.test/open/a", b"http://@a.test/open/a"])
def test_a_url_that_names_a_user_is_refused(talk: Scene, url: bytes) -> None:
    assert talk.exchange(b"GET " + url + b" HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (400,)


@must("9110 5.6.1", "recipient", "empty elements of a list are ignored")
def test_empty_elements_are_ignored(talk: Scene) -> None:
    assert talk.exchange(GET + b"Connection: , ,\r\n" + END + GET + END).statuses == (200, 200)
    assert talk.exchange(GET + b"Connection: ,, close ,\r\n" + END + GET + END, closes=True).statuses == (200,)
    for expected, sent in ((b", 100-continue,", "100-continue"), (b"", None), (b" ,", None)):
        raw = POST + b"Expect: " + expected + b"\r\nContent-Length: 2\r\n\r\nok"
        assert dict(talk.exchange(raw).request.fields).get("expect") == sent


@must("9110 5.6.3", "recipient", "bad white space is read past, where the grammar has it")
@pytest.mark.parametrize("size", [b"2 ;a", b"2\t; a", b"2 ; a = b", b'2;a\t=\t"b"'])
def test_bad_white_space_is_read_past(talk: Scene, size: bytes) -> None:
    raw = POST + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\nok\r\n0\r\n\r\n"
    assert talk.exchange(raw).request.body == b"ok"


@must("9110 5.6.4", "recipient", "a quoted pair stands for its second byte", "so a quote in it ends nothing")
def test_a_quoted_pair_ends_nothing(talk: Scene) -> None:
    raw = POST + b'Transfer-Encoding: chunked\r\n\r\n2;a="\\";b\\\\"\r\nok\r\n0\r\n\r\n'
    assert talk.exchange(raw).request.body == b"ok"


_HANDSHAKE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@must("9110 7.8", "server", "426 names the protocols that it would take")
def test_426_names_a_protocol(talk: Scene) -> None:
    answer = talk.exchange(GET + _HANDSHAKE + b"Sec-WebSocket-Version: 8\r\n" + END).answer
    assert (answer.status, answer.header("Upgrade")) == (426, "websocket")


@must("9110 7.8", "server", "101 names the protocol, and Connection names Upgrade", "so does the request that goes on")
def test_101_names_the_protocol(talk: Scene) -> None:
    reply = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    reply += b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    exchanged = talk.exchange(GET + _HANDSHAKE + b"Sec-WebSocket-Version: 13\r\n" + END, reply=(reply, None))
    answer, sent = exchanged.answer, dict(exchanged.request.fields)
    assert (answer.status, answer.header("Upgrade"), answer.header("Connection")) == (101, "websocket", "Upgrade")
    assert (sent["upgrade"], sent["connection"]) == ("websocket", "Upgrade")


@must("9110 9.3.6", "server", "CONNECT to what is no port is refused", "501, as CONNECT is to anything")
@pytest.mark.parametrize("target", [b"a.test:443", b"a.test:", b"a.test:x", b"a.test"])
def test_connect_is_refused(talk: Scene, target: bytes) -> None:
    exchanged = talk.exchange(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a.test\r\n\r\n" + GET + END, closes=True)
    assert (exchanged.statuses, exchanged.sent, exchanged.closed) == ((501,), (), True)


@must("9110 10.1.1", "server", "who waits for 100 is answered before the content comes", "with 200, where none is read")
def test_an_answer_of_its_own_does_not_wait_for_content(talk: Scene) -> None:
    raw = b"POST /hello HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + TOKEN + END
    assert talk.exchange(raw, closes=True).statuses == (200,)


@must("9110 13.2.1", "server", "conditions change no answer that would not be a 2xx")
def test_conditions_change_no_refusal(talk: Scene) -> None:
    conditions = b"If-None-Match: *\r\nIf-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
    raw = b"GET /x HTTP/1.1\r\nHost: a.test\r\n" + conditions
    assert talk.exchange(raw + END).statuses == (401,)


@must("9110 14.2", "server", "a range of what has no ranges is ignored")
@pytest.mark.parametrize("asked", [b"bytes=0-1", b"bytes=99-", b"x=1", b"bytes=18446744073709551616-"])
def test_ranges_of_its_own_answers_are_ignored(talk: Scene, asked: bytes) -> None:
    raw = b"GET /hello HTTP/1.1\r\nHost: a.test\r\nRange: " + asked + b"\r\n" + TOKEN + END
    exchanged = talk.exchange(raw)
    assert (exchanged.statuses, exchanged.answer.body) == ((200,), b"Hello alice!")
