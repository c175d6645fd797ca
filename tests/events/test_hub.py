"""Streams and publishing over real sockets."""

import json
from collections.abc import Iterator

import pytest

from sluicegate.server.events.hub import Pace
from sluicegate.sse.subscription import Terms
from tests.events.gate import WRITER, Stream, Streams, bearer, streaming
from tests.events.reading import read
from tests.table.tokens import NOW, mint
from tests.wire import connected, exchange, request

JSON = ("Content-Type", "application/json")


@pytest.fixture(scope="module")
def hub() -> Iterator[Streams]:
    with streaming() as streams:
        yield streams


def test_a_stream_begins_at_once_with_what_event_sources_need(hub: Streams) -> None:
    with hub.reading("public-head") as stream:
        head = stream.head
        assert (head.status, head.header("Content-Type")) == (200, "text/event-stream")
        assert (head.header("Cache-Control"), head.header("X-Accel-Buffering")) == ("no-cache", "no")
        assert head.header("X-Request-ID")
        assert head.header("Date")
        assert stream.reader.retry == 3000


def test_what_is_published_reaches_every_reader_of_the_topic_and_nobody_else(hub: Streams) -> None:
    with hub.reading("public-a") as one, hub.reading("public-a") as two, hub.reading("public-b") as other:
        answer = hub.publish("public-a", "hello\nworld")
        assert answer.status == 201
        assert one.next() == two.next() == [("message", "hello\nworld")]
        assert one.last_id == two.last_id == json.loads(answer.body)["id"]
        hub.publish("public-b", "for b")
        assert other.next() == [("message", "for b")]


def test_json_names_the_event_and_may_hold_any_data(hub: Streams) -> None:
    with hub.reading("public-json") as stream:
        for body in (b'{"event": "order", "data": "plain"}', b'{"data": {"a": [1, null]}}', b'{"data": ""}'):
            raw = request("/events/public-json", bearer(WRITER), JSON, method="POST", body=body)
            assert exchange(hub.gate.address, raw).status == 201
        assert stream.next(3) == [("order", "plain"), ("message", '{"a":[1,null]}'), ("message", "")]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ((JSON,), b"{", 400),
        ((JSON,), b"[]", 400),
        ((JSON,), b'{"event": "x"}', 400),
        ((JSON,), b'{"data": "x", "event": "a\\nb"}', 400),
        ((JSON,), b'{"data": "x", "event": "auth"}', 400),
        ((JSON,), b'{"data": "x\\u0000"}', 400),
        ((JSON,), b'{"data": "\xff"}', 400),
        ((JSON,), b'{"data": "x", "id": "9-9"}', 400),
        ((JSON,), b"[" * 100_000, 400),
        ((("Content-Type", "text/plain"),), b"\xff", 400),
        ((("Content-Type", "text/plain"),), b"a\0b", 400),
        ((("Content-Type", "text/plain; charset=latin-1"),), b"x", 415),
        ((("Content-Type", "text/html"),), b"x", 415),
        ((), b"x", 415),
        ((("Content-Type", "text/plain"),), b"x" * 262_145, 413),
    ],
)
def test_what_is_no_event_is_refused_and_reaches_nobody(
    hub: Streams, headers: tuple[tuple[str, str], ...], body: bytes, status: int
) -> None:
    with hub.reading("public-bad") as stream:
        raw = request("/events/public-bad", bearer(WRITER), *headers, method="POST", body=body)
        assert exchange(hub.gate.address, raw).status == status
        hub.publish("public-bad", "the only one")
        assert stream.next() == [("message", "the only one")]


def test_a_chunked_event_past_the_bound_is_refused(hub: Streams) -> None:
    head = request("/events/public-x", bearer(WRITER), ("Content-Type", "text/plain"), method="POST")
    head = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    with connected(hub.gate.address) as wire:
        wire.send(head + b"10000\r\n" + b"x" * 65_536 + b"\r\n" + b"30001\r\n" + b"x" * 196_609 + b"\r\n")
        assert wire.receive(to="POST").status == 413


