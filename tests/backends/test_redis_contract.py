"""The contract of every store, held by both stores of Redis; the asynchronous one is written to by the blocking one."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
import uvloop

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import AsyncRedisStore, RedisStore
from sluicegate.core.flow import Hits
from sluicegate.core.revocation import Entry
from tests.backends.contract import StateContract
from tests.servers.redis import Redis, redis_server

PATIENT = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as running:
        yield running


@pytest.fixture
def address(server: Redis) -> Address:
    server.cli("FLUSHALL")
    return Address(host=server.host, port=server.port)


class Rounded:
    """A store that tells ends in whole seconds, as the contract writes them.

    Redis tells how long is left, so that an end comes back to within the time of the way there and back.
    """

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self.find, self.remove, self.inspect = store.find, store.remove, store.inspect

    def put(self, key: str, entry: Entry) -> Entry:
        return _rounded(self._store.put(key, entry))

    def entries(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        for key, entry in self._store.entries(prefix):
            yield key, _rounded(entry)

    def close(self) -> None:
        self._store.close()


def _rounded(entry: Entry) -> Entry:
    return Entry(entry.value, None if entry.expires_at is None else float(round(entry.expires_at)))


class TestRedisStore(StateContract):
    @pytest.fixture
    def store(self, address: Address) -> Iterator[Rounded]:
        opened = Rounded(RedisStore(address, timeout=PATIENT))
        yield opened
        opened.close()

    @pytest.fixture
    def other(self, address: Address) -> Iterator[Rounded]:
        opened = Rounded(RedisStore(address, timeout=PATIENT))
        yield opened
        opened.close()


class Both:
    """The asynchronous store, asked on a loop of its own, beside the blocking one that writes."""

    def __init__(self, address: Address, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._asked = AsyncRedisStore(address, timeout=PATIENT)
        self._written = Rounded(RedisStore(address, timeout=PATIENT))
        self.put, self.remove, self.entries = self._written.put, self._written.remove, self._written.entries
        self.inspect = self._asked.inspect
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def find(self, keys: tuple[str, ...]) -> Hits:
        async def ask() -> Hits:
            return await self._asked.find(keys)

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._asked.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._written.close()


class TestAsyncRedisStore(StateContract):
    @pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
    def store(self, request: pytest.FixtureRequest, address: Address) -> Iterator[Both]:
        opened = Both(address, request.param)
        yield opened
        opened.close()

    @pytest.fixture
    def other(self, address: Address) -> Iterator[Both]:
        opened = Both(address, asyncio.new_event_loop)
        yield opened
        opened.close()
