"""Two gateways and one Redis: each event reaches every reader of its topic, once and in order, whatever happens."""

import asyncio
import gc
import json
import re
import socket
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.events import RedisEvents
from sluicegate.ports import EventId, Kept
from sluicegate.server.events.hub import Pace
from sluicegate.sse.subscription import Terms
from tests.events.gate import Streams, bearer, done
from tests.events.nodes import PROBE, address_of, ends, gaps, node, published, texts, until
from tests.servers.cable import cable
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.redis import Redis, redis_server
from tests.table.tokens import mint
from tests.wire import connected, exchange, request

READERS: Final = 200


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as redis:
        yield redis


@pytest.fixture(scope="module")
def nodes(server: Redis) -> Iterator[tuple[Streams, Streams]]:
    with node(server) as one, node(server) as two:
        yield one, two


def test_what_one_node_publishes_reaches_the_readers_of_all(nodes: tuple[Streams, Streams]) -> None:
    one, two = nodes
    with one.reading("public-a") as here, two.reading("public-a") as there, two.reading("public-b") as other:
        first = published(one, "public-a", "from one")
        second = published(two, "public-a", "from\ntwo")
        assert here.next(2) == there.next(2) == [("message", "from one"), ("message", "from\ntwo")]
        assert here.last_id == there.last_id == second
        assert first < second
        published(one, "public-b", "for b")
        assert other.next() == [("message", "for b")]


