"""A decision that must ask somebody, as the exchange that a connection waits for: it takes no body, and is answered."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, final

from sluicegate.engine import new_id
from sluicegate.server.respond import problem

if TYPE_CHECKING:
    from sluicegate.server.protocol import Connection


@final
class Deciding:
    """A coroutine that goes on with the request in flight; it is cancelled when the client leaves."""

    __slots__ = ("_client", "_task", "ready")

    def __init__(self, client: "Connection", decision: Coroutine[Any, Any, None]) -> None:
        self._client = client
        self.ready = False
        self._task = asyncio.get_running_loop().create_task(decision)
        self._task.add_done_callback(self._decided)

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
        self._task.cancel()
        return False

    def late(self) -> None:
        """Its own deadlines have failed."""
        self._task.cancel()
        answer = problem(503, "decision_time", "The decision took too long", request_id=new_id())
        self._client.respond(answer, close=True)
