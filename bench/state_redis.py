"""What a question to Redis costs this process: 64 askers at once, in one write a turn or each for itself.

Run `python -m bench.state_redis`. A real redis-server on loopback, uvloop, questions about three keys. Costs are CPU
time of this process for each question, the asker's own task included: medians of interleaved rounds, which is what the
neighbours on the machine change least. Where redis-py is installed, its asyncio client is measured beside.
"""

import argparse
import asyncio
import importlib
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, closing
from functools import partial
from importlib.metadata import version as version_of

import hiredis
import uvloop

from bench.report import record
from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import AsyncRedisStore, RedisStore
from tests.servers.redis import Redis, redis_server

ASKERS = 64
ROUNDS = 9
QUESTIONS = 19_200
TIMEOUT = 30.0
FREE = ("BLACKLIST:key:api_key_abc123", "BLACKLIST:sub:user_123", "BLACKLIST:sid:08d3f5")
REVOKED = ("BLACKLIST:key:revoked", *FREE[1:])

Ask = Callable[[], Awaitable[object]]


async def shared(asks: Sequence[Ask], questions: int) -> None:
    """Have each asker ask its share, one question after another."""

    async def one(ask: Ask) -> None:
        for _ in range(questions // len(asks)):
            await ask()

    await asyncio.gather(*map(one, asks))


async def nothing() -> None:
    """Answer in the next turn of the loop, as the least that any answer costs."""
    loop = asyncio.get_running_loop()
    answer = loop.create_future()
    loop.call_soon(answer.set_result, None)
    await answer


async def measure(server: Redis, rounds: int) -> dict[str, float]:
    """Return microseconds of CPU time a question, for each way of asking."""
    address = Address(host=server.host, port=server.port)
    async with AsyncExitStack() as stack:

        async def opened() -> AsyncRedisStore:
            return await stack.enter_async_context(aclosing(AsyncRedisStore(address, timeout=TIMEOUT)))

        store = await opened()
        own = [await opened() for _ in range(ASKERS)]
        ways: dict[str, list[Ask]] = {
            "64 askers, no store: what asking costs": [nothing] * ASKERS,
            "64 askers, one write a turn": [lambda: store.find(FREE)] * ASKERS,
            "64 askers, one write a turn, each finds one": [lambda: store.find(REVOKED)] * ASKERS,
            "64 askers, each with a write of its own": [partial(one.find, FREE) for one in own],
            "1 asker": [lambda: store.find(FREE)],
        }
        if importlib.util.find_spec("redis") is not None:
            library = importlib.import_module("redis.asyncio")
            peer = library.Redis(host=server.host, port=server.port, retry=None, max_connections=ASKERS)
            await stack.enter_async_context(peer)
            ways["64 askers, redis-py"] = [lambda: peer.exists(*FREE)] * ASKERS
        costs: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, asks in ways.items():
                begin = time.process_time()
                await shared(asks, QUESTIONS)
                if number:  # the first round connects and warms up
                    costs[name].append((time.process_time() - begin) / QUESTIONS * 1e6)
        return {name: statistics.median(cost) for name, cost in costs.items()}


def measure_threads(server: Redis, rounds: int) -> float:
    """Return microseconds of CPU time a question to the blocking store, asked by one thread."""
    costs = []
    with closing(RedisStore(Address(host=server.host, port=server.port), timeout=TIMEOUT)) as store:
        for _ in range(rounds + 1):
            begin = time.process_time()
            for _ in range(QUESTIONS // 4):
                store.find(FREE)
            costs.append((time.process_time() - begin) / (QUESTIONS // 4) * 1e6)
    return statistics.median(costs[1:])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    rounds = ROUNDS // 3 if parser.parse_args().quick else ROUNDS
    with redis_server() as server:
        server.cli("SET", REVOKED[0], "cancelled")
        version = server.cli("INFO", "server").partition("redis_version:")[2].split()[0]
        costs = uvloop.run(measure(server, rounds))
        costs["1 thread, blocking"] = measure_threads(server, rounds)
    python = sys.version.split()[0]
    print(f"Redis {version}, hiredis {hiredis.__version__}, uvloop {version_of('uvloop')}, Python {python}")
    print(f"{os.cpu_count()} cores; {len(FREE)} keys a question")
    print(f"{'':46} CPU µs a question")
    for name, cost in costs.items():
        print(f"{name:46} {cost:17.2f}")
        record("A question to Redis", name, cost, "µs of CPU")


if __name__ == "__main__":
    main()
