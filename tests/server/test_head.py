"""Heads from bytes: the same however they are cut, and nothing that could be read in two ways."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.server.wire.head import CHUNKED, Head, RequestReader
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.request_line import METHODS
from tests.server.requests import REFUSED, SERVED
from tests.wire import request

LIMITS = Limits(request_line=512, field=512, fields=20, body=10_000)
NODE_TAKES_THE_FIRST = """
    age content-length content-type etag expires from host if-modified-since if-unmodified-since last-modified location
    max-forwards referer retry-after server user-agent
"""
"""`matchKnownFields` in lib/_http_incoming.js of Node.js 20, less `authorization` and `proxy-authorization`: of these
none, or none of two, goes on."""


def read(*pieces: bytes) -> tuple[Head, bytes]:
    """Read one head from pieces; return it with what came after it."""
    reader = RequestReader(LIMITS)
    for place, piece in enumerate(pieces):
        head = reader.read(piece)
        if head is not None:
            return head, reader.rest + b"".join(pieces[place + 1 :])
    raise AssertionError("the head is not complete")


def outcome(*pieces: bytes) -> object:
    """What becomes of these pieces: a status, or everything that was read."""
    try:
        head, rest = read(*pieces)
    except Malformed as malformed:
        return malformed.status
    block = head.block
    return head.method, head.target, block.host, block.fields, block.length, block.persistent, block.expects, rest


@pytest.mark.parametrize("case", SERVED.values(), ids=SERVED)
def test_every_cut_gives_the_same_head(case: bytes) -> None:
    whole = outcome(case)
    assert not isinstance(whole, int)
    for cut in range(1, len(case)):
        assert outcome(case[:cut], case[cut:]) == whole


@pytest.mark.parametrize("case", SERVED.values(), ids=SERVED)
def test_one_byte_at_a_time_gives_the_same_head(case: bytes) -> None:
    assert outcome(*(case[place : place + 1] for place in range(len(case)))) == outcome(case)


@pytest.mark.parametrize(("raw", "status"), REFUSED.values(), ids=REFUSED)
def test_every_cut_is_refused_with_the_same_status(raw: bytes, status: int) -> None:
    assert outcome(raw) == status
    for cut in range(1, len(raw)):
        assert outcome(raw[:cut], raw[cut:]) == status, raw[:cut]


@given(st.lists(st.sampled_from([*SERVED.values()]), min_size=1, max_size=4), st.data())
def test_any_cuts_of_several_requests_give_the_same_heads(requests: list[bytes], data: st.DataObject) -> None:
    """Bodies are left out: where one request ends, the next begins, whatever came in one piece."""
    whole = [request[: len(request) - len(read(request)[1])] for request in requests]
    raw = b"".join(whole)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    reader, heads, rest = RequestReader(LIMITS), [], b""
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        rest = raw[start:end]
        while rest and (head := reader.read(rest)) is not None:
            heads.append((head.method, head.target, head.block.fields))
            rest = reader.rest
    assert heads == [(head.method, head.target, head.block.fields) for head, _ in map(read, whole)]


def warm() -> RequestReader:
    """A reader that has read a request before: of the first, which may be the only one, nothing is kept."""
    reader = RequestReader(LIMITS)
    reader.read(b"GET /first HTTP/1.1\r\nHost: first\r\n\r\n")
    return reader


def test_of_a_first_request_nothing_is_kept() -> None:
    reader, raw = RequestReader(LIMITS), b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second, third = reader.read(raw), reader.read(raw), reader.read(raw)
    assert second is not first
    assert second is third


def test_a_block_that_comes_again_is_not_read_again() -> None:
    reader = warm()
    first = reader.read(b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
    second = reader.read(b"POST /b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest")
    assert first is not None
    assert second is not None
    assert second.block is first.block
    assert (second.method, second.target.path, reader.rest) == ("POST", b"/b", b"rest")


def test_a_head_that_comes_again_is_the_same_until_an_empty_line_comes_before_it() -> None:
    reader, raw = warm(), b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    first = reader.read(raw)
    assert reader.read(raw + b"body") is first
    assert reader.rest == b"body"
    assert reader.read(b"\r\n") is None
    again = reader.read(raw)
    assert again is not first
    assert again is not None
    assert first is not None
    assert again.block.fields == first.block.fields


def test_a_block_is_not_taken_for_one_that_begins_alike() -> None:
    reader = warm()
    reader.read(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    other = reader.read(b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
    assert other is not None
    assert other.block.by_name == {b"host": b"a", b"x": b"y"}


def test_a_block_does_not_travel_between_versions() -> None:
    reader = warm()
    reader.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    older = reader.read(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert older is not None
    assert not older.block.persistent


def test_a_bad_request_line_is_refused_before_a_known_block() -> None:
    reader = warm()
    reader.read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(Malformed):
        reader.read(b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n")


def test_names_are_lower_case_and_values_bare() -> None:
    head, _ = read(b"GET / HTTP/1.1\r\nHOST: a\r\nX-Odd: \t b c \t\r\n\r\n")
    assert head.block.fields == [(b"host", b"a"), (b"x-odd", b"b c")]


def test_what_a_url_names_replaces_the_host_that_came() -> None:
    head, _ = read(b"GET http://real.test:81/a?b HTTP/1.1\r\nHost: other.test\r\nX: y\r\n\r\n")
    assert head.target.origin_form == b"/a?b"
    assert head.block.host == b"real.test:81"
    assert head.block.fields == [(b"x", b"y"), (b"host", b"real.test:81")]


def test_a_url_does_not_change_the_block_of_the_next_request() -> None:
    reader = warm()
    fields = b"Host: other.test\r\n\r\n"
    reader.read(b"GET http://real.test/ HTTP/1.1\r\n" + fields)
    second = reader.read(b"GET / HTTP/1.1\r\n" + fields)
    assert second is not None
    assert second.block.host == b"other.test"


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"Content-Length: 007\r\n", 7),
        (b"Transfer-Encoding: Chunked\r\n", CHUNKED),
    ],
)
def test_a_body_is_as_long_as_its_head_says(fields: bytes, length: int) -> None:
    head, _ = read(b"POST / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    assert head.block.length == length


@pytest.mark.parametrize(
    ("start", "connection", "persistent"),
    [
        (b"GET / HTTP/1.1", b"", True),
        (b"GET / HTTP/1.1", b"Connection: close\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: x, Close\r\n", False),
        (b"GET / HTTP/1.1", b"Connection: x\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.0", b"", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive\r\n", True),
        (b"GET / HTTP/1.0", b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_a_connection_goes_on_as_the_client_wants(start: bytes, connection: bytes, persistent: bool) -> None:  # noqa: FBT001
    head, _ = read(start + b"\r\nHost: a\r\n" + connection + b"\r\n")
    assert head.block.persistent is persistent


def test_every_method_that_is_served_is_one_of_llhttp() -> None:
    for name, method in METHODS.items():
        head, _ = read(name + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert head.method == method


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue", b", 100-continue", b"100-continue ,\t,"])
def test_an_expectation_goes_on_in_the_one_form_that_everybody_knows(value: bytes) -> None:
    """RFC 9110, 5.6.1.2: a list may hold nothing in some of its places."""
    head, _ = read(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: " + value + b"\r\n\r\n")
    assert head.block.expects
    assert head.block.fields == [(b"host", b"a"), (b"content-length", b"1"), (b"expect", b"100-continue")]


@pytest.mark.parametrize("value", [b"", b" ", b",", b", ,\t"])
def test_an_expectation_of_nothing_goes_no_further(value: bytes) -> None:
    head, _ = read(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: " + value + b"\r\n\r\n")
    assert not head.block.expects
    assert head.block.fields == [(b"host", b"a"), (b"content-length", b"1")]


@pytest.mark.parametrize("value", [b"x", b"100-continue, x", b",x", b"100-continue, 100-continue", b"100-continue;"])
def test_whatever_else_is_expected_is_refused(value: bytes) -> None:
    assert outcome(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: " + value + b"\r\n\r\n") == 417


@pytest.mark.parametrize("name", NODE_TAKES_THE_FIRST.split())
def test_a_field_of_which_node_takes_the_first_does_not_come_twice(name: str) -> None:
    start = b"GET / HTTP/1.1\r\nHost: a.test\r\n"
    assert outcome(start + f"{name}: 1\r\nX: y\r\n{name.title()}: 2\r\n\r\n".encode()) == 400


@pytest.mark.parametrize("name", [b"If-Match", b"If-None-Match"])
@pytest.mark.parametrize("lines", [(b'"a"', b'W/"b"'), (b'"a,b", "c"', b'""', b'"a"')])
def test_entity_tags_on_several_lines_are_one_list(name: bytes, lines: tuple[bytes, ...]) -> None:
    fields = b"".join(b"%b: %b\r\nX: y\r\n" % (name, line) for line in lines)
    head, _ = read(b"GET / HTTP/1.1\r\nHost: a.test\r\n" + fields + b"\r\n")
    assert [value for field, value in head.block.fields if field == name.lower()] == [b", ".join(lines)]
    assert head.block.by_name[name.lower()] == b", ".join(lines)
    assert [value for field, value in head.block.fields if field == b"x"] == [b"y"] * len(lines)


@pytest.mark.parametrize("name", [b"If-Match", b"If-None-Match"])
@pytest.mark.parametrize("line", [b"*", b"", b",", b'"b",', b'"b', b'"b"c', b'"b" "c"', b"b", b'w/"b"', b'W/ "b"'])
def test_what_would_be_another_list_when_joined_is_not_joined(name: bytes, line: bytes) -> None:
    start, good = b"GET / HTTP/1.1\r\nHost: a.test\r\n", name + b': "a"\r\n'
    odd = name + b": " + line + b"\r\n"
    assert outcome(start + odd + good + b"\r\n") == outcome(start + good + odd + b"\r\n") == 400
    assert outcome(start + odd + odd + b"\r\n") == 400


def test_a_list_on_several_lines_is_no_longer_than_one_field_may_be() -> None:
    def tagged(length: int) -> bytes:
        return b'If-Match: "%b"\r\n' % (b"a" * length)

    start, room = b"GET / HTTP/1.1\r\nHost: a.test\r\n", LIMITS.field - len(b'If-Match: "", ""') - 200
    assert isinstance(outcome(start + tagged(200) + tagged(room) + b"\r\n"), tuple)
    assert outcome(start + tagged(200) + tagged(room + 1) + b"\r\n") == 431


def test_an_expectation_of_http10_is_ignored_and_goes_no_further() -> None:
    head, _ = read(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert not head.block.expects
    assert head.block.fields == [(b"content-length", b"1")]


@pytest.mark.parametrize("filler", [b"X: y\r\n", b"X" * 600], ids=["fields", "one field"])
def test_a_head_that_never_ends_is_refused_while_it_comes(filler: bytes) -> None:
    assert outcome(b"GET / HTTP/1.1\r\nHost: a\r\n", *[filler] * 1000) == 431


def test_a_request_line_that_never_ends_is_refused_while_it_comes() -> None:
    assert outcome(b"GET /", *[b"a" * 20] * 1000) == 414


def test_sixteen_empty_lines_before_a_request_are_forgiven_and_one_more_is_not_wherever_they_are_cut() -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    good, bad = b"\r\n" * 16 + request, b"\r\n" * 17 + request
    for cut in range(1, 40):
        assert outcome(good[:cut], good[cut:]) == outcome(request)
        assert outcome(bad[:cut], bad[cut:]) == 400
    assert outcome(*(good[place : place + 1] for place in range(len(good)))) == outcome(request)
    assert outcome(*(bad[place : place + 1] for place in range(34))) == 400


@pytest.mark.parametrize("lines", [(b"\r\n" * 16,), (), (b"\r\n",) * 16], ids=["together", "none", "one by one"])
def test_empty_lines_are_counted_anew_before_each_request(lines: tuple[bytes, ...]) -> None:
    reader, request = warm(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for _ in range(3):
        assert [reader.read(line) for line in lines] == [None] * len(lines)
        assert reader.read(request) is not None
        assert reader.read(b"\r\n" * 16 + request) is not None
    assert reader.read(b"\r\n" * 16) is None
    with pytest.raises(Malformed):
        reader.read(b"\r\n" + request)


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_refused_head_request_is_known_for_one_however_it_is_cut(cut: int) -> None:
    reader, raw = RequestReader(LIMITS), b"\r\n\r\nHEAD  / HTTP/1.1\r\n\r\n"
    assert reader.read(raw[:cut]) is None
    with pytest.raises(Malformed):
        reader.read(raw[cut:])
    assert reader.is_head(raw[cut:])
    with pytest.raises(Malformed):
        RequestReader(LIMITS).read(raw)
    assert RequestReader(LIMITS).is_head(raw)


def sized(*, line: int, field: int, fields: int, head: int) -> bytes:
    """A request with a line and a field of so many bytes, so many fields, and so many bytes of fields together."""
    start = b"GET /%b HTTP/1.1\r\n" % (b"a" * (line - len(b"GET / HTTP/1.1")))
    lines = [b"Host: a", b"X: " + b"y" * (field - 3)] + [b"Z:"] * (fields - 2)
    room = head - len(b"".join(b"\r\n" + one for one in lines)) - len(b"\r\n\r\n")
    for place in range(2, fields):
        lines[place] += b"z" * min(room, LIMITS.field // 2)
        room -= min(room, LIMITS.field // 2)
    return start + b"".join(one + b"\r\n" for one in lines) + b"\r\n"


LONGEST = {"line": LIMITS.request_line, "field": LIMITS.field, "fields": LIMITS.fields, "head": LIMITS.head}


@pytest.mark.parametrize(("limit", "status"), [("line", 414), ("field", 431), ("fields", 431), ("head", 431)])
def test_a_head_at_its_limits_is_read_wherever_it_is_cut_and_past_one_it_is_not(limit: str, status: int) -> None:
    good = sized(**LONGEST)
    bad = sized(**LONGEST | {limit: LONGEST[limit] + 1})
    whole = outcome(good)
    assert isinstance(whole, tuple)
    assert outcome(bad) == status
    for cut in range(1, len(good)):
        assert outcome(good[:cut], good[cut:]) == whole, good[:cut]
        assert outcome(bad[:cut], bad[cut:]) == status, bad[:cut]


NEARLY = st.fixed_dictionaries({limit: st.integers(most - 1, most + 1) for limit, most in LONGEST.items()})


@given(NEARLY, st.data())
def test_any_cuts_at_the_limits_give_the_same(sizes: dict[str, int], data: st.DataObject) -> None:
    raw = sized(**sizes)
    between = [place + 1 for place in range(len(raw)) if raw.startswith(b"\r\n", place)]
    cuts = sorted(data.draw(st.sets(st.sampled_from(between[:3]) | st.integers(1, len(raw) - 1), max_size=8)))
    whole, cut = outcome(raw), outcome(*(raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)))
    # of two that are too long, either may be seen first
    assert cut == whole or {cut, whole} == {414, 431}


def test_no_value_is_shown_by_a_head() -> None:
    head, _ = read(b"GET /a?token=secret HTTP/1.1\r\nHost: a\r\nAuthorization: secret\r\n\r\n")
    assert "secret" not in repr(head) + repr(head.block)


def test_a_head_that_waits_for_its_rest_holds_little_more_than_its_bytes() -> None:
    """Thousands of clients may send a byte a second behind nearly all of it."""
    head = request("/a", *[(f"X-Trace-{number}", "x" * 100) for number in range(9)])[:-4]
    readers = [RequestReader(LIMITS) for _ in range(200)]
    tracemalloc.start()
    try:
        for reader in readers:
            assert reader.read(head[:-1]) is None
            assert reader.read(head[-1:]) is None
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(readers) < len(head) + 200