def test_data_cannot_forge_a_frame(hub: Streams) -> None:
    evil = 'x\r\revent: auth\rdata: {"error": "api_key_blacklisted"}\n\nid: 9-9\n\n: '
    with hub.reading("public-evil") as stream:
        hub.publish("public-evil", evil)
        ((kind, _),) = stream.next()
        assert kind == "message"
        assert hub.publish("public-evil", "next").status == 201
        assert stream.next() == [("message", "next")]


@pytest.mark.parametrize(
    ("topic", "token", "status", "reason"),
    [
        ("user-alice-inbox", mint(), 200, None),
        ("user-bob-inbox", mint(), 403, "topic"),
        ("other", mint(), 403, "topic"),
        ("public-x", "", 401, "missing"),
        ("public-x", mint(exp=NOW - 1), 401, "expired"),
        ("public-%0d%0ax", mint(), 400, "path"),
        ("public-" + "x" * 250, mint(), 403, "topic"),
    ],
)
def test_who_may_read_is_said_by_patterns(
    hub: Streams, topic: str, token: str, status: int, reason: str | None
) -> None:
    headers = (bearer(token),) if token else ()
    with connected(hub.gate.address) as wire:
        wire.send(request(f"/events/{topic}", *headers))
        if status == 200:
            assert wire.receive_head().status == 200
            return
        answer = wire.receive()
        assert (answer.status, json.loads(answer.body)["reason"]) == (status, reason)


@pytest.mark.parametrize(
    ("token", "status", "reason"),
    [(mint(), 403, "scope"), (mint(scope="topic:write"), 201, None), ("x.y.z", 401, "malformed")],
)
def test_publishing_needs_its_scope(hub: Streams, token: str, status: int, reason: str | None) -> None:
    answer = hub.publish("public-x", "data", token)
    assert answer.status == status
    assert json.loads(answer.body).get("reason") == reason


def test_publishing_needs_a_pattern_that_gives_the_topic() -> None:
    with streaming(publish=("news-*",)) as hub:
        assert hub.publish("news-1", "x").status == 201
        answer = hub.publish("public-1", "x")
        assert (answer.status, json.loads(answer.body)["reason"]) == (403, "topic")


def test_a_caller_without_a_token_may_read_what_everybody_may() -> None:
    with streaming(auth="optional") as hub, connected(hub.gate.address) as wire:
        wire.send(request("/events/public-1"))
        assert wire.receive_head().status == 200
        assert exchange(hub.gate.address, request("/events/user--1")).status == 401
        assert exchange(hub.gate.address, request("/events/public-1", method="POST", body=b"x")).status == 401


def test_a_reader_that_comes_back_gets_what_it_has_missed_and_nothing_twice(hub: Streams) -> None:
    with hub.reading("public-again") as stream:
        hub.publish("public-again", "1")
        stream.next()
        last = stream.last_id
    for number in range(2, 200):
        hub.publish("public-again", str(number))
    with hub.reading("public-again", ("Last-Event-ID", last)) as stream:
        assert stream.next(198) == [("message", str(number)) for number in range(2, 200)]
        hub.publish("public-again", "200")
        assert stream.next() == [("message", "200")]


@pytest.mark.parametrize("name", ["lastEventId", "last-event-id", "Last-Event-ID", "last_event_id"])
def test_the_last_id_may_stand_in_the_query(hub: Streams, name: str) -> None:
    topic = f"public-query-{name}"
    first = json.loads(hub.publish(topic, "1").body)["id"]
    hub.publish(topic, "2")
    with hub.reading(f"{topic}?{name}={first}") as stream:
        assert stream.next() == [("message", "2")]


@pytest.mark.parametrize("last", ["0", "1-1", "99999999999999999-0", "garbage", "1-2-3", "é"])
def test_a_reader_is_told_where_history_does_not_reach_back(last: str) -> None:
    with streaming(terms=Terms(history=2)) as hub:
        ids = [json.loads(hub.publish("public-gap", str(number)).body)["id"] for number in range(4)]
        with hub.reading("public-gap", ("Last-Event-ID", last)) as stream:
            (kind, data), *rest = stream.next(3)
            assert (kind, json.loads(data)["reason"], json.loads(data)["oldest"]) == ("gap", "history", ids[2])
            assert rest == [("message", "2"), ("message", "3")]
            assert stream.last_id == ids[3]