def test_publishers_on_both_nodes_are_heard_by_all_in_one_order(nodes: tuple[Streams, Streams]) -> None:
    def publish(hub: Streams, name: str) -> None:
        for number in range(100):
            published(hub, "public-order", f"{name}{number}")

    with nodes[0].reading("public-order") as here, nodes[1].reading("public-order") as there:
        threads = [threading.Thread(target=publish, args=pair) for pair in zip(nodes, "ab", strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        heard = here.next(200)
        assert heard == there.next(200)
        for name in "ab":
            assert [text for text in texts(heard) if text.startswith(name)] == [f"{name}{n}" for n in range(100)]


def test_a_reader_comes_back_on_a_node_that_has_not_held_the_topic_and_misses_nothing(
    nodes: tuple[Streams, Streams],
) -> None:
    one, two = nodes
    with one.reading("public-back") as stream:
        published(one, "public-back", "0")
        stream.next()
        last = stream.last_id
    for number in range(1, 300):
        published(one, "public-back", str(number))
    with two.reading("public-back", ("Last-Event-ID", last)) as stream:
        assert stream.next(299) == [("message", str(number)) for number in range(1, 300)]
        published(one, "public-back", "300")
        assert stream.next() == [("message", "300")]


def test_a_fresh_token_is_taken_by_the_node_that_holds_the_stream_and_by_another_when_the_reader_comes_back(
    nodes: tuple[Streams, Streams],
) -> None:
    one, two = nodes
    numbers = [str(number) for number in range(300)]
    publisher = threading.Thread(target=lambda: [published(one, "public-again", number) for number in numbers])
    old, fresh = mint(jti="old"), mint(jti="fresh")
    with one.reading("public-again", token=old) as stream:
        raw = request("/events/public-again/renew", bearer(fresh), ("X-Stream-ID", stream.name), method="POST")
        assert exchange(two.gate.address, raw).status == 404
        publisher.start()
        stream.next(100)  # it goes on as it was
        assert exchange(one.gate.address, raw).status == 204
        heard, last = [event.data for event in stream.reader.events], stream.last_id
    with two.reading("public-again", ("Last-Event-ID", last), token=fresh) as again:
        heard += texts(again.next(300 - len(heard)))
    publisher.join()
    assert heard == numbers


def test_a_topic_that_one_knows_the_beginning_of_is_read_back_beyond_what_memory_holds(server: Redis) -> None:
    """Memory is bounded; the history is not lost with it."""
    with node(server, terms=Terms(history_bytes=6000)) as hub, hub.reading("public-small") as first:
        ids = [published(hub, "public-small", f"{number} " + "x" * 500) for number in range(60)]
        first.next(60)
        with hub.reading("public-small", ("Last-Event-ID", ids[0])) as stream:
            assert [text.split()[0] for text in texts(stream.next(59))] == [str(number) for number in range(1, 60)]


def test_many_who_come_back_together_at_different_places_get_exactly_what_each_lacks(server: Redis) -> None:
    with node(server) as hub:
        ids = [published(hub, "public-many", str(number)) for number in range(150)]
        before = int(server.cli("INFO", "commandstats").partition("cmdstat_xrange:calls=")[2].partition(",")[0] or 0)
        wires = []
        try:
            for number in range(READERS):
                last = ids[number % 150]
                wire = socket.create_connection(hub.gate.address)
                wires.append(wire)
                wire.sendall(request("/events/public-many", bearer(mint()), ("Last-Event-ID", last)))
            for number, wire in enumerate(wires):
                came = b""
                wanted = [str(n) for n in range(number % 150 + 1, 150)]
                while came.count(b"\ndata: ") < len(wanted):
                    came += wire.recv(65536)
                assert [line[6:].decode() for line in came.split(b"\n") if line.startswith(b"data: ")] == wanted
        finally:
            for wire in wires:
                wire.close()
        after = int(server.cli("INFO", "commandstats").partition("cmdstat_xrange:calls=")[2].partition(",")[0])
        # not one for each reader, let alone its whole history; how many share one depends on who comes meanwhile
        assert after - before < READERS * 0.9


@pytest.mark.parametrize("last", ["0", "1-1", "garbage", "99999999999999999-0"])
def test_a_reader_is_told_where_history_does_not_reach_back(server: Redis, last: str) -> None:
    topic = f"public-gap-{last}"
    with node(server, terms=Terms(history=2)) as one, node(server, terms=Terms(history=2)) as two:
        ids = [published(one, topic, str(number)) for number in range(4)]
        with two.reading(topic, ("Last-Event-ID", last)) as stream:
            (kind, data), *rest = stream.next(3)
            assert (kind, json.loads(data)["reason"], json.loads(data)["oldest"]) == ("gap", "history", ids[2])
            assert rest == [("message", "2"), ("message", "3")]
        with two.reading(topic, ("Last-Event-ID", ids[0])) as stream:
            assert gaps(stream.next(3))[0]["last_event_id"] == ids[0]
        with two.reading(topic, ("Last-Event-ID", ids[1])) as stream:
            assert stream.next(2) == rest


def test_what_is_not_kept_is_told_and_no_id_is_promised(server: Redis) -> None:
    with (
        node(server, terms=Terms(history=0)) as one,
        node(server, terms=Terms(history=0)) as two,
        two.reading("public-none") as stream,
    ):
        for number in range(3):
            answer = one.publish("public-none", str(number))
            assert (answer.status, json.loads(answer.body)) == (202, {})
        assert texts(stream.next(3)) == ["0", "1", "2"]


def test_history_ends_with_its_time(server: Redis) -> None:
    with node(server, terms=Terms(ttl=0.2)) as hub:
        first = published(hub, "public-old", "1")
        ends(lambda: server.cli("EXISTS", "sluicegate:events:topic:public-old") == "0")
        published(hub, "public-old", "2")
        with hub.reading("public-old", ("Last-Event-ID", first)) as stream:
            assert gaps(stream.next())


def channels(server: Redis) -> set[str]:
    return {line.rpartition(":")[2] for line in server.cli("PUBSUB", "CHANNELS", "sluicegate:events:*").split("\n")}


def test_a_node_subscribes_to_the_topics_that_are_read_here_and_to_no_other(server: Redis) -> None:
    pace = Pace(keepalive=0.25)  # as often as topics are looked at
    with node(server, linger=0.05, pace=pace) as one, node(server, linger=0.05, pace=pace) as two:
        with one.reading("public-held"), two.reading("public-other"):
            published(two, "public-nobody", "x")
            assert {"public-held", "public-other"} <= channels(server)
            assert "public-nobody" not in channels(server)
        ends(lambda: not {"public-held", "public-other"} & channels(server))
        with one.reading("public-held") as again:
            published(two, "public-held", "again")
            assert again.next() == [("message", "again")]


def test_head_holds_no_topic_and_shows_what_get_would_begin_with(server: Redis) -> None:
    with node(server) as hub, connected(hub.gate.address) as wire:
        answers = []
        for number in range(100):
            wire.send(request(f"/events/public-head-{number}", bearer(mint()), method="HEAD"))
            answers.append(wire.receive(to="HEAD"))
        assert hub.hub.broker.topics == 0
        assert not [channel for channel in channels(server) if channel.startswith("public-head-")]
        with hub.reading("public-head-0") as stream:
            changing = {"Date", "X-Request-ID", "X-Stream-ID"}
            begun = [(name, name in changing or value) for name, value in stream.head.headers]
        for answer in answers:
            assert answer.status == 200
            assert [(name, name in changing or value) for name, value in answer.headers] == begun


def test_two_databases_of_one_server_have_nothing_in_common(server: Redis) -> None:
    other = address_of(server)
    other = type(other)(host=other.host, port=other.port, db=5)
    with node(server) as one, node(other) as two, one.reading("public-db") as here, two.reading("public-db") as there:
        published(one, "public-db", "for one")
        published(two, "public-db", "for two")
        assert here.next() == [("message", "for one")]
        assert there.next() == [("message", "for two")]


@pytest.mark.parametrize(
    ("fields", "is_seen"),
    [
        (("p", "0-1", "e", "", "d", "fine"), True),
        (("p", "0-1", "e", "a\nid: 9-9", "d", "x"), False),
        (("p", "0-1", "e", "auth", "d", "{}"), False),
        (("p", "0-1", "e", "", "d", "a\0b"), False),
        (("p", "0-1", "e", "", "d", b"\xff\xfe"), False),
        (("e", "", "d", "fine"), True),
        (("d", "x"), False),
        (("nothing", "we know"), False),
    ],
    ids=range(8),
)
def test_what_stands_in_a_stream_and_is_no_event_is_passed_over(
    server: Redis, fields: tuple[str | bytes, ...], *, is_seen: bool
) -> None:
    """Whoever can write to Redis can publish; nobody can put a frame of their own on a stream, or end a node."""
    with node(server) as hub, hub.reading("public-garbled") as stream:
        published(hub, "public-garbled", "before")
        stream.next()
        words = [word if isinstance(word, bytes) else word.encode() for word in fields]
        raw(server, b"XADD", b"sluicegate:events:topic:public-garbled", b"*", *words)
        published(hub, "public-garbled", "after")
        came = until(stream, "after")
        assert texts(came) == (["fine", "after"] if is_seen else ["after"])
        assert {kind for kind, _ in came} <= {"message", "gap"}
        raw(server, b"DEL", b"sluicegate:events:topic:public-garbled")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        b"1-1",
        b"5-5 4-4\n",
        b"99999999999999999-0 1-1\n\nfar ahead",
        b"\xff" * 100,
        b"1-1 \n\nanother history",
    ],
    ids=range(7),
)
def test_what_is_published_and_stands_in_no_stream_disturbs_nobody(server: Redis, payload: bytes) -> None:
    with node(server) as hub, hub.reading("public-forged") as stream:
        published(hub, "public-forged", "1")
        raw(server, b"PUBLISH", b"sluicegate:events:0:public-forged", payload)
        published(hub, "public-forged", "2")
        published(hub, "public-forged", "3")
        came = until(stream, "3")
        assert [text for text in texts(came) if text in {"1", "2", "3"}] == ["1", "2", "3"]


