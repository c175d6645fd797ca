"""What is left of a client that opens ten thousand streams of ever new topics and leaves them: nothing, soon."""

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, final

import pytest

from sluicegate.sse.broker import UNREAD
from sluicegate.sse.relayed import LINGER
from tests.events.crowd import crowd
from tests.events.gate import Streams, bearer, streaming
from tests.events.nodes import node
from tests.events.test_nodes import channels
from tests.servers.redis import redis_server
from tests.table.tokens import mint
from tests.wire import connected, request

MANY: Final = 10_000
AT_ONCE: Final = 500


@final
class Ahead:
    """The time, or so many seconds later."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self) -> float:
        """Say what time it is."""
        return time.time() + self.by


@contextmanager
def in_one_process() -> Iterator[tuple[Streams, Callable[[], None]]]:
    with streaming() as hub:
        yield hub, lambda: hub.gate.call(hub.hub.broker.sweep)


@contextmanager
def over_redis() -> Iterator[tuple[Streams, Callable[[], None]]]:
    clock = Ahead()

    def look() -> None:
        clock.by += LINGER + 1
        hub.gate.call(hub.hub.broker.sweep)
        with hub.reading("public-last"):  # heard by the connection that has let go of the others before
            assert channels(server) == {"public-last"}
        without_streams(hub)
        clock.by += LINGER + 1
        hub.gate.call(hub.hub.broker.sweep)

    with redis_server() as server, node(server, clock=clock) as hub:
        yield hub, look
        assert server.cli("KEYS", "sluicegate:events:topic:*") == ""


World = Callable[[], AbstractContextManager[tuple[Streams, Callable[[], None]]]]
"""A gateway, and what has it look at its topics when their time has come."""


def without_streams(hub: Streams) -> None:
    """Wait until every stream has ended, and every client has gone."""
    while hub.hub.streams:
        hub.gate.turn()
    hub.gate.empty()


def come_and_go(hub: Streams, name: str, count: int) -> None:
    for start in range(0, count, AT_ONCE):
        topics = [f"public-{name}-{number}" for number in range(start, start + AT_ONCE)]
        with crowd(hub.gate.address) as clients:
            clients.open([request(f"/events/{topic}", bearer(mint())) for topic in topics], until=b"retry:")
    without_streams(hub)


def there() -> Counter[str]:
    """Count what there is of ours, by kind; errors aside, of which the last is kept while a store is slow."""
    gc.collect()
    kinds = [kind for kind in map(type, gc.get_objects()) if "sluicegate" in str(kind.__module__)]
    return Counter(kind.__qualname__ for kind in kinds if not issubclass(kind, Exception))


WORLDS: Final = (in_one_process, over_redis)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.timeout(120)
def test_ten_thousand_streams_of_ever_new_topics_that_were_left_leave_nothing_behind(world: World) -> None:
    with world() as (hub, look):
        come_and_go(hub, "first", AT_ONCE)  # what is made once is made here
        look()
        before = there()
        come_and_go(hub, "then", MANY)
        assert hub.hub.broker.topics == UNREAD
        look()
        assert there() == before
        assert hub.hub.broker.topics == hub.hub.broker.history_bytes == hub.hub.live.open == hub.hub.streams == 0


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("method", "behind"), [("HEAD", ""), ("POST", "/renew"), ("OPTIONS", ""), ("PUT", "")])
def test_what_opens_no_stream_leaves_nothing_behind_at_once(world: World, method: str, behind: str) -> None:
    with world() as (hub, _):
        ask(hub, method, "first", behind, 1)
        before = there()
        ask(hub, method, "then", behind, 1000)
        assert there() == before
        assert hub.hub.broker.topics == hub.hub.live.open == 0


def ask(hub: Streams, method: str, name: str, behind: str, count: int) -> None:
    with connected(hub.gate.address) as wire:
        for number in range(count):
            target = f"/events/public-{name}-{number}{behind}"
            wire.send(request(target, bearer(mint()), ("X-Stream-ID", "1-0"), method=method))
            assert wire.receive(to=method).status in {200, 204, 404, 405}
    without_streams(hub)
