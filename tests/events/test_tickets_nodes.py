"""Gateways that share a Redis take each other's tickets, each ticket once."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

import anyio
import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.tickets import PREFIX, RedisTickets
from sluicegate.errors import StateUnavailable
from tests.events.gate import Streams, bearer, streaming
from tests.servers.ports import LOOPBACK
from tests.servers.redis import Redis
from tests.table.tokens import mint
from tests.wire import connected, exchange, request


@pytest.fixture
def nodes(redis: Redis) -> Iterator[list[Streams]]:
    with ExitStack() as stack:
        ledgers = [RedisTickets(Address(host=redis.host, port=redis.port)) for _ in range(2)]
        for ledger in ledgers:
            stack.callback(ledger.close)
        yield [stack.enter_context(streaming(tickets=ledger)) for ledger in ledgers]


def asking() -> bytes:
    kind = ("Content-Type", "application/json")
    return request("/tickets", bearer(mint()), kind, method="POST", body=b'{"topic": "public-a"}')


def ticket(node: Streams, status: int = 200) -> str:
    answer = exchange(node.gate.address, asking())
    assert answer.status == status, answer.body
    return str(json.loads(answer.body).get("ticket"))


def status(node: Streams, one: str) -> int:
    with connected(node.gate.address) as wire:
        wire.send(request(f"/events/public-a?ticket={one}"))
        return wire.receive_head().status


def test_a_ticket_of_one_node_works_at_the_other_once(nodes: list[Streams], redis: Redis) -> None:
    one = ticket(nodes[0])
    assert one not in redis.cli("KEYS", "*")
    assert all(0 < int(redis.cli("TTL", key)) <= 30 for key in redis.cli("KEYS", f"{PREFIX}*").split())
    assert status(nodes[1], one) == 200
    assert [status(node, one) for node in nodes] == [401, 401]


def test_of_all_who_use_it_at_both_nodes_one_gets_in(nodes: list[Streams]) -> None:
    one = ticket(nodes[0])
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda number: status(nodes[number % 2], one), range(60)))
    assert sorted(statuses) == [200, *[401] * 59]


def test_a_revocation_at_the_node_that_is_asked_counts(nodes: list[Streams]) -> None:
    one = ticket(nodes[0])
    nodes[1].revoke("BLACKLIST:sub:alice")
    assert status(nodes[1], one) == 401


def test_without_redis_there_is_no_ticket_and_afterwards_there_is(nodes: list[Streams], redis: Redis) -> None:
    one = ticket(nodes[0])
    redis.kill()
    ticket(nodes[0], 500)
    assert status(nodes[1], one) == 500
    redis.start()
    deadline = time.monotonic() + 10
    while exchange(nodes[1].gate.address, asking()).status == 500 or status(nodes[0], ticket(nodes[1])) != 200:
        assert time.monotonic() < deadline


def test_what_somebody_else_wrote_opens_nothing(nodes: list[Streams], redis: Redis) -> None:
    one = ticket(nodes[0])
    (key,) = (key for key in redis.cli("KEYS", f"{PREFIX}*").split() if ":of:" not in key and not key.endswith(":all"))
    redis.cli("SETRANGE", key, "60", "admin")
    assert status(nodes[1], one) == 401


async def test_nobody_gets_more_than_his_part_nor_all_more_than_fit(redis: Redis) -> None:
    ledger = RedisTickets(Address(host=redis.host, port=redis.port), most_of_one=2, most=4)
    kept = []
    for number in range(6):
        with anyio.fail_after(10):
            kept.append(await ledger.put(f"n{number}", b"record", subject="one" if number < 3 else "two", seconds=30))
    assert kept == [True, True, False, True, False, False]
    assert await ledger.take("n0") == b"record"
    assert await ledger.take("n0") is None
    ledger.close()


class Halting:
    """A way to Redis on which the first half of what counts a ticket arrives, and the second when a key has gone."""

    host = LOOPBACK

    def __init__(self, redis: Redis, key: str) -> None:
        self._redis: Final = redis
        self._key: Final = key
        self._near: Final = socket.create_server((LOOPBACK, 0))
        self.port: int = self._near.getsockname()[1]
        self._thread: Final = threading.Thread(target=self._carry)
        self._thread.start()

    def _carry(self) -> None:
        near, _ = self._near.accept()
        with near, socket.create_connection((self._redis.host, self._redis.port)) as far:
            answers = threading.Thread(target=self._pump, args=(far, near))
            answers.start()
            while data := near.recv(65536):
                first, mark, rest = data.partition(b"*2\r\n$4\r\nINCR\r\n")
                far.sendall(first)
                while mark and self._redis.cli("EXISTS", self._key) != "0":
                    pass
                far.sendall(mark + rest)
            far.shutdown(socket.SHUT_WR)
            answers.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            sink.sendall(data)

    def close(self) -> None:
        self._near.close()
        self._thread.join()


async def test_no_count_outlives_its_time_though_it_runs_out_while_a_ticket_is_counted(redis: Redis) -> None:
    """Else nobody would get a ticket any more, once as many had been given in all as may be given at one time."""
    key = f"{PREFIX}of:one"
    redis.cli("SET", key, "1", "PX", "300")
    way = Halting(redis, key)
    ledger = RedisTickets(Address(host=way.host, port=way.port))
    with anyio.fail_after(10):
        assert await ledger.put("n", b"record", subject="one", seconds=30)
    ledger.close()
    way.close()
    assert all(0 < int(redis.cli("TTL", key)) <= 30 for key in redis.cli("KEYS", f"{PREFIX}*").split())


async def test_a_count_that_is_none_gives_no_ticket(redis: Redis) -> None:
    redis.cli("LPUSH", f"{PREFIX}all", "x")
    ledger = RedisTickets(Address(host=redis.host, port=redis.port))
    with anyio.fail_after(10), pytest.raises(StateUnavailable):
        await ledger.put("n", b"record", subject="one", seconds=30)
    ledger.close()
