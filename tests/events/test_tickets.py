"""A ticket opens one stream, once, for the page that asked for it, for as long as its token is good."""

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from msgspec import structs

from sluicegate.backends.memory import MemoryStore
from sluicegate.backends.sqlite.tickets import SqliteTickets
from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.core.flow import Hits
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry
from sluicegate.core.ticket import name_of, seal
from sluicegate.errors import StateUnavailable
from tests.events.gate import KEY, Clock, Stream, Streams, bearer, engine, streaming
from tests.table.tokens import NOW, mint
from tests.wire import Response, connected, exchange, request

JSON = ("Content-Type", "application/json")
PAGE = ("Origin", "https://app.example")


@pytest.fixture
def tickets(tmp_path: Path) -> Iterator[SqliteTickets]:
    ledger = SqliteTickets(tmp_path, clock=lambda: CLOCK[0])
    CLOCK[0] = 0.0
    yield ledger
    ledger.close()


CLOCK = [0.0]


@pytest.fixture
def hub(tickets: SqliteTickets) -> Iterator[Streams]:
    with streaming(tickets=tickets, cors_allowed_origins=["https://app.example"]) as streams:
        yield streams


def asked(hub: Streams, *headers: tuple[str, str], topic: str = "public-a", body: bytes | None = None) -> Response:
    text = json.dumps({"topic": topic}).encode() if body is None else body
    return exchange(hub.gate.address, request("/tickets", JSON, *headers, method="POST", body=text))


def ticket(hub: Streams, *headers: tuple[str, str], token: str | None = None, topic: str = "public-a") -> str:
    answer = asked(hub, bearer(mint() if token is None else token), *headers, topic=topic)
    assert answer.status == 200, answer.body
    assert answer.header("Cache-Control") == "no-store"
    said = json.loads(answer.body)
    assert said["expires_in"] == 30
    return str(said["ticket"])


def using(one: str, *headers: tuple[str, str], topic: str = "public-a") -> bytes:
    return request(f"/events/{topic}?ticket={one}", *headers)


def refused(hub: Streams, one: str, *headers: tuple[str, str], topic: str = "public-a") -> tuple[int, str]:
    answer = exchange(hub.gate.address, using(one, *headers, topic=topic))
    return answer.status, json.loads(answer.body)["reason"]


def test_a_ticket_opens_its_stream_once(hub: Streams) -> None:
    one = ticket(hub, PAGE)
    with connected(hub.gate.address) as wire:
        wire.send(using(one, PAGE))
        stream = Stream(wire)
        assert stream.head.status == 200
        assert stream.head.header("Access-Control-Allow-Origin") == PAGE[1]
        hub.publish("public-a", "hello")
        assert stream.next() == [("message", "hello")]
    assert refused(hub, one, PAGE) == (401, "ticket")


def test_of_a_hundred_who_use_it_at_once_one_gets_in(hub: Streams) -> None:
    one = ticket(hub)

    def try_it(_: int) -> int:
        with connected(hub.gate.address) as wire:
            wire.send(using(one))
            return wire.receive_head().status

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(try_it, range(100)))
    assert sorted(statuses) == [200, *[401] * 99]


def test_of_all_who_share_the_ledger_one_takes_a_record(tmp_path: Path) -> None:
    ledgers = [SqliteTickets(tmp_path) for _ in range(4)]
    for round_ in range(50):
        assert ledgers[0].put(str(round_), b"record", subject=str(round_), seconds=30)
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda ledger, name=str(round_): ledger.take(name), ledgers))
        assert (taken.count(b"record"), taken.count(None)) == (1, 3)
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize(
    ("made", "used", "opens"),
    [
        (PAGE, PAGE, True),
        (PAGE, ("Origin", "https://evil.example"), False),
        (PAGE, None, False),
        (None, PAGE, False),
        (None, None, True),
        (("Origin", "http://gate.test"), None, True),
        (("Origin", "http://gate.test"), ("Origin", "http://gate.test"), True),
    ],
)
def test_it_is_for_the_page_that_asked(
    hub: Streams, made: tuple[str, str] | None, used: tuple[str, str] | None, *, opens: bool
) -> None:
    one = ticket(hub, *([made] if made else []))
    with connected(hub.gate.address) as wire:
        wire.send(using(one, *([used] if used else [])))
        assert wire.receive_head().status == (200 if opens else 401)


def test_it_is_for_its_topic_only(hub: Streams) -> None:
    assert refused(hub, ticket(hub), topic="public-b") == (401, "ticket")
    assert asked(hub, bearer(mint()), topic="user-bob-x").status == 403


def test_it_waits_for_thirty_seconds_and_no_longer(hub: Streams) -> None:
    one, other = ticket(hub), ticket(hub)
    CLOCK[0] = 29.9
    with connected(hub.gate.address) as wire:
        wire.send(using(one))
        assert wire.receive_head().status == 200
    CLOCK[0] = 30.0
    assert refused(hub, other) == (401, "ticket")


