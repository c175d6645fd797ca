"""The fetchers, each in its surroundings, so that one test can ask them all."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import uvloop

from sluicegate.backends.http.call import Trust
from sluicegate.backends.http.loop import LoopFetcher
from sluicegate.backends.http.threads import ThreadFetcher
from sluicegate.core.flow import Call, Reply
from sluicegate.errors import FetchFailed

Outcome = Reply | FetchFailed


@dataclass(frozen=True, slots=True)
class Client:
    """One fetcher: `fetch` makes one call, `together` many at the same time."""

    fetch: Callable[[Call], Outcome]
    together: Callable[[list[Call]], list[Outcome]]
    close: Callable[[], None]


def threaded(trust: Trust | None) -> Client:
    fetcher = ThreadFetcher(trust)

    def fetch(call: Call) -> Outcome:
        try:
            return fetcher.fetch(call)
        except FetchFailed as failed:
            return failed

    def together(calls: list[Call]) -> list[Outcome]:
        found: list[Any] = [None] * len(calls)

        def fetch_at(place: int, call: Call) -> None:
            found[place] = fetch(call)

        threads = [threading.Thread(target=fetch_at, args=pair) for pair in enumerate(calls)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    return Client(fetch, together, fetcher.close)


def looped(trust: Trust | None, *, loop: Callable[[], asyncio.AbstractEventLoop]) -> Client:
    runner = asyncio.Runner(loop_factory=loop)
    fetcher = LoopFetcher(trust)

    async def fetch(call: Call) -> Outcome:
        try:
            return await fetcher.fetch(call)
        except FetchFailed as failed:
            return failed

    async def together(calls: list[Call]) -> list[Outcome]:
        return await asyncio.gather(*map(fetch, calls))

    async def shut() -> None:
        fetcher.close()
        await asyncio.sleep(0)  # transports say goodbye in the next turn of the loop

    def close() -> None:
        runner.run(shut())
        runner.close()

    return Client(lambda call: runner.run(fetch(call)), lambda calls: runner.run(together(calls)), close)


KINDS: Final[Mapping[str, Callable[[Trust | None], Client]]] = {
    "threads": threaded,
    "asyncio": partial(looped, loop=asyncio.new_event_loop),
    "uvloop": partial(looped, loop=uvloop.new_event_loop),
}