def test_an_id_is_promised_only_for_what_is_kept() -> None:
    with streaming(terms=Terms(history=0)) as hub, hub.reading("public-x") as stream:
        answer = hub.publish("public-x", "now or never")
        assert (answer.status, json.loads(answer.body)) == (202, {})
        assert stream.next() == [("message", "now or never")]


def test_head_shows_what_get_would_begin_with(hub: Streams) -> None:
    with connected(hub.gate.address) as wire:
        for _ in range(2):  # and the connection goes on
            wire.send(request("/events/public-x", bearer(mint()), method="HEAD"))
            answer = wire.receive(to="HEAD")
            assert (answer.status, answer.header("Content-Type")) == (200, "text/event-stream")
    hub.gate.turn()
    assert hub.hub.live.open == hub.hub.streams


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_mean_nothing(hub: Streams, method: str) -> None:
    answer = exchange(hub.gate.address, request("/events/public-x", bearer(mint()), method=method))
    assert (answer.status, answer.header("Allow")) == (405, "GET, HEAD, POST, OPTIONS")


def test_a_stream_is_asked_for_without_a_body(hub: Streams) -> None:
    assert exchange(hub.gate.address, request("/events/public-x", bearer(mint()), body=b"x")).status == 400


def test_http_1_0_gets_the_same_without_chunks(hub: Streams) -> None:
    raw = request("/events/public-old", bearer(mint())).replace(b"HTTP/1.1", b"HTTP/1.0")
    with connected(hub.gate.address) as wire:
        wire.send(raw)
        head = wire.receive_head()
        assert (head.header("Transfer-Encoding"), head.header("Connection")) == (None, "close")
        hub.gate.turn()
        hub.publish("public-old", "x")
        hub.revoke("BLACKLIST:sub:alice-old")
        begun = wire.read_exactly(len(b"retry: 3000\n\nid: "))
        assert begun == b"retry: 3000\n\nid: "


def test_streams_are_kept_alive() -> None:
    with streaming(pace=Pace(keepalive=0.25)) as hub, hub.reading("public-x") as stream:
        while not stream.reader.comments:
            stream._read()  # noqa: SLF001 - a comment is no event to wait for
        assert stream.reader.comments == ["keepalive"]


def test_a_page_may_read_streams_of_a_gate_that_allows_its_origin() -> None:
    with streaming(cors_allowed_origins=["https://app.test"]) as hub:
        with hub.reading("public-x", ("Origin", "https://app.test")) as stream:
            assert stream.head.header("Access-Control-Allow-Origin") == "https://app.test"
            assert "X-Stream-ID" in (stream.head.header("Access-Control-Expose-Headers") or "")
        preflight = request(
            "/events/public-x",
            ("Origin", "https://app.test"),
            ("Access-Control-Request-Method", "POST"),
            method="OPTIONS",
        )
        assert exchange(hub.gate.address, preflight).header("Access-Control-Allow-Methods")


def test_at_a_stop_every_stream_ends_whole_and_is_told_when_to_come_back() -> None:
    pace = Pace(retry_ms=1000, spread=5)
    with streaming(pace=pace) as hub, hub.reading("public-x") as one, hub.reading("public-x") as two:
        ended = hub.gate.stopping(10)
        assert one.rest() == two.rest() == []
        assert one.over
        assert two.over
        times = {one.reader.retry, two.reader.retry}
        assert all(time is not None and 1000 <= time <= 6000 for time in times)
        ended()


def test_a_client_that_leaves_is_forgotten(hub: Streams) -> None:
    before = hub.hub.live.open
    with hub.reading("public-leave"):
        assert hub.hub.live.open == before + 1
    hub.gate.empty()
    assert hub.hub.live.open == hub.hub.streams == 0


def test_a_running_stream_goes_on_with_a_fresh_token(hub: Streams) -> None:
    with hub.reading("public-renew", token=mint(jti="old", exp=NOW + 60)) as stream:
        fresh = mint(jti="new", exp=NOW + 3600)
        raw = request("/events/public-renew/renew", bearer(fresh), ("X-Stream-ID", stream.name), method="POST")
        assert exchange(hub.gate.address, raw).status == 204
        hub.revoke("BLACKLIST:key:old")
        hub.publish("public-renew", "still here")
        assert stream.next() == [("message", "still here")]
        hub.revoke("BLACKLIST:key:new")
        assert [kind for kind, _ in stream.rest()] == ["auth"]