@pytest.mark.parametrize("key", ["BLACKLIST:key:parent", "BLACKLIST:sub:alice"])
def test_a_revoked_token_takes_its_tickets_along(hub: Streams, key: str) -> None:
    one = ticket(hub, token=mint(jti="parent"))
    hub.revoke(key)
    assert refused(hub, one) == (401, "revoked")


def test_an_expired_token_does_too(hub: Streams) -> None:
    one = ticket(hub, token=mint(exp=NOW + 10))
    hub.clock.now += 10
    assert refused(hub, one) == (401, "expired")


@pytest.mark.parametrize("reason", ["revoked", "expired"])
def test_the_stream_ends_with_the_token_that_the_ticket_was_made_with(hub: Streams, reason: str) -> None:
    one = ticket(hub, token=mint(jti="parent", exp=NOW + 60))
    with connected(hub.gate.address) as wire:
        wire.send(using(one))
        stream = Stream(wire)
        if reason == "revoked":
            hub.revoke("BLACKLIST:key:parent")
        else:
            hub.clock.now += 61
        ((kind, data),) = stream.rest()
        assert (kind, json.loads(data)["reason"]) == ("auth", reason)


def test_a_ticket_makes_no_ticket(hub: Streams) -> None:
    one = ticket(hub)
    raw = request(f"/tickets?ticket={one}", JSON, method="POST", body=b'{"topic": "public-a"}')
    assert exchange(hub.gate.address, raw).status == 401
    with connected(hub.gate.address) as wire:
        wire.send(using(one))
        assert wire.receive_head().status == 200


def test_a_ticket_publishes_nothing_and_renews_nothing(hub: Streams) -> None:
    one = ticket(hub, token=mint(scope="topic:write"))
    for path in ("/events/public-a", "/events/public-a/renew"):
        raw = request(f"{path}?ticket={one}", ("Content-Type", "text/plain"), method="POST", body=b"x")
        assert exchange(hub.gate.address, raw).status == 401


@pytest.mark.parametrize("junk", ["", "x", "A" * 43, "A" * 44, "%41" * 43, "A" * 5000])
def test_what_is_no_ticket_opens_nothing(hub: Streams, junk: str) -> None:
    assert refused(hub, junk) == (401, "ticket")


def test_a_token_beside_a_bad_ticket_is_judged_by_itself(hub: Streams) -> None:
    with connected(hub.gate.address) as wire:
        wire.send(using("A" * 43, bearer(mint())))
        assert wire.receive_head().status == 200


@pytest.mark.parametrize("body", [b"", b"{}", b'{"topic": 1}', b'{"topic": ""}', b'{"topic": "a\\u0000"}', b"[" * 3000])
def test_what_asks_for_no_topic_gets_no_ticket(hub: Streams, body: bytes) -> None:
    assert asked(hub, bearer(mint()), body=body).status == 400


def test_a_long_question_is_not_read(hub: Streams) -> None:
    assert asked(hub, bearer(mint()), body=b"x" * 5000).status == 413


def test_without_a_token_there_is_no_ticket(hub: Streams) -> None:
    answer = asked(hub, PAGE)
    assert (answer.status, json.loads(answer.body)["reason"]) == (401, "missing")
    assert exchange(hub.gate.address, request("/tickets", bearer(mint()))).status == 405


def test_a_page_of_somebody_else_gets_no_ticket_for_the_cookie(hub: Streams) -> None:
    cookie = ("Cookie", f"session_token={mint()}")
    assert asked(hub, cookie, ("Origin", "https://evil.example")).status == 403
    assert asked(hub, cookie, PAGE).status == 200


def test_a_page_may_ask_across_origins(hub: Streams) -> None:
    wanted = (("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization"))
    answer = exchange(hub.gate.address, request("/tickets", PAGE, *wanted, method="OPTIONS"))
    assert answer.status == 204
    assert answer.header("Access-Control-Allow-Origin") == PAGE[1]
    assert answer.header("Access-Control-Allow-Headers") == "authorization"


def test_nobody_gets_more_than_a_hundred_at_a_time(hub: Streams) -> None:
    for _ in range(100):
        ticket(hub)
    assert asked(hub, bearer(mint())).status == 429
    ticket(hub, token=mint(sub="bob"))
    CLOCK[0] = 31.0
    ticket(hub)


def test_all_together_get_no_more_than_fit(tmp_path: Path) -> None:
    ledger = SqliteTickets(tmp_path, most=3)
    assert [ledger.put(str(n), b"", subject=str(n), seconds=30) for n in range(4)] == [True, True, True, False]
    ledger.close()


