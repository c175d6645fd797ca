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
