"""What a token opened ends on every node when redis-cli revokes it, wherever in its opening the revocation falls."""

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, final

import pytest

from sluicegate.backends.redis.store import AsyncRedisStore
from sluicegate.server.wire.limits import Limits
from tests.events.gate import Streams, bearer
from tests.events.nodes import address_of, ends, node
from tests.events.test_live import ended
from tests.servers.cable import cable
from tests.servers.redis import Redis
from tests.table.tokens import mint
from tests.wire import connected, request

SETEX: Final = ("SETEX", "BLACKLIST:key:key-1", "600", "security")
STREAMS: Final = 5000


@pytest.mark.parametrize("key", ["BLACKLIST:key:key-1", "BLACKLIST:sub:alice"])
def test_a_key_that_redis_cli_writes_ends_streams_on_every_node_and_spares_others(redis: Redis, key: str) -> None:
    with (
        node(redis, stateful=True) as one,
        node(redis, stateful=True) as two,
        one.reading("public-x") as here,
        two.reading("public-x") as there,
        two.reading("public-x", token=mint(sub="bob", jti="b")) as other,
    ):
        redis.cli("SETEX", key, "600", "security")
        assert ended(here.rest()) == ended(there.rest()) == "revoked"
        redis.cli("DEL", key)
        one.publish("public-x", "still here")
        assert other.next() == [("message", "still here")]


@pytest.mark.parametrize("accident", ["cut", "silence"])
def test_a_key_that_is_written_while_nobody_tells_ends_streams_all_the_same(redis: Redis, accident: str) -> None:
    """The feed is lost, the store is not: lost means strict, not blind."""
    with (
        cable(redis.port) as line,
        node(redis, stateful=True, feed=lambda _: feed_over(line)) as hub,
        hub.reading("public-x") as stream,
    ):
        ends(lambda: line.connections > 0)
        line.cut() if accident == "cut" else line.silence()
        redis.cli(*SETEX)
        assert ended(stream.rest()) == "revoked"


def feed_over(line: Any) -> Any:  # noqa: ANN401 - a cable, a feed
    from sluicegate.backends.redis.tracking import TrackingFeed  # noqa: PLC0415 - beside what it is given

    return TrackingFeed(address_of(line), prefixes=("BLACKLIST:",), probe="BLACKLIST:key:")


@final
class Doors:
    """A store on Redis whose answers are on their way for as long as the test likes."""

    def __init__(self, redis: Redis) -> None:
        self._store: Final = AsyncRedisStore(address_of(redis), timeout=5)
        self.asked: Final = threading.Semaphore(0)
        self._held: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.holds = True

    async def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Ask, and answer once the test lets it: as things stood when Redis was asked."""
        answer = await self._store.find(keys)
        if self.holds:
            loop = asyncio.get_running_loop()
            let: asyncio.Future[None] = loop.create_future()
            self._held.append((loop, let))
            self.asked.release()
            await let
        return answer

    def let(self) -> None:
        """Let the oldest answer arrive."""
        loop, let = self._held.pop(0)
        loop.call_soon_threadsafe(let.set_result, None)

    def close(self) -> None:
        """End."""
        self._store.close()


@pytest.mark.parametrize("when", ["before the decision", "after the decision", "after the last answer"])
def test_a_revocation_between_two_steps_of_opening_is_never_missed(redis: Redis, when: str) -> None:
    doors = Doors(redis)
    # the doors are closed before the loop that their connection is on
    with node(redis, stateful=True, asked=doors) as hub, closing(doors), connected(hub.gate.address) as wire:
        if when == "before the decision":
            redis.cli(*SETEX)
        wire.send(request("/events/public-x", bearer(mint())))
        assert doors.asked.acquire(timeout=10)
        if when == "after the decision":
            redis.cli(*SETEX)  # its answer says nothing of it
        doors.let()
        if when != "before the decision":
            assert doors.asked.acquire(timeout=10)  # the last question
            if when == "after the last answer":
                doors.holds = False
                redis.cli(*SETEX)
                ends(lambda: bool(hub.hub.live.ended))  # told by Redis, asked about, ended before it has begun
            doors.let()
        answer = wire.receive()
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "api_key_blacklisted")
        ends(lambda: hub.hub.live.open == hub.hub.streams == 0)


def test_a_stream_that_is_blocked_on_a_slow_reader_is_broken_off(redis: Redis) -> None:
    with node(redis, stateful=True) as hub, hub.reading("public-x") as stream:
        while not is_behind(hub):
            hub.publish("public-x", "x" * 200_000)
        redis.cli(*SETEX)
        ends(lambda: hub.hub.streams == 0)
        assert "auth" not in {kind for kind, _ in stream.rest()}
        assert not stream.over


def is_behind(hub: Streams) -> bool:
    return any(
        stream.subscription is not None and stream.subscription.is_paused
        for slot in hub.hub._slots  # noqa: SLF001 - whether a reader is behind is nobody else's business
        for stream in list(slot.values())
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_five_thousand_streams_of_one_subject_on_two_nodes_end_after_one_setex(redis: Redis) -> None:
    limits = Limits(connections=10_000)
    with node(redis, stateful=True, limits=limits) as one, node(redis, stateful=True, limits=limits) as two:
        sockets = [opened(one if number % 2 else two, number) for number in range(STREAMS)]
        try:
            for taken in sockets:
                assert taken.recv(4096).startswith(b"HTTP/1.1 200")
            ends(lambda: one.hub.streams + two.hub.streams == STREAMS)
            redis.cli("SETEX", "BLACKLIST:sub:alice", "600", "security")
            for taken in sockets:
                last = b""
                while piece := taken.recv(65536):
                    last += piece
                assert b"event: auth" in last
            assert one.hub.streams == two.hub.streams == one.hub.live.open == two.hub.live.open == 0
        finally:
            for taken in sockets:
                taken.close()


def opened(hub: Streams, number: int) -> socket.socket:
    taken = socket.create_connection(hub.gate.address, timeout=60)
    taken.sendall(request("/events/public-x", bearer(mint(jti=f"j{number}"))))
    return taken