def raw(server: Redis, *words: bytes) -> None:
    """Send one command whose words redis-cli could not take."""
    with socket.create_connection((server.host, server.port)) as wire:
        wire.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
        assert not wire.recv(100).startswith(b"-")


class Deaf:
    """Hears nothing."""

    def placed(self, topic: str, last: EventId) -> None:
        raise AssertionError(topic, last)

    def heard(self, topic: str, event: Kept) -> None:
        raise AssertionError(topic, event)

    def missed(self, topic: str, lost: EventId) -> None:
        raise AssertionError(topic, lost)


async def test_nothing_is_kept_of_those_who_gave_up_waiting_while_redis_is_away() -> None:
    with reserved_port() as port:
        relay = RedisEvents(Address(host=LOOPBACK, port=port), probe=PROBE, history=1, ttl=1, largest=100)
        relay.start(Deaf())
        gone: list[weakref.ref[asyncio.Future[None]]] = []
        for _ in range(500):
            waiting = asyncio.ensure_future(relay.hold("t") or asyncio.sleep(0))
            gone.append(weakref.ref(waiting))
            waiting.cancel()
            await asyncio.wait({waiting})
            del waiting
        gc.collect()
        assert len([one for one in gone if one() is not None]) < 100
        relay.close()
        await asyncio.sleep(0)


