"""Several nodes over one Redis: real gateways, each on an event loop in a thread of its own."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.events import RedisEvents
from sluicegate.backends.redis.store import AsyncRedisStore
from sluicegate.backends.redis.tracking import TrackingFeed
from sluicegate.sse.broker import UNREAD, Broker
from sluicegate.sse.relayed import Relayed
from sluicegate.sse.subscription import Terms
from tests.events.gate import Stream, Streams, streaming
from tests.servers.cable import Cable
from tests.servers.redis import Redis

PROBE: Final = "BLACKLIST:key:"
PREFIXES: Final = (PROBE, "BLACKLIST:")
WITHIN: Final = 20.0


def address_of(server: Redis | Cable) -> Address:
    """Where a server, or the cable to it, is."""
    return Address(host=server.host, port=server.port)


@contextmanager
def node(
    server: Redis | Cable | Address,
    *,
    terms: Terms | None = None,
    linger: float = 30.0,
    unread: int = UNREAD,
    largest: int = 262_144,
    silence: float = 0.4,
    clock: Callable[[], float] = time.time,
    stateful: bool = False,
    **choices: Any,  # noqa: ANN401 - whatever `streaming` takes
) -> Iterator[Streams]:
    """Run a gateway whose events go through Redis; with `stateful`, its revocations too.

    `clock` is that of the history: the server's own, as near as can be.
    """
    address = server if isinstance(server, Address) else address_of(server)

    def topics(terms: Terms) -> Relayed:
        relay = RedisEvents(
            address,
            probe=PROBE,
            history=terms.history,
            ttl=terms.ttl,
            largest=largest,
            silence=silence,
            clock=clock,
        )
        return Relayed(Broker(terms, clock=clock), relay, clock=clock, linger=linger, unread=unread)

    if stateful:
        store = AsyncRedisStore(address, timeout=2)
        choices = {"asked": store, "feed": lambda _: TrackingFeed(address, prefixes=PREFIXES, probe=PROBE), **choices}
        with streaming(terms=terms, broker=topics, **choices) as streams:
            try:
                yield streams
            finally:
                store.close()  # before its loop is
    else:
        with streaming(terms=terms, broker=topics, **choices) as streams:
            yield streams


def published(hub: Streams, topic: str, data: str) -> str:
    """Publish until it is answered with an id; return that."""
    deadline = time.monotonic() + WITHIN
    while True:
        answer = hub.publish(topic, data)
        if answer.status == 201:
            return str(json.loads(answer.body)["id"])
        assert answer.status == 503, answer
        assert answer.header("Retry-After")
        assert time.monotonic() < deadline, answer


def texts(events: list[tuple[str, str]]) -> list[str]:
    """What a page would get: the data of its messages, and nothing of the hub's own."""
    return [data for kind, data in events if kind == "message"]


def gaps(events: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What it was told that it has missed."""
    return [json.loads(data) for kind, data in events if kind == "gap"]


def until(stream: Stream, data: str) -> list[tuple[str, str]]:
    """Read until this comes; return all that came until then."""
    found = []
    while ("message", data) not in found:
        found += stream.next()
    return found


def ends(is_so: Callable[[], bool], *, why: str = "") -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < deadline, why
        time.sleep(0.005)
