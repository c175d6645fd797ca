"""A real gateway in a thread of its own, and what its tests are made of: routes, an engine, a store, tokens."""

import asyncio
import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

import uvloop

from sluicegate.core.flow import Hits
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Requirement
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.server.gateway import Gateway
from sluicegate.server.routes import Action, Respond, Route
from sluicegate.server.wire.limits import Limits
from tests.table.tokens import NOW, SECRET, mint

TOKEN: Final = mint()
BEARER: Final = ("Authorization", f"Bearer {TOKEN}")
REVOKED: Final = ("Authorization", f"Bearer {mint(jti='revoked')}")

HELLO: Final = Respond("Hello {http.auth.user.id}!")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@final
class Listed:
    """A store that answers at once."""

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Return what stands."""
        return {key: "cancelled" for key in keys if key == "BLACKLIST:key:revoked"}


@final
class Held:
    """A store that answers when the test lets it: one question at a time, over the event loop."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.abandoned = threading.Event()
        self._answers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[Hits]]] = []

    async def find(self, keys: tuple[str, ...]) -> Hits:
        """Wait for the test."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Hits] = loop.create_future()
        self._answers.append((loop, answer))
        self.asked.release()
        try:
            await answer
        except asyncio.CancelledError:
            self.abandoned.set()
            raise
        return Listed().find(keys)

    def answer(self) -> None:
        """Let the oldest question be answered."""
        loop, answer = self._answers.pop(0)
        loop.call_soon_threadsafe(answer.set_result, {})


def engine(
    state: Any = None,  # noqa: ANN401 - any store
    *,
    clock: Callable[[], float] = lambda: NOW,
    **policy: Any,  # noqa: ANN401 - whatever a Policy takes
) -> Engine:
    """Return an engine for the tokens of the table."""
    key = load(base64.b64encode(SECRET).decode(), ["HS256"])
    return Engine(
        Policy(**policy),
        LocalKeys(key, ClaimNames(meta=(("tier", "tier"),))),
        state=state or Listed(),
        clock=clock,
    )


ENGINE: Final = engine()


def route(path: str, action: Action, *, auth: str = "required", scopes: tuple[str, ...] = ()) -> Route:
    """Return a route as settings would make it."""
    if auth == "none":
        return Route(path, action, None)
    requirement = Requirement(scopes=frozenset(scopes))
    policy = ENGINE.policy.with_route(auth="optional" if auth == "optional" else "required", requirement=requirement)
    return Route(path, action, policy)


@final
class Running:
    """A gateway that listens, and the loop that it runs on."""

    def __init__(self, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self.gateway = gateway
        self.address = ("127.0.0.1", 0)
        self.errors: list[dict[str, Any]] = []
        self._loop = loop

    def start(self) -> None:
        """Listen."""
        self._loop.set_exception_handler(lambda _, context: self.errors.append(context))
        self.address = self._do(self.gateway.start(self.address))

    def stop(self, grace: float = 5.0) -> None:
        """Stop, and wait until it has."""
        self._do(self.gateway.stop(grace))

    def stopping(self, grace: float) -> Callable[[], bool]:
        """Begin to stop; call what is returned to wait for the end."""
        future = asyncio.run_coroutine_threadsafe(self.gateway.stop(grace), self._loop)
        return lambda: future.result(30)

    def call(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it returns
        """Call this on the loop that the gateway runs on."""

        async def asked() -> Any:  # noqa: ANN401 - likewise
            return question()

        return self._do(asked())

    def turn(self) -> None:
        """Let the loop turn until it has seen everything that was sent to it so far."""
        for _ in range(3):
            self._do(asyncio.sleep(0))

    def empty(self) -> None:
        """Wait until it has seen that every client has gone."""
        deadline = time.monotonic() + 10
        while self.gateway.connections:
            assert time.monotonic() < deadline
            self.turn()

    def _do(self, work: Any) -> Any:  # noqa: ANN401 - any coroutine
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextmanager
def running(
    *routes: Route,
    loop_factory: LoopFactory = uvloop.new_event_loop,
    decides: Engine = ENGINE,
    **choices: Any,  # noqa: ANN401 - whatever a Gateway takes
) -> Iterator[Running]:
    """Run a gateway until the block ends. What its loop could not handle fails the test."""
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    gate = Running(Gateway(engine=decides, routes=routes, limits=choices.pop("limits", Limits()), **choices), loop)
    try:
        gate.start()
        try:
            yield gate
        finally:
            gate.stop(0)  # also after a failure: a uvloop that still serves does not end
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert gate.errors == []