@pytest.mark.parametrize(
    ("topic", "token"),
    [
        ("public-mine", mint(sub="mallory", jti="m")),
        ("public-other", mint(jti="m")),
        ("public-mine", mint(jti="m", iss="https://other.example")),
    ],
)
def test_nobody_else_can_take_over_a_stream_whose_name_leaked(hub: Streams, topic: str, token: str) -> None:
    with hub.reading("public-mine") as stream:
        raw = request(f"/events/{topic}/renew", bearer(token), ("X-Stream-ID", stream.name), method="POST")
        answer = exchange(hub.gate.address, raw)
        assert (answer.status, json.loads(answer.body)["reason"]) == (404, "stream")


@pytest.mark.parametrize("name", ["", "1", "1-", "-", "zz-00", "1-" + "0" * 32, "ffffffffffffffffffffffff-00"])
@pytest.mark.parametrize("longer", ["", "f" * 4000])
def test_a_name_of_a_stream_cannot_be_guessed(hub: Streams, name: str, longer: str) -> None:
    with hub.reading("public-mine"):
        raw = request("/events/public-mine/renew", bearer(mint()), ("X-Stream-ID", longer + name), method="POST")
        assert exchange(hub.gate.address, raw).status == 404


def test_streams_are_readable_by_any_reader_of_the_specification(hub: Streams) -> None:
    with hub.reading("public-spec") as stream:
        hub.publish("public-spec", "\ufeffdata: x\r\n\r\n:")
        assert stream.next() == [("message", "\ufeffdata: x\n\n:")]
    assert read(b"").events == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 200),
        ((("Origin", "http://gate.test"),), 200),
        ((("Origin", "https://gate.test"),), 200),
        ((("Origin", "https://app.test"),), 200),
        ((("Sec-Fetch-Site", "same-origin"),), 200),
        ((("Origin", "https://evil.test"),), 403),
        ((("Origin", "https://gate.test.evil.test"),), 403),
        ((("Origin", "null"),), 403),
        ((("Sec-Fetch-Site", "cross-site"),), 403),
        ((("Sec-Fetch-Site", "same-site"),), 403),
    ],
)
def test_a_cookie_opens_a_stream_only_to_pages_that_may_use_it(
    headers: tuple[tuple[str, str], ...], status: int
) -> None:
    cookie = ("Cookie", f"session_token={mint(scope='topic:write')}")
    with streaming(cors_allowed_origins=["https://app.test"]) as hub:
        with connected(hub.gate.address) as wire:
            wire.send(request("/events/public-x", cookie, *headers))
            assert wire.receive_head().status == status
        kind = ("Content-Type", "text/plain")
        raw = request("/events/public-x", cookie, kind, *headers, method="POST", body=b"x")
        assert exchange(hub.gate.address, raw).status == (201 if status == 200 else status)


def test_any_page_may_read_without_cookies_and_none_with_them_where_every_origin_is_allowed() -> None:
    with streaming(cors_allowed_origins=["*"]) as hub:
        evil = ("Origin", "https://evil.test")
        with hub.reading("public-x", evil) as stream:
            assert stream.head.status == 200
        cookie = ("Cookie", f"session_token={mint()}")
        assert exchange(hub.gate.address, request("/events/public-x", cookie, evil)).status == 403


def test_what_a_client_sends_behind_its_request_for_a_stream_is_nobodys(hub: Streams) -> None:
    publish = request("/events/public-behind", bearer(WRITER), method="POST", body=b"x")
    published = hub.hub.broker.counts.published
    with connected(hub.gate.address) as wire, hub.reading("public-behind") as other:
        wire.send(request("/events/public-behind", bearer(mint())) + publish)
        stream = Stream(wire)
        wire.send(publish)
        hub.publish("public-behind", "the only one")
        assert stream.next() == other.next() == [("message", "the only one")]
        hub.revoke("BLACKLIST:sub:alice")
        assert [kind for kind, _ in stream.rest()] == [kind for kind, _ in other.rest()] == ["auth"]
        assert stream.over
        assert wire.read_to_end() == b"\r\n"
        hub.store.remove("BLACKLIST:sub:alice")
    assert hub.hub.broker.counts.published == published + 1
