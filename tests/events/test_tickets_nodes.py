"""Gateways that share a Redis take each other's tickets, each ticket once."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import anyio
import pytest

from sluicegate.backends.redis_address import Address
from sluicegate.backends.redis_tickets import PREFIX, RedisTickets
from tests.events.gate import Streams, bearer, streaming
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