def test_what_is_kept_holds_neither_token_nor_ticket(tmp_path: Path, hub: Streams) -> None:
    token = mint()
    one = ticket(hub, token=token)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"alice" in kept
    for secret in (one, *token.split(".")):
        assert secret.encode() not in kept


def test_what_somebody_else_wrote_into_the_ledger_opens_nothing(tmp_path: Path, hub: Streams) -> None:
    one = ticket(hub)
    with closing(sqlite3.connect(tmp_path / "tickets.db", isolation_level=None)) as attacker:
        ((record,),) = attacker.execute("SELECT record FROM ticket").fetchall()
        assert record.count(b"alice") > 0
        attacker.execute("UPDATE ticket SET record = ?", (record.replace(b"alice", b"admin"),))
    assert refused(hub, one) == (401, "ticket")


@pytest.mark.parametrize("is_revoked", [True, False])
def test_the_decision_itself_asks_about_the_token_of_the_ticket(tickets: SqliteTickets, *, is_revoked: bool) -> None:
    """And not only the stream, which asks once more when it is there."""
    store, clock = MemoryStore(), Clock()
    decides = engine(store, clock, tickets)
    policy = structs.replace(decides.policy, tickets=KEY)
    parent = decides.decide(Request(headers=[(b"authorization", b"Bearer " + mint().encode())]))
    assert isinstance(parent, Admit)
    assert parent.identity is not None
    assert parent.identifiers is not None
    record = seal(parent.identity, parent.identifiers, policy, topic="public-a", origin=b"")
    one = b"A" * 43
    tickets.put(name_of(one) or "", record, subject="alice", seconds=30)
    if is_revoked:
        store.put("BLACKLIST:sub:alice", Entry("security"))
    decision = decides.decide(Request(query=b"ticket=" + one, topic="public-a"), policy)
    if is_revoked:
        assert isinstance(decision, Refuse)
        assert decision.reason is Reason.REVOKED
    else:
        assert isinstance(decision, Admit)
        assert decision.identity == parent.identity


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(b"authorization", b"Bearer " + mint(sub="bob").encode())], Reason.MULTIPLE_TOKENS),
        ([(b"authorization", b"Bearer junk"), (b"x-api-key", b"more")], Reason.MULTIPLE_TOKENS),
        ([(b"authorization", b"x" * 9000)], Reason.MALFORMED),
    ],
)
def test_a_ticket_makes_up_for_nothing_that_is_refused_whole(
    tickets: SqliteTickets, headers: list[tuple[bytes, bytes]], reason: Reason
) -> None:
    """A ticket is a credential like any other: beside a token it is one of two, and it is not used up then."""
    decides = engine(MemoryStore(), Clock(), tickets, multiple_tokens="refuse")
    policy = structs.replace(decides.policy, tickets=KEY)
    parent = decides.decide(Request(headers=[(b"authorization", b"Bearer " + mint().encode())]))
    assert isinstance(parent, Admit)
    assert parent.identity is not None
    assert parent.identifiers is not None
    record = seal(parent.identity, parent.identifiers, policy, topic="public-a", origin=b"")
    one = b"A" * 43
    tickets.put(name_of(one) or "", record, subject="alice", seconds=30)
    asked = Request(query=b"ticket=" + one, topic="public-a", headers=headers)
    decision = decides.decide(asked, policy)
    assert isinstance(decision, Refuse)
    assert decision.reason is reason
    assert isinstance(decides.decide(structs.replace(asked, headers=()), policy), Admit)


def test_without_the_ledger_there_is_no_answer_but_that(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with streaming(tickets=SqliteTickets(tmp_path / "file" / "below")) as hub:
        assert asked(hub, bearer(mint())).status == 500
        assert refused(hub, "A" * 43) == (500, "state_unavailable")


class Away:
    """A store that does not answer."""

    def find(self, _: tuple[str, ...]) -> Hits:
        raise StateUnavailable("gone")


EVENT_SOURCE = ("Accept", "text/event-stream")


def test_an_event_source_is_told_to_come_back_when_the_store_is_away() -> None:
    with streaming(asked=Away(), retries=True) as hub:
        answer = exchange(hub.gate.address, request("/events/public-a", bearer(mint()), EVENT_SOURCE))
        assert (answer.status, answer.header("Content-Type")) == (200, "text/event-stream")
        assert answer.body.startswith(b"retry: ")
        assert answer.body.count(b"\n") == 2
        assert answer.header("Connection") == "close"


def test_nobody_else_is_and_never_for_what_a_token_lacks() -> None:
    with streaming(asked=Away(), retries=True) as hub:
        assert exchange(hub.gate.address, request("/events/public-a", bearer(mint()))).status == 500
        assert exchange(hub.gate.address, request("/events/public-a", EVENT_SOURCE)).status == 401
    with streaming(asked=Away()) as hub:
        assert exchange(hub.gate.address, request("/events/public-a", bearer(mint()), EVENT_SOURCE)).status == 500
