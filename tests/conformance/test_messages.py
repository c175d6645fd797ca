"""RFC 9112, sections 2 to 5: lines, versions, targets, hosts, fields."""

import pytest

from tests.conformance.requirement import must
from tests.conformance.scene import OK, Scene

GET = b"GET /open/a HTTP/1.1\r\nHost: a.test\r\n"
END = b"\r\n"


@must(
    "9112 2.2",
    "recipient",
    "reads a message as octets, not as text of some encoding",
    "bytes from 0x80 pass as they came",
)
def test_octets_pass_as_they_came(talk: Scene) -> None:
    sent = talk.exchange(GET + b"X: \xe9\xff\x80\r\n" + END).request
    assert b"x: \xe9\xff\x80\r\n" in sent.raw.lower()


@must("9112 2.2", "sender", "sends no bare CR outside of content", "refuses it with 400, so has none to send")
def test_a_bare_cr_goes_nowhere(talk: Scene) -> None:
    exchanged = talk.exchange(GET + b"X: a\rb\r\n" + END)
    assert (exchanged.statuses, exchanged.sent) == ((400,), ())


@must("9112 2.2", "recipient", "takes a bare CR for invalid, or for a space", "400; from an upstream 502")
def test_a_bare_cr_from_an_upstream_is_invalid(talk: Scene) -> None:
    assert talk.exchange(GET + END, reply=b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n").statuses == (502,)


@must("9112 2.2", "recipient", "white space before the first field is refused, or that line is left out", "400")
def test_white_space_before_the_first_field_is_refused(talk: Scene) -> None:
    exchanged = talk.exchange(b"GET /open/a HTTP/1.1\r\n X: y\r\nHost: a.test\r\n\r\n")
    assert (exchanged.statuses, exchanged.sent) == ((400,), ())


@must("9112 2.2", "server", "forgives an empty line before a request (SHOULD)", "up to 16; 400 past them")
def test_empty_lines_before_a_request_are_forgiven(talk: Scene) -> None:
    assert talk.exchange(b"\r\n" * 16 + GET + END).statuses == (200,)
    assert talk.exchange(b"\r\n" * 17 + GET + END, closes=True).statuses == (400,)


@must("9112 2.3", "gateway", "forwards under its own version, not the one received: requests")
def test_a_request_goes_on_as_http11(talk: Scene) -> None:
    sent = talk.exchange(b"GET /open/a HTTP/1.0\r\n\r\n").request
    assert sent.raw.startswith(b"GET /open/a HTTP/1.1\r\n")


@must("9112 2.3", "gateway", "forwards under its own version: responses")
def test_a_response_goes_on_as_http11(talk: Scene) -> None:
    raw = talk.broken(GET + b"Connection: close\r\n" + END, (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",))
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")


@must("9112 2.3", "recipient", "the name in the version is `HTTP`, in capitals", "400 for any other")
def test_the_name_of_the_protocol_is_in_capitals(talk: Scene) -> None:
    assert talk.exchange(b"GET /open/a http/1.1\r\nHost: a.test\r\n\r\n").statuses == (400,)


@must("9112 3", "server", "a request target longer than it reads gets 414")
def test_a_long_target_gets_414(talk: Scene) -> None:
    exchanged = talk.exchange(b"GET /open/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a.test\r\n\r\n", closes=True)
    assert exchanged.statuses == (414,)


@must("9112 3.2", "server", "HTTP/1.1 without Host gets 400")
def test_no_host_gets_400(talk: Scene) -> None:
    assert talk.exchange(b"GET /open/a HTTP/1.1\r\n\r\n").statuses == (400,)


@must("9112 3.2", "server", "more than one Host gets 400", "so do two equal ones")
def test_two_hosts_get_400(talk: Scene) -> None:
    assert talk.exchange(GET + b"Host: a.test\r\n" + END).statuses == (400,)


@must("9112 3.2", "server", "a Host that is none gets 400")
@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"u@a", b"a:x", b"[::1"])
def test_a_host_that_is_none_gets_400(talk: Scene, host: bytes) -> None:
    assert talk.exchange(b"GET /open/a HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").statuses == (400,)


@must("9112 3.2.2", "server", "takes a request in absolute form")
def test_absolute_form_is_taken(talk: Scene) -> None:
    sent = talk.exchange(b"GET http://a.test/open/a?b HTTP/1.1\r\nHost: a.test\r\n\r\n").request
    assert sent.target == "/open/a?b"


@must("9112 3.2.2", "gateway", "with absolute form, the Host that came is ignored for that of the target")
def test_the_host_of_the_target_counts(talk: Scene) -> None:
    sent = talk.exchange(b"GET http://b.test/open/a HTTP/1.1\r\nHost: a.test\r\n\r\n").request
    assert dict(sent.fields)["host"] == "b.test"


@must("9112 3.2.3", "server", "authority form is for CONNECT alone", "400; CONNECT itself is 501")
def test_authority_form_is_refused(talk: Scene) -> None:
    assert talk.exchange(b"GET a.test:80 HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (400,)


@must("9112 3.2.4", "server", "asterisk form is for OPTIONS alone")
def test_asterisk_form_is_for_options(talk: Scene) -> None:
    assert talk.exchange(b"GET * HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (400,)
    assert talk.exchange(b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (204,)


@must("9112 3.2.4", "gateway", "a URL without path and query is `*` to OPTIONS")
def test_options_of_a_bare_url_is_about_the_server(talk: Scene) -> None:
    assert talk.exchange(b"OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n").statuses == (204,)


@must("9112 4", "server", "the space behind the status is sent even where there is no reason")
def test_the_space_behind_a_status_is_sent(talk: Scene) -> None:
    raw = talk.broken(GET + b"Connection: close\r\n" + END, (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",))
    assert raw.startswith(b"HTTP/1.1 200 \r\n")


@must("9112 5.1", "server", "white space between a field's name and its colon gets 400")
@pytest.mark.parametrize("space", [b" ", b"\t"])
def test_white_space_before_a_colon_gets_400(talk: Scene, space: bytes) -> None:
    exchanged = talk.exchange(GET + b"X" + space + b": y\r\n" + END)
    assert (exchanged.statuses, exchanged.sent) == ((400,), ())


@must("9112 5.1", "gateway", "no such white space is passed on from an upstream", "502")
def test_white_space_before_a_colon_from_an_upstream_is_502(talk: Scene) -> None:
    assert talk.exchange(GET + END, reply=b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n").statuses == (502,)


@must("9112 5.2", "server", "a folded field gets 400, or becomes one line", "400")
def test_a_folded_field_gets_400(talk: Scene) -> None:
    assert talk.exchange(GET + b"X: y\r\n z\r\n" + END).statuses == (400,)


@must("9112 5.2", "gateway", "a folded field from an upstream is 502, or becomes one line", "502")
def test_a_folded_field_from_an_upstream_is_502(talk: Scene) -> None:
    assert talk.exchange(GET + END, reply=b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n").statuses == (502,)


@must("9110 5.1", "gateway", "fields that it does not know pass on")
def test_unknown_fields_pass_on(talk: Scene) -> None:
    exchanged = talk.exchange(GET + b"X-Unheard-Of: y\r\n" + END, reply=OK.replace(b"\r\n", b"\r\nX-New: z\r\n", 1))
    assert dict(exchanged.request.fields)["x-unheard-of"] == "y"
    assert exchanged.answer.header("X-New") == "z"


@must("9110 5.3", "gateway", "fields of one name keep their order")
def test_fields_of_one_name_keep_their_order(talk: Scene) -> None:
    reply = OK.replace(b"\r\n", b"\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n", 1)
    exchanged = talk.exchange(GET + b"X: 1\r\nY: 2\r\nX: 3\r\n" + END, reply=reply)
    assert [value for name, value in exchanged.request.fields if name == "x"] == ["1", "3"]
    assert exchanged.answer.all("Set-Cookie") == ("a", "b")


@must(
    "9110 5.3",
    "sender",
    "a field that is no list is sent once",
    "two of a singleton are refused with 400; cookies, and lists of entity tags, become one",
)
def test_a_singleton_is_never_sent_twice(talk: Scene) -> None:
    assert talk.exchange(GET + b"Content-Type: a/b\r\nContent-Type: a/c\r\n" + END).statuses == (400,)
    sent = talk.exchange(GET + b"Cookie: a=b\r\nCookie: c=d\r\n" + END).request
    assert [value for name, value in sent.fields if name == "cookie"] == ["a=b; c=d"]
    sent = talk.exchange(GET + b'If-None-Match: "a"\r\nIf-None-Match: W/"b"\r\n' + END).request
    assert [value for name, value in sent.fields if name == "if-none-match"] == ['"a", W/"b"']


@must("9110 5.3", "server", "nothing is done before all fields have come")
def test_half_a_head_does_nothing(talk: Scene) -> None:
    exchanged = talk.exchange(GET + b"X: y\r\n")
    assert (exchanged.answers, exchanged.sent) == ((), ())


@must("9110 5.4", "server", "fields larger than it reads get a 4xx", "431")
def test_large_fields_get_431(talk: Scene) -> None:
    assert talk.exchange(GET + b"X: " + b"y" * 9000 + b"\r\n" + END, closes=True).statuses == (431,)


@must("9110 5.5", "recipient", "CR, LF and NUL in a value are refused, or become spaces", "400; from an upstream 502")
@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0"])
def test_dangerous_bytes_in_a_value_are_refused(talk: Scene, byte: bytes) -> None:
    assert talk.exchange(GET + b"X: a" + byte + b"b\r\n" + END).statuses == (400,)
    reply = b"HTTP/1.1 200 OK\r\nX: a" + byte + b"b\r\nContent-Length: 0\r\n\r\n"
    assert talk.exchange(GET + END, reply=reply).statuses == (502,)


@must("9110 5.5", "recipient", "white space around a value is no part of it")
def test_white_space_around_a_value_is_no_part_of_it(talk: Scene) -> None:
    sent = talk.exchange(GET + b"X: \t y \t\r\n" + END).request
    assert b"x: y\r\n" in sent.raw