def test_nodes_with_other_histories_than_each_other_hear_each_other_all_the_same(server: Redis) -> None:
    """As they are while a new setting is rolled out; one that keeps none empties the stream each time."""
    with (
        node(server, terms=Terms(history=0)) as none,
        node(server, terms=Terms(history=2)) as few,
        node(server, terms=Terms(history=100)) as many,
        none.reading("public-mixed") as one,
        few.reading("public-mixed") as two,
        many.reading("public-mixed") as three,
    ):
        publishers = (none, none, many, few, none, none, none, few, few, few, many, none, many, many, none, none)
        for number, publisher in enumerate(publishers):
            assert publisher.publish("public-mixed", str(number)).status in {201, 202}
        expected = [("message", str(number)) for number in range(len(publishers))]
        assert [stream.next(len(publishers)) for stream in (one, two, three)] == [expected] * 3


def test_a_key_of_somebody_else_where_a_topic_should_be_stops_that_topic_alone(server: Redis) -> None:
    key = "sluicegate:events:topic:public-taken"
    with node(server) as hub, hub.reading("public-free") as free, hub.reading("public-taken") as taken:
        published(hub, "public-taken", "before")
        assert taken.next() == [("message", "before")]
        raw(server, b"DEL", key.encode())
        raw(server, b"SET", key.encode(), b"x")
        raw(server, b"PUBLISH", b"sluicegate:events:0:public-taken", b"look")
        assert hub.publish("public-taken", "lost").status == 503
        published(hub, "public-free", "1")
        assert free.next() == [("message", "1")]
        with node(server) as other:  # which has never read it
            assert exchange(other.gate.address, request("/events/public-taken", bearer(mint()))).status == 503
            published(other, "public-free", "2")
            assert free.next() == [("message", "2")]
            raw(server, b"DEL", key.encode())
            with other.reading("public-taken") as there:
                published(hub, "public-taken", "after")
                assert texts(until(taken, "after")) == ["after"]
                assert there.next() == [("message", "after")]


@pytest.mark.parametrize("accident", ["snapped", "clients killed", "silence"])
def test_readers_of_a_node_that_was_cut_off_get_what_was_published_meanwhile_once_and_in_order(
    server: Redis, accident: str
) -> None:
    topic = f"public-cut-{accident.replace(' ', '-')}"
    with (
        cable(server.port) as line,
        node(line) as cut,
        node(server) as other,
        cut.reading(topic) as stream,
        other.reading(topic) as witness,
    ):
        published(other, topic, "0")
        for number in range(1, 40):
            if number % 10 == 5:
                match accident:
                    case "snapped":
                        line.snap()
                    case "silence":
                        line.silence()
                    case _:
                        server.cli("CLIENT", "KILL", "TYPE", "pubsub")
            if number % 10 == 8:
                line.mend()
            published(other, topic, str(number))
        wanted = [("message", str(number)) for number in range(40)]
        assert witness.next(40) == wanted
        assert stream.next(40) == wanted


def test_a_restart_that_keeps_the_data_costs_no_event() -> None:
    with (
        redis_server(append_only=True) as redis,
        node(redis) as one,
        node(redis) as two,
        one.reading("public-r") as here,
        two.reading("public-r") as there,
    ):
        for number in range(30):
            if number % 10 == 5:
                redis.restart()
            published(one if number % 2 else two, "public-r", str(number))
        wanted = [("message", str(number)) for number in range(30)]
        assert here.next(30) == there.next(30) == wanted


def test_a_restart_that_forgets_is_told_and_what_comes_after_it_is_heard() -> None:
    with (
        redis_server() as redis,
        node(redis) as one,
        node(redis) as two,
        one.reading("public-f") as here,
        two.reading("public-f") as there,
    ):
        last = published(one, "public-f", "1")
        assert here.next() == there.next() == [("message", "1")]
        redis.restart()
        published(two, "public-f", "2")
        for stream in (here, there):
            came = until(stream, "2")
            assert texts(came) == ["2"]
            assert len(gaps(came)) == 1
        with one.reading("public-f", ("Last-Event-ID", last)) as back:
            came = until(back, "2")
            assert (texts(came), len(gaps(came))) == (["2"], 1)


def test_flushing_costs_no_reader_in_step_an_event() -> None:
    with redis_server() as redis, node(redis) as hub, hub.reading("public-f") as stream:
        for number in range(20):
            published(hub, "public-f", str(number))
            if number % 5 == 2:
                redis.cli("FLUSHALL")
        assert stream.next(20) == [("message", str(number)) for number in range(20)]


