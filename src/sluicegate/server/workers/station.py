"""A worker's place: what it has from its supervisor, what it is told to do, how the others are."""

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, final

from sluicegate.errors import Fault
from sluicegate.server.workers.post import Letter, Post

GRACE: Final = 10.0
"""Seconds that requests in flight get to end when the gateway stops."""

_ANSWERED_WITHIN: Final = 1.0

Telling = Callable[[], dict[str, Any]]


class Order(NamedTuple):
    """What a worker is told to do, with a connection to whoever takes its clients over, if there is anybody."""

    letter: Letter
    heir: socket.socket | None = None


class Crew(NamedTuple):
    """How all workers are: what they told, by process, and who did not tell in time."""

    told: list[dict[str, Any]]
    silent: list[dict[str, Any]]


@dataclass(slots=True)
class _Question:
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    roster: list[dict[str, Any]] | None = None
    told: dict[int, dict[str, Any]] = field(default_factory=dict)

    def update(self) -> None:
        if self.roster is not None and all(one["pid"] in self.told for one in self.roster if one["pid"]):
            self.answered.set()


@final
class Station:
    """Where one worker works. `leads`: it says for all what a generation is.

    `public` and `operators` are sockets that listen, and are the worker's own from here on.
    """

    def __init__(
        self,
        post: Post,
        *,
        number: int,
        generation: int,
        leads: bool,
        public: Sequence[socket.socket],
        operators: Sequence[socket.socket],
    ) -> None:
        self._post: Final = post
        self.number: Final = number
        self.generation: Final = generation
        self.leads: Final = leads
        self.public: Final = tuple(public)
        self.operators: Final = tuple(operators)
        self._orders: Final[asyncio.Queue[Order]] = asyncio.Queue()
        self._questions: Final[dict[int, _Question]] = {}
        self._numbers: Final = itertools.count(1)
        self._tell: Telling = dict
        self.inherited: Final[list[socket.socket]] = []
        """Over these come clients of the generation before."""

    def attend(self, tell: Telling) -> None:
        """Begin to listen, inside the event loop. `tell` says how this worker is, and waits for nothing."""
        self._tell = tell
        loop = asyncio.get_running_loop()
        loop.add_reader(self._post.fileno(), self._read)
        # whoever ends one worker by hand; what is meant for all comes as a letter
        loop.add_signal_handler(signal.SIGTERM, self._stop)

    async def order(self) -> Order:
        """Wait for what is to be done next."""
        return await self._orders.get()

    def prepared(self) -> None:
        """Say that all is done but to accept."""
        self._post.send(Letter(kind="prepared"))

    def ready(self) -> None:
        """Say that it accepts."""
        self._post.send(Letter(kind="ready"))

    def retired(self) -> None:
        """Say that it accepts no more, and holds nothing that its successor needs."""
        self._post.send(Letter(kind="retired"))

    def failed(self, faults: tuple[Fault, ...]) -> None:
        """Say why it cannot serve."""
        self._post.send(Letter(kind="failed", faults=faults))

    def told(self) -> dict[str, Any]:
        """Return how this worker is."""
        return {"pid": os.getpid(), "worker": self.number, "generation": self.generation, **self._tell()}

    async def crew(self) -> Crew:
        """Ask how all are, and wait for a second at most."""
        number = next(self._numbers)
        question = self._questions[number] = _Question()
        question.told[os.getpid()] = self.told()
        self._post.send(Letter(kind="ask", number=number))
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(question.answered.wait(), _ANSWERED_WITHIN)
        finally:
            del self._questions[number]
        silent = [one for one in question.roster or () if one["pid"] not in question.told]
        if question.roster is None:
            silent.append({"supervisor": os.getppid()})
        told = sorted(question.told.values(), key=lambda one: (one["generation"], one["worker"]))
        return Crew(told, silent)

    def _read(self) -> None:
        for letter, descriptors in self._post.receive():
            heir = socket.socket(fileno=descriptors[0]) if descriptors else None
            match letter.kind:
                case "adopt" if heir is not None:
                    self.inherited.append(heir)
                case "open" | "retire" | "stop":
                    self._orders.put_nowait(Order(letter, heir))
                case "tell":
                    report = Letter(kind="report", number=letter.number, pid=letter.pid, body=self.told())
                    self._post.send(report)
                case "roster" | "report":
                    self._learn(letter)
        if self._post.is_over:
            # The supervisor has gone, and nobody would replace or end us.
            asyncio.get_running_loop().remove_reader(self._post.fileno())
            self._stop()

    def _learn(self, letter: Letter) -> None:
        question = self._questions.get(letter.number)
        if question is None:
            return
        if letter.kind == "roster":
            question.roster = letter.body
        elif isinstance(letter.body, Mapping):
            question.told[letter.body["pid"]] = dict(letter.body)
        question.update()

    def _stop(self) -> None:
        self._orders.put_nowait(Order(Letter(kind="stop", seconds=GRACE)))
