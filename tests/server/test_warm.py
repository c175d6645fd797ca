"""A warm decision is made and answered before the event loop turns: nothing is scheduled for it."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from sluicegate.core.flow import Hits
from sluicegate.server.routes import ForwardAuth
from tests.server.gate import BEARER, HELLO, REVOKED, Held, Listed, engine, route, running
from tests.server.upstream import upstream
from tests.wire import connected, request

T = TypeVar("T")


class Tasks:
    """Counts the tasks of a loop."""

    def __init__(self) -> None:
        self.made = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return a loop that counts here."""
        loop = asyncio.SelectorEventLoop()
        loop.set_task_factory(self._make)
        return loop

    def _make(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T] | Generator[Any, None, T]
    ) -> asyncio.Task[T]:
        self.made += 1
        return asyncio.Task(work, loop=loop)


def test_no_task_is_made_for_warm_decisions_and_kept_upstreams() -> None:
    tasks = Tasks()
    asked = (("X-Original-Method", "GET"), ("X-Original-URI", "/"))
    with upstream() as behind:
        routes = (
            route("/hello", HELLO),
            route("/auth", ForwardAuth("nginx", lambda _: True)),
            route("/*", behind.proxy),
        )
        with running(*routes, loop_factory=tasks.loop) as gate, connected(gate.address) as wire:
            wire.send(request("/api", BEARER))
            peer = behind.accept()
            peer.serve()
            wire.receive()
            before = tasks.made
            for _ in range(3):
                for sent, status in (
                    (request("/hello", BEARER), 200),
                    (request("/hello", REVOKED), 401),
                    (request("/hello"), 401),
                    (request("/auth", BEARER, *asked), 200),
                ):
                    wire.send(sent)
                    assert wire.receive().status == status
                wire.send(request("/api", BEARER))
                peer.serve()
                assert wire.receive().status == 200
            assert tasks.made == before


class Promising:
    """A store whose answers are futures, as a connection that replies in order gives them."""

    def find(self, keys: tuple[str, ...]) -> asyncio.Future[Hits]:
        """Answer at the next turn of the loop."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Hits] = loop.create_future()
        loop.call_soon(answer.set_result, Listed().find(keys))
        return answer


def test_no_task_is_made_for_decisions_that_wait_for_a_future() -> None:
    tasks = Tasks()
    with (
        running(route("/hello", HELLO), decides=engine(Promising()), loop_factory=tasks.loop) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/nowhere"))
        wire.receive()
        before = tasks.made
        for _ in range(3):
            for sent, status in ((BEARER, 200), (REVOKED, 401)):
                wire.send(request("/hello", sent))
                assert wire.receive().status == status
        assert tasks.made == before


def test_one_task_is_made_for_a_decision_that_must_wait() -> None:
    tasks, store = Tasks(), Held()
    with (
        running(route("/hello", HELLO), decides=engine(store), loop_factory=tasks.loop) as gate,
        connected(gate.address) as wire,
    ):
        wire.send(request("/nowhere"))  # asyncio's own loop makes a task of each connection
        wire.receive()
        before = tasks.made
        wire.send(request("/hello", BEARER))
        assert store.asked.acquire(timeout=10)
        assert tasks.made == before + 1
        store.answer()
        assert wire.receive().status == 200
