"""The blocking store and the asynchronous one on either event loop, asked in one way: so that one test is for all."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, Final, Protocol, final

import uvloop

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import AsyncRedisStore, RedisStore
from sluicegate.core.flow import Hits
from sluicegate.ports import StoreReport

KINDS: Final = ("threads", "asyncio", "uvloop")


class Asker(Protocol):
    """Asks a store, and blocks until it answers."""

    def ask(self, *keys: str) -> Hits:
        """Ask one question."""
        ...

    def ask_many(self, *questions: tuple[str, ...]) -> list[Hits | BaseException]:
        """Ask several at the same time; an error is among the answers."""
        ...

    def inspect(self) -> StoreReport:
        """Ask the store how it is."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...


@final
class Blocking:
    """The store for threads."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self.store: Final = RedisStore(address, **options)

    def ask(self, *keys: str) -> Hits:
        return self.store.find(keys)

    def ask_many(self, *questions: tuple[str, ...]) -> list[Hits | BaseException]:
        answers: list[Future[Hits]] = [Future() for _ in questions]

        def answer(question: tuple[str, ...], future: Future[Hits]) -> None:
            try:
                future.set_result(self.store.find(question))
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                future.set_exception(error)

        threads = [threading.Thread(target=answer, args=pair) for pair in zip(questions, answers, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [future.exception() or future.result() for future in answers]

    def inspect(self) -> StoreReport:
        return self.store.inspect()

    def close(self) -> None:
        self.store.close()


@final
class Looping:
    """The store for an event loop, which runs in a thread of its own."""

    def __init__(self, address: Address, options: dict[str, Any], *, use_uvloop: bool) -> None:
        self.store: Final = AsyncRedisStore(address, **options)
        self._loop: Final = uvloop.new_event_loop() if use_uvloop else asyncio.new_event_loop()
        self.faults: Final[list[dict[str, Any]]] = []
        self._loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self._thread: Final = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def ask(self, *keys: str) -> Hits:
        (answer,) = self.ask_many(keys)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def ask_many(self, *questions: tuple[str, ...]) -> list[Hits | BaseException]:
        async def gather() -> list[Hits | BaseException]:
            return await asyncio.gather(*map(self.store.find, questions), return_exceptions=True)

        return asyncio.run_coroutine_threadsafe(gather(), self._loop).result()

    def inspect(self) -> StoreReport:
        return self.store.inspect()

    def close(self) -> None:
        if self._loop.is_closed():
            return

        async def finish() -> None:
            await self.store.aclose()
            await self._loop.shutdown_default_executor()

        asyncio.run_coroutine_threadsafe(finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        assert self.faults == []


Opener = Callable[..., Asker]


@contextmanager
def opener(kind: str) -> Iterator[Opener]:
    """Give a function `open(address, **options)`; what it opened is closed with the block."""
    with ExitStack() as stack:

        def open_one(address: Address, **options: Any) -> Asker:  # noqa: ANN401 - as the stores take them
            asker = (
                Blocking(address, options)
                if kind == "threads"
                else Looping(address, options, use_uvloop=kind == "uvloop")
            )
            stack.callback(asker.close)
            return asker

        yield open_one