def test_publishing_while_redis_is_away_says_so_and_a_lost_answer_says_that_too() -> None:
    with redis_server() as redis, node(redis) as hub, hub.reading("public-x") as stream:
        published(hub, "public-x", "1")
        assert stream.next() == [("message", "1")]
        redis.freeze()
        answer = hub.publish("public-x", "2")
        assert (answer.status, json.loads(answer.body)["reason"]) == (503, "publish_unknown")
        assert answer.header("Retry-After")
        redis.thaw()
        redis.kill()
        ends(lambda: bool(hub.hub.broker.trouble))
        answer = hub.publish("public-x", "3")
        assert (answer.status, json.loads(answer.body)["reason"]) == (503, "events_unavailable")
        with connected(hub.gate.address) as wire:
            wire.send(request("/events/public-new", bearer(mint())))
            opened = wire.receive()
            assert (opened.status, json.loads(opened.body)["reason"]) == (503, "events_unavailable")
            for topic, status in (("public-x", 200), ("public-new", 503)):
                wire.send(request(f"/events/{topic}", bearer(mint()), method="HEAD"))
                assert wire.receive(to="HEAD").status == status
        redis.start()
        published(hub, "public-x", "4")
        assert texts(until(stream, "4"))[-1] == "4"


@pytest.mark.parametrize("rights", ["-publish", "-xadd", "-pexpire", "-eval", "resetchannels"])
def test_an_event_that_the_server_refuses_is_neither_kept_nor_told(rights: str) -> None:
    with redis_server(users=("gate on >secret allkeys allchannels +@all",)) as redis:
        place = address_of(redis)
        place = type(place)(host=place.host, port=place.port, username="gate", password="secret")
        with node(place) as hub, node(redis) as other, other.reading("public-x") as stream:
            redis.cli("ACL", "SETUSER", "gate", rights)
            answer = hub.publish("public-x", "never")
            assert (answer.status, json.loads(answer.body)["reason"]) == (503, "events_unavailable")
            assert redis.cli("XLEN", "sluicegate:events:topic:public-x") == "0"
            published(other, "public-x", "1")
            assert stream.next() == [("message", "1")]


def test_a_full_server_refuses_an_event_and_nothing_is_half_done() -> None:
    with redis_server() as redis, node(redis) as hub, hub.reading("public-x") as stream:
        redis.cli("CONFIG", "SET", "maxmemory", "1")
        assert hub.publish("public-x", "never").status == 503
        redis.cli("CONFIG", "SET", "maxmemory", "0")
        published(hub, "public-x", "1")
        assert stream.next() == [("message", "1")]


def test_a_slow_reader_delays_nobody_and_reads_on_from_the_history_of_all_nodes(server: Redis) -> None:
    terms = Terms(policy="block", history=500, history_bytes=400_000)
    with (
        node(server, terms=terms) as hub,
        node(server) as other,
        hub.reading("public-slow") as slow,
        other.reading("public-slow") as witness,
    ):
        for number in range(100):
            published(other, "public-slow", f"{number} " + "x" * 30_000)
            witness.next()
        assert [text.split()[0] for text in texts(slow.next(100))] == [str(number) for number in range(100)]
        assert done(hub.gate._loop, size(hub)) <= 400_000  # noqa: SLF001 - the loop is the test's own


async def size(hub: Streams) -> int:
    return hub.hub.broker.history_bytes


def test_the_rights_that_the_docs_name_are_enough(server: Redis) -> None:
    page = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    rights = re.findall(r"[~&+][\w:*|]+", page.partition("- allowed, for its user: `")[2].partition("`, beside")[0])
    server.cli("ACL", "SETUSER", "named", "reset", "on", ">secret", "~BLACKLIST:*", *rights)
    place = Address(host=server.host, port=server.port, username="named", password="secret")
    with node(place, linger=0.05, pace=Pace(keepalive=0.25)) as hub:
        with hub.reading("public-acl") as stream:
            ids = [published(hub, "public-acl", str(number)) for number in range(3)]
            assert stream.next(3)
        ends(lambda: "public-acl" not in channels(server))
        with hub.reading("public-acl", ("Last-Event-ID", ids[0])) as stream:
            assert stream.next(2) == [("message", "1"), ("message", "2")]
        assert not hub.hub.broker.trouble
    # a name for the connection is asked for, and not needed
    refused = set(re.findall(r"\nobject\n(.*)\n", server.cli("ACL", "LOG")))
    assert refused <= {"client|setname"}
