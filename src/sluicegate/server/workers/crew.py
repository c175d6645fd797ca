"""Workers as their supervisor knows them: processes, what each is doing, to which generation it belongs."""

import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.context import ForkProcess
from typing import Any, Final, NoReturn, final

from sluicegate.errors import Fault, SettingsError
from sluicegate.server.workers.post import Letter, Post
from sluicegate.server.workers.station import Station

_SETTLED_AFTER: Final = 5.0
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 3.0

FORK: Final = multiprocessing.get_context("fork")
"""Workers are forked: they inherit sockets, settings and loaded modules, and none of the three can have changed."""


class Phase(Enum):
    """What a worker is doing."""

    STARTING = "starting"
    PREPARED = "prepared"
    READY = "ready"
    RETIRING = "retiring"
    RETIRED = "retired"
    """Accepts no more, and ends when what is in flight has ended."""
    STOPPING = "stopping"
    DROPPED = "dropped"
    """Killed on purpose, before it served anybody."""


_BEFORE: Final = {Phase.PREPARED: Phase.STARTING, Phase.READY: Phase.PREPARED, Phase.RETIRED: Phase.RETIRING}
"""What a worker must have been, to come to be this by its own word."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one generation of workers is to do. `run` serves, and tells whether all ended in good order.

    Worker `i` of `n` accepts from every `n`th of the `public` sockets, and, as all do, from `operators`: so no queue is
    left without a worker when there are fewer of them. `trust` is equal to that of another plan where nobody may do
    more or less under it.
    """

    workers: int
    public: Sequence[socket.socket]
    operators: Sequence[socket.socket]
    run: Callable[[Station], bool]
    trust: object

    @property
    def sockets(self) -> set[socket.socket]:
        """All that it serves."""
        return {*self.public, *self.operators}

    def sockets_of(self, number: int) -> list[socket.socket]:
        """Return the public sockets of a worker."""
        return list(self.public[number :: self.workers])


@final
@dataclass(slots=True, eq=False)
class Generation:
    """Workers that serve the same settings."""

    number: int
    plan: Plan
    is_open: bool = False
    """It has taken over."""
    is_switching: bool = False
    """The one before it has been told to retire: there is no way back."""
    is_announced: bool = False
    deaths: dict[int, int] = field(default_factory=dict)

    @property
    def is_hopeless(self) -> bool:
        """Tell whether the death of a worker is the end of it: it has not taken over, or it is the first to try."""
        return not self.is_switching or (self.number == 1 and not self.is_announced)

    def pause(self, worker: "Worker") -> float:
        """Return for how long the next worker in this place has to wait: not at all, unless it keeps dying."""
        if worker.phase is Phase.READY and time.monotonic() - worker.born >= _SETTLED_AFTER:
            self.deaths[worker.number] = 0
        deaths = self.deaths.get(worker.number, 0)
        self.deaths[worker.number] = deaths + 1
        return 0.0 if not deaths else min(_FIRST_PAUSE * 2.0 ** (deaths - 1), _LONGEST_PAUSE)


@final
class Worker:
    """One process."""

    def __init__(self, process: ForkProcess, post: Post, number: int, generation: Generation) -> None:
        self.process: Final = process
        self.post: Final = post
        self.number: Final = number
        self.generation: Final = generation
        self.pid: Final = process.pid or 0
        self.born: Final = time.monotonic()
        self.phase = Phase.STARTING
        self.faults: tuple[Fault, ...] = ()

    def say(self, letter: Letter, heir: Post | None = None) -> None:
        """Tell it something."""
        self.post.send(letter, () if heir is None else (heir.fileno(),))

    def comes_to(self, phase: Phase) -> bool:
        """Take note of what it says of itself; tell whether that still holds.

        What it said before it was told to end, and is read after that, must not bring it back.
        """
        if self.phase is not _BEFORE[phase]:
            return False
        self.phase = phase
        return True

    def drop(self) -> None:
        """Kill it: it serves nobody."""
        self.phase = Phase.DROPPED
        self.process.kill()

    def entry(self) -> dict[str, Any]:
        """Return what the roster says of it."""
        return {
            "pid": self.pid,
            "worker": self.number + 1,
            "generation": self.generation.number,
            "state": self.phase.value,
        }

    def bury(self) -> int:
        """Take note that it has ended; return its exit status, minus the signal's number where a signal ended it."""
        self.process.join()
        status = self.process.exitcode
        self.process.close()
        self.post.close()
        return -signal.SIGKILL if status is None else status


@final
class Crew:
    """All workers that live, of whatever generation."""

    def __init__(self) -> None:
        self._workers: Final[dict[int, Worker]] = {}

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def add(self, worker: Worker) -> None:
        """Take note of one that was forked."""
        self._workers[worker.pid] = worker

    def remove(self, worker: Worker) -> None:
        """Forget one that has ended."""
        del self._workers[worker.pid]

    def find(self, pid: int) -> Worker | None:
        """Return the worker with this process id."""
        return self._workers.get(pid)

    def of(self, generation: Generation | None) -> list[Worker]:
        """Return those of a generation."""
        return [worker for worker in self if worker.generation is generation]

    def all_are(self, phase: Phase, generation: Generation) -> bool:
        """Tell whether a generation is complete, and each of it in this phase."""
        its = self.of(generation)
        return len(its) == generation.plan.workers and all(worker.phase is phase for worker in its)

    def ask_all(self, asker: Worker, number: int) -> None:
        """Have all others tell this one how they are, and tell it whom it may expect to hear."""
        for worker in self:
            if worker is not asker:
                worker.say(Letter(kind="tell", number=number, pid=asker.pid))
        asker.say(Letter(kind="roster", number=number, body=[worker.entry() for worker in self]))


def work(generation: Generation, number: int, post: Post, *, held: set[socket.socket]) -> NoReturn:
    """Be a worker, in a forked child, and end it. `held` are all sockets that the supervisor holds."""
    for ignored in (signal.SIGINT, signal.SIGHUP):  # a terminal's and a manager's, meant for the supervisor
        signal.signal(ignored, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    plan = generation.plan
    station = Station(
        post,
        number=number + 1,
        generation=generation.number,
        leads=number == 0 and not generation.is_announced,
        public=plan.sockets_of(number),
        operators=plan.operators,
    )
    for other in held - {*station.public, *station.operators}:
        other.close()
    try:
        sys.exit(not plan.run(station))
    except SettingsError as error:
        station.failed(error.faults)
        sys.exit(2)


def ending(status: int) -> str:
    """Return how a process ended, in words."""
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
