"""Revocations in one Redis or Valkey (6 or newer), asked on every decision: for threads, and for event loops.

A question is one EXISTS that names every key; only when something stands are the values read. `timeout` bounds it from
`find` to the last byte, whatever has to be done in between: connect, TLS, login. A question that the server cut off by
closing the connection is asked once more, in the time that is left; nothing else is retried. A user of the access
control list needs EXISTS and GET to be asked, and what `RedisLedger` names to be written to.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, final

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.ledger import RedisLedger
from sluicegate.backends.redis.link import Link
from sluicegate.backends.redis.outage import Outage
from sluicegate.backends.redis.pool import Pool
from sluicegate.backends.redis.report import report
from sluicegate.backends.redis.wire import Wire
from sluicegate.backends.standing import NONE, is_storable
from sluicegate.core.flow import Hits
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable
from sluicegate.ports import StoreReport

TIMEOUT: Final = 0.05
"""Seconds; the default of the Caddy plugin stateful_jwt."""

CONNECTIONS: Final = 32
IN_FLIGHT: Final = 10_000
PROBE: Final = "BLACKLIST:key:"
_MOST_WRITTEN: Final = 4096


def _packed(wire: Wire, keys: tuple[str, ...]) -> tuple[tuple[str, ...], bytes]:
    """Return those of the keys that can stand anywhere, and the question about them."""
    try:
        return keys, wire.question(keys)
    except UnicodeEncodeError:  # half a character is in no key; nothing that asks lets it come this far
        storable = tuple(filter(is_storable, keys))
        return storable, wire.question(storable)


@final
class RedisStore:
    """A `StateStore` that answers at once, a `Ledger` and an `Inspectable`. Safe between threads and after a fork.

    At most `connections` questions are asked at the same time; further ones wait for a connection to come free, and
    raise `StateUnavailable` when none does within `timeout` seconds. `probe` is the key that `inspect` asks about; a
    write is acknowledged when `durable_replicas` replicas have it. `clock` returns seconds since the epoch.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = TIMEOUT,
        durable_replicas: int = 0,
        probe: str = PROBE,
        connections: int = CONNECTIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wire: Final = Wire(address)
        self._timeout: Final = timeout
        self._replicas: Final = durable_replicas
        self._probe: Final = probe
        self._outage: Final = Outage(clock)
        self._pool: Final = Pool(self._wire, self._outage, size=connections, timeout=timeout)
        self._ledger: Final = RedisLedger(address, durable_replicas=durable_replicas, clock=clock)

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Return the keys that stand, each with its value.

        Raises `StateUnavailable` when the whole answer is not there within `timeout`, and for every answer that is an
        error.
        """
        deadline = time.monotonic() + self._timeout
        keys, packed = _packed(self._wire, keys)
        if not keys:
            return NONE
        try:
            hits = self._found(keys, packed, deadline)
        except StateUnavailable:
            self._outage.question_failed()
            raise
        if self._outage.since is not None:
            self._outage.question_answered()
        return hits

    def put(self, key: str, entry: Entry) -> Entry:
        """Write one entry merged with what stands; return what stands now. See `RedisLedger.put`."""
        return self._ledger.put(key, entry)

    def remove(self, key: str) -> bool:
        """Take one entry away; tell whether there was one. See `RedisLedger.remove`."""
        return self._ledger.remove(key)

    def entries(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries whose key begins so. See `RedisLedger.entries`."""
        return self._ledger.entries(prefix)

    def inspect(self) -> StoreReport:
        """Ask the server how it is; takes a second at most."""
        return report(self._wire, self._outage, probe=self._probe, durable_replicas=self._replicas)

    def close(self) -> None:
        """Close the connections. Questions raise `StateUnavailable` from now on."""
        self._pool.close()
        self._ledger.close()

    def _found(self, keys: tuple[str, ...], packed: bytes, deadline: float) -> Hits:
        wire = self._wire
        (reply,) = self._pool.exchange(packed, 1, deadline)
        if not wire.count(reply, keys):
            return NONE
        try:
            return wire.hits(keys, self._pool.exchange(wire.values(keys), wire.values_replies(keys), deadline))
        except StateUnavailable as away:
            raise StateUnavailable(str(away), stands=True) from away


@final
class AsyncRedisStore:
    """A `StateStore` that answers awaitably, and an `Inspectable`.

    Each event loop has one connection. What is asked in one turn of the loop leaves in one write. With `limit`
    questions in flight the next one fails with `StateUnavailable` at once. Everything else as with `RedisStore`, which
    also does the writing.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = TIMEOUT,
        durable_replicas: int = 0,
        probe: str = PROBE,
        limit: int = IN_FLIGHT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wire: Final = Wire(address)
        self._timeout: Final = timeout
        self._replicas: Final = durable_replicas
        self._probe: Final = probe
        self._limit: Final = limit
        self._outage: Final = Outage(clock)
        self._linking: Final = threading.Lock()
        self._links: Final[dict[asyncio.AbstractEventLoop, Link]] = {}
        self._link: Link | None = None
        # a token that comes again asks the same question, and to write it down costs half of what asking it does
        self._written: dict[tuple[str, ...], bytes] = {}
        self._is_closed = False

    def find(self, keys: tuple[str, ...]) -> asyncio.Future[Hits]:
        """Ask, and return the future that will hold the keys that stand, each with its value.

        The future holds `StateUnavailable` when the whole answer is not there within `timeout`, and for every answer
        that is an error. It may be cancelled at any time. Raises `RuntimeError` where no event loop runs.
        """
        link = self._link
        if link is None or link.loop is not asyncio.get_running_loop():
            link = self._link_here()
        packed = self._written.get(keys)
        if packed is not None:
            return link.ask(keys, packed)
        keys, packed = _packed(self._wire, keys)
        if not keys:
            nothing = link.loop.create_future()
            nothing.set_result(NONE)
            return nothing
        if len(self._written) >= _MOST_WRITTEN:
            self._written.clear()
        self._written[keys] = packed
        return link.ask(keys, packed)

    def inspect(self) -> StoreReport:
        """Ask the server how it is; blocks, for a second at most, so it is for a thread."""
        return report(self._wire, self._outage, probe=self._probe, durable_replicas=self._replicas)

    def close(self) -> None:
        """Have every loop throw its connection away. May be called from any thread; questions fail from now on."""
        with self._linking:
            self._is_closed = True
            links = tuple(self._links.values())
        for link in links:
            with suppress(RuntimeError):  # a loop that is closed has no connection any more
                link.loop.call_soon_threadsafe(link.close)

    async def aclose(self) -> None:
        """Close this loop's connection, and return when it is gone. Its questions fail from now on; others' do not."""
        await self._link_here().wait_closed()

    def _link_here(self) -> Link:
        """Return the running loop's link. One store serves several loops in turn, or in threads of their own."""
        loop = asyncio.get_running_loop()
        with self._linking:
            for ended in [other for other in self._links if other.is_closed()]:
                del self._links[ended]
            link = self._links.get(loop)
            if link is None:
                link = Link(self._wire, self._outage, timeout=self._timeout, limit=self._limit)
                if self._is_closed:
                    link.close()
                self._links[loop] = link
            self._link = link
            return link
