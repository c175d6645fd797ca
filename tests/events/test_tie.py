"""What an upstream streams ends with the token that opened it."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry
from sluicegate.server.events.live import Live
from sluicegate.server.events.tie import LONG, Guard, Tie
from tests.events.gate import Clock, Stream, Streams, bearer, engine, streaming
from tests.server.upstream import Listening, upstream
from tests.table.tokens import NOW, mint
from tests.wire import connected, request

if TYPE_CHECKING:
    from sluicegate.server.connection.protocol import Connection
    from sluicegate.server.events.tie import Tied

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"e\r\ndata: one\n\n\r\n".replace(b"e\r\n", b"b\r\n")


@pytest.fixture
def behind() -> Iterator[Listening]:
    with upstream() as listening:
        yield listening


@contextmanager
def passing(behind: Listening, said: bytes, token: str) -> Iterator[tuple[Streams, Stream]]:
    """A stream that an upstream has begun."""
    with streaming(proxied=behind.proxy) as hub, connected(hub.gate.address) as wire:
        wire.send(request("/api/feed", bearer(token)))
        peer = behind.accept()
        peer.serve(HEAD + said)
        yield hub, Stream(wire)
        assert peer.is_closed()


def test_a_proxied_stream_ends_with_a_last_word_when_its_token_is_revoked(behind: Listening) -> None:
    with passing(behind, EVENT, mint()) as (hub, stream):
        assert [one.data for one in stream.reader.events] == ["one"]
        hub.revoke("BLACKLIST:sub:alice")
        ((kind, data),) = stream.rest()
        assert (kind, json.loads(data)["error"]) == ("auth", "api_key_blacklisted")
        assert stream.over
        assert hub.hub.live.open == 0


def test_a_proxied_stream_ends_when_its_token_expires(behind: Listening) -> None:
    with passing(behind, EVENT, mint(exp=NOW + 60)) as (hub, stream):
        hub.clock.now += 61
        ((_, data),) = stream.rest()
        assert json.loads(data)["reason"] == "expired"


def test_within_an_event_of_the_upstreams_no_word_is_put_in(behind: Listening) -> None:
    """It would make half an event a whole one."""
    with passing(behind, b"9\r\ndata: hal\r\n", mint()) as (hub, stream):
        hub.revoke("BLACKLIST:sub:alice")
        assert stream.rest() == []
        assert not stream.over


class Wholly:
    """A client and an exchange, as far as a tie knows them."""

    def __init__(self) -> None:
        self.is_broken_off = False
        self.last_words: list[bytes] = []
        self.transport = SimpleNamespace(get_write_buffer_size=lambda: 0, write=self.last_words.append)

    def abort(self) -> None:
        self.is_broken_off = True

    def cancel(self) -> bool:
        return True

    def refuse(self, _: Refuse) -> bool:
        return False

    def finish(self, *, close: bool) -> None:
        assert close


@pytest.mark.parametrize(("took", "held"), [(0.9 * LONG, 0), (LONG, 1)])
def test_any_response_that_takes_long_is_tied_to_its_token(took: float, held: int) -> None:
    async def scene() -> tuple[int, int]:
        store, clock = MemoryStore(), Clock()
        decides = engine(store, clock)
        live = Live(decides.answer, decides.policy, clock=clock)
        guard = Guard(live, decides.policy)
        decision = decides.decide(Request(headers=((b"authorization", b"Bearer " + mint().encode()),)))
        assert isinstance(decision, Admit)
        tie = guard.tie(cast("Connection", Wholly()), decision, cast("Tied", Wholly()), begun=5.0)
        assert tie is not None
        tie.begins(b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\n", chunked=True)
        for now in (5.0, 5.0 + took):
            tie.passed(b"x", now)
        before = live.open
        tie.over()
        return before, live.open

    assert asyncio.run(scene()) == (held, 0)


def test_a_token_that_was_revoked_while_the_upstream_thought_opens_no_long_response() -> None:
    async def scene() -> bool:
        store, clock, client = MemoryStore(), Clock(), Wholly()
        decides = engine(store, clock)
        live = Live(decides.answer, decides.policy, clock=clock)
        decision = decides.decide(Request(headers=((b"authorization", b"Bearer " + mint().encode()),)))
        assert isinstance(decision, Admit)
        guard = Guard(live, decides.policy)
        tie = guard.tie(cast("Connection", client), decision, cast("Tied", client), begun=5.0)
        assert tie is not None
        store.put("BLACKLIST:sub:alice", Entry("abuse"))
        tie.begins(b"HTTP/1.1 200 OK\r\n", chunked=True)
        for now in (5.0, 5.0 + LONG):
            tie.passed(b"x", now)
        return client.is_broken_off and live.open == 0

    assert asyncio.run(scene())


def said(text: bytes) -> bool:
    """Tell whether a stream that has said this stands between two events: its last line is whole, and empty."""
    lines = re.split(rb"\r\n|\r|\n", text)
    return not lines[-1] and (len(lines) == 1 or not lines[-2])


def tied(client: Wholly) -> Tie:
    decides = engine(MemoryStore(), Clock())
    decision = decides.decide(Request(headers=((b"authorization", b"Bearer " + mint().encode()),)))
    assert isinstance(decision, Admit)
    guard = Guard(Live(decides.answer, decides.policy, clock=Clock()), decides.policy)
    tie = guard.tie(cast("Connection", client), decision, cast("Tied", client), begun=5.0)
    assert tie is not None
    return tie


@given(st.lists(st.text("\r\n:a", max_size=4).map(str.encode), max_size=8))
@example([b"data: a\r", b"\n\r", b"\n"])
@example([b"data: a\r\n", b"\r", b"\n"])
@example([b"data: a\n", b"\n"])
@example([b"data: a\r", b"\n"])
def test_the_end_of_an_event_is_known_wherever_it_is_cut(pieces: list[bytes]) -> None:
    client = Wholly()
    tie = tied(client)
    tie.begins(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", chunked=True)
    for piece in pieces:
        tie.passed(piece, 5.0)
    tie.end(Refuse(reason=Reason.REVOKED))
    assert client.is_broken_off is not said(b"".join(pieces))
    assert bool(client.last_words) is said(b"".join(pieces))


def test_a_last_word_comes_behind_an_event_whose_empty_line_was_cut(behind: Listening) -> None:
    with passing(behind, b"a\r\ndata: one\r\r\n3\r\n\n\r\n\r\n", mint()) as (hub, stream):
        assert stream.next() == [("message", "one")]
        hub.revoke("BLACKLIST:sub:alice")
        ((kind, _),) = stream.rest()
        assert kind == "auth"
        assert stream.over
