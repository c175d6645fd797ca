"""A running stream that goes on with a fresh token ends with that one, wherever its revocation falls."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from sluicegate.backends.changes import Changes, PolledFeed
from sluicegate.backends.memory import MemoryStore
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable
from tests.events.gate import Stream, Streams, bearer, streaming
from tests.events.test_live import Doors, ended
from tests.table.tokens import NOW, mint
from tests.wire import Wire, connected, request


@contextmanager
def running(doors: Doors, *, state: str = "refuse") -> Iterator[tuple[Streams, Stream]]:
    """A stream with the token `old`; from here on the store answers when the test lets it, and no feed tells."""
    doors.holds = False
    feed = PolledFeed(MemoryStore(), Changes())
    with (
        streaming(asked=doors, feed=lambda _: feed, policy={"state": state}) as hub,
        hub.reading("public-x", token=mint(jti="old")) as stream,
    ):
        doors.holds = True
        yield hub, stream
        doors.holds = False


def renewing(wire: Wire, stream: Stream, jti: str) -> None:
    """Hand in a fresh token for a stream."""
    token = bearer(mint(jti=jti, exp=NOW + 3600))
    wire.send(request("/events/public-x/renew", token, ("X-Stream-ID", stream.name), method="POST"))


def asked(doors: Doors) -> None:
    """Wait until the store is asked, and let it think."""
    assert doors.asked.acquire(timeout=10)
    doors.asked.release()


def test_a_fresh_token_that_is_revoked_on_its_way_into_the_register_ends_the_stream() -> None:
    doors = Doors()
    with running(doors) as (hub, stream), connected(hub.gate.address) as wire:
        renewing(wire, stream, "new")
        asked(doors)  # the decision's question; its answer is older than what comes now
        doors.store.put("BLACKLIST:key:new", Entry("abuse"))
        doors.let()
        doors.let()  # the last question, which is asked when the stream stands under its fresh token
        assert ended(stream.rest()) == "revoked"
        assert hub.hub.live.open == hub.hub.streams == 0


def test_a_fresh_token_is_asked_about_also_when_whoever_handed_it_in_has_left() -> None:
    doors = Doors()
    with running(doors) as (hub, stream):
        with connected(hub.gate.address) as wire:
            renewing(wire, stream, "new")
            asked(doors)
            doors.store.put("BLACKLIST:key:new", Entry("abuse"))
            doors.let()
            asked(doors)
        while hub.gate.gateway.connections > 1:
            hub.gate.turn()
        doors.let()
        assert ended(stream.rest()) == "revoked"


@pytest.mark.parametrize(("state", "goes_on"), [("refuse", False), ("admit", True)])
def test_a_fresh_token_that_cannot_be_asked_about_ends_the_stream_where_the_gate_fails_closed(
    state: str, *, goes_on: bool
) -> None:
    doors = Doors()
    with running(doors, state=state) as (hub, stream), connected(hub.gate.address) as wire:
        renewing(wire, stream, "new")
        doors.let()
        asked(doors)
        doors.failure, doors.holds = StateUnavailable("away"), False  # and stays away for longer than is waited
        doors.let()
        if not goes_on:
            assert [json.loads(data)["reason"] for _, data in stream.rest()] == ["state_unavailable"]
            return
        hub.gate.turn()
        doors.failure = None
        hub.publish("public-x", "still here")
        assert stream.next() == [("message", "still here")]


def test_a_question_about_a_fresh_token_that_ends_in_a_defect_ends_the_stream() -> None:
    """A crash is a closed gate."""
    doors = Doors()
    with running(doors) as (hub, stream), connected(hub.gate.address) as wire:
        renewing(wire, stream, "new")
        doors.let()
        asked(doors)
        doors.failure = ZeroDivisionError()
        doors.let()
        assert [json.loads(data)["reason"] for _, data in stream.rest()] == ["state_unavailable"]
        hub.gate.turn()
        (told,) = hub.gate.errors
        assert told["exception"] is doors.failure
        hub.gate.errors.clear()


def test_of_two_renewals_at_once_a_late_answer_about_the_first_token_ends_nothing() -> None:
    doors = Doors()
    with running(doors) as (hub, stream), connected(hub.gate.address) as one, connected(hub.gate.address) as two:
        renewing(one, stream, "first")
        asked(doors)
        doors.store.put("BLACKLIST:key:first", Entry("abuse"))
        doors.let()
        assert doors.asked.acquire(timeout=10)  # the last question about the first: its answer is on the way
        renewing(two, stream, "second")
        doors.let(1)
        doors.let(1)
        assert two.receive(to="POST").status == 204
        doors.asked.release()
        doors.let()
        hub.gate.turn()
        doors.holds = False
        hub.publish("public-x", "still here")
        assert stream.next() == [("message", "still here")]
        assert (hub.hub.live.open, hub.hub.streams) == (1, 1)


def test_a_stream_that_ends_before_the_last_answer_leaves_nothing_behind() -> None:
    doors = Doors()
    with running(doors) as (hub, stream), connected(hub.gate.address) as wire:
        renewing(wire, stream, "new")
        asked(doors)
        doors.store.put("BLACKLIST:key:new", Entry("abuse"))
        doors.let()
        asked(doors)
        stream.wire.socket.close()
        while hub.hub.streams:
            hub.gate.turn()
        doors.let()
        hub.gate.turn()
        assert hub.hub.live.open == 0
        assert not hub.hub.live.ended


def test_a_token_that_a_stream_no_longer_has_ends_it_no_more() -> None:
    doors = Doors()
    with running(doors) as (hub, stream), connected(hub.gate.address) as wire:
        renewing(wire, stream, "new")
        doors.let()
        doors.let()
        assert wire.receive(to="POST").status == 204
        doors.holds = False
        doors.store.put("BLACKLIST:key:old", Entry("abuse"))
        hub.gate.call(partial(hub.hub.live.changed, "BLACKLIST:key:old"))
        hub.publish("public-x", "still here")
        assert stream.next() == [("message", "still here")]


def test_a_token_of_another_user_changes_nothing() -> None:
    doors = Doors()
    with running(doors) as (hub, stream), connected(hub.gate.address) as wire:
        token = bearer(mint(jti="m", sub="mallory"))
        wire.send(request("/events/public-x/renew", token, ("X-Stream-ID", stream.name), method="POST"))
        doors.let()
        assert wire.receive(to="POST").status == 404
        doors.holds = False
        doors.store.put("BLACKLIST:sub:mallory", Entry("abuse"))
        doors.store.put("BLACKLIST:key:old", Entry("abuse"))
        for key in ("BLACKLIST:sub:mallory", "BLACKLIST:key:old"):
            hub.gate.call(partial(hub.hub.live.changed, key))
        assert ended(stream.rest()) == "revoked"
