"""A decision that must ask somebody, as the exchange that a connection waits for: it takes no body, and is answered."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, final

from sluicegate.drive import Underway
from sluicegate.engine import new_id
from sluicegate.server.wire.respond import problem

if TYPE_CHECKING:
    from sluicegate.server.connection.protocol import Connection


@final
class Deciding:
    """What goes on with the request in flight: a coroutine, or what tells; it is cancelled when the client leaves."""

    __slots__ = ("_client", "_pending", "ready")

    def __init__(self, client: "Connection", decision: Coroutine[Any, Any, None] | Underway[Any]) -> None:
        self._client = client
        self.ready = False
        self._pending: Underway[Any] | asyncio.Task[None]
        if isinstance(decision, Underway):
            self._pending = decision
        else:
            self._pending = task = asyncio.get_running_loop().create_task(decision)
            task.add_done_callback(self._decided)

    def _decided(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (defect := task.exception()) is not None:
            # nobody answers any more: a crash is a closed gate
            self._client.abort()
            task.get_loop().call_exception_handler({"message": "a request failed", "exception": defect, "task": task})

    def body(self, data: bytes) -> None:
        """Nothing: it waits until somebody is ready for it."""

    def body_end(self) -> None:
        """Nothing, likewise."""

    def pause(self) -> None:
        """Nothing is being written."""

    def resume(self) -> None:
        """Nothing, likewise."""

    def cancel(self) -> bool:
        """Give up: nothing was answered."""
        self._pending.cancel()
        return False

    def late(self) -> None:
        """Its own deadlines have failed."""
        self._pending.cancel()
        answer = problem(503, "decision_time", "The decision took too long", request_id=new_id())
        self._client.respond(answer, close=True)
