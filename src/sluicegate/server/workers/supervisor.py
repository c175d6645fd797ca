"""The supervisor: starts workers, replaces those that die, lets a new generation take over, ends them all.

It reads letters and forks, and does nothing else: it has one thread and no event loop, opens no store, and takes no
byte of any client, so there is little that it could die of.

A generation takes over in four steps. Its workers are forked, and `prepared`: everything is done that could fail. The
old ones `retire`: they stop accepting, let go of what only one process may have, and end what is open. Then the new
ones `open`, and are `ready`. Between the two, clients wait in the queues of sockets that nobody has closed.
"""

import itertools
import logging
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, final

from sluicegate.errors import Fault, SettingsError
from sluicegate.server.workers.crew import FORK, Crew, Generation, Phase, Plan, Worker, ending, work
from sluicegate.server.workers.post import Letter, Post
from sluicegate.server.workers.slots import turn_away
from sluicegate.server.workers.station import GRACE
from sluicegate.server.workers.systemd import Notice
from sluicegate.server.workers.watch import Watch

_PREPARED_WITHIN: Final = 120.0
_RETIRED_WITHIN: Final = 10.0
_PATIENCE: Final = 3600.0
"""Seconds that requests in flight at a retired worker get, where nothing has changed in who may do what."""

_START_AGAIN: Final = 1.0
_MARGIN: Final = 3.0
"""Seconds that a worker gets beyond its grace, until it is killed."""

Reload = Callable[[Plan], Plan]
"""Reads the settings anew; raises `SettingsError`. It is given what is served now."""


class Log(Protocol):
    """Writes one line."""

    def __call__(self, level: int, message: str, **fields: Any) -> None:  # noqa: ANN401 - any JSON value
        """Write it."""
        ...


@final
class Supervisor:
    """Runs a plan, on the main thread, until SIGTERM or SIGINT. `ready` is called once its workers accept.

    SIGHUP calls `reload`; without it, SIGHUP is another word for SIGTERM.
    """

    def __init__(
        self, plan: Plan, *, log: Log, ready: Callable[[], None], reload: Reload | None = None, notice: Notice
    ) -> None:
        self._log: Final = log
        self._ready: Final = ready
        self._reload: Final = reload
        self._notice: Final = notice
        self._crew: Final = Crew()
        self._generation: Generation | None = None
        self._next: Generation | None = Generation(1, plan)
        self._numbers: Final = itertools.count(2)
        self._again = False
        self._signals = 0
        self._faults: tuple[Fault, ...] = ()
        self._in_good_order = True
        self._watch: Final = Watch({signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGHUP: self._hup})

    def run(self) -> bool:
        """Serve; tell whether all ended in good order.

        Raises `SettingsError` when the first generation finds that it cannot serve.
        """
        try:
            self._begin()
            while self._crew or (self._generation is not None and not self._signals):
                self._watch.turn()
        finally:
            for worker in self._crew:
                worker.process.kill()
                worker.bury()
            self._watch.close()
        if self._faults:
            raise SettingsError(self._faults)
        return self._in_good_order

    # one worker

    def _spawn(self, generation: Generation, number: int) -> None:
        # one that is being taken over from gets no more workers: nobody would end them
        is_left = generation is self._generation and self._next is not None and self._next.is_switching
        if self._signals or is_left or generation not in {self._generation, self._next}:
            return
        try:
            ours, theirs = Post.pair()
            process = FORK.Process(target=self._work, args=(generation, number, ours, theirs), daemon=True)
            with self._watch.held(), theirs:
                process.start()
        except OSError as error:  # no memory, no process, no descriptor: later there may be
            self._log(logging.ERROR, "a worker cannot be started", worker=number + 1, why=str(error))
            self._watch.after(_START_AGAIN, partial(self._spawn, generation, number))
            return
        worker = Worker(process, ours, number, generation)
        self._crew.add(worker)
        self._watch.read(ours, partial(self._hear, worker))
        self._watch.read(process.sentinel, partial(self._died, worker, process.sentinel))

    def _work(self, generation: Generation, number: int, ours: Post, theirs: Post) -> None:
        """In the forked child: let go of what belongs to the others, or their ends would never be seen, and work."""
        self._watch.leave()
        ours.close()
        for worker in self._crew:
            worker.post.close()
        work(generation, number, theirs, held=self._held())

    def _hear(self, worker: Worker) -> None:
        for letter, _ in worker.post.receive():
            match letter.kind:
                case "prepared" if worker.comes_to(Phase.PREPARED):
                    self._prepared(worker)
                case "ready" if worker.comes_to(Phase.READY):
                    self._announce(worker.generation)
                case "retired" if worker.comes_to(Phase.RETIRED):
                    self._take_over()
                case "failed":
                    worker.faults = letter.faults
                case "ask":
                    self._crew.ask_all(worker, letter.number)
                case "report":
                    asker = self._crew.find(letter.pid)
                    if asker is not None:
                        asker.say(letter)
                case _:
                    continue
        if worker.post.is_over:
            self._watch.forget(worker.post)

    def _died(self, worker: Worker, sentinel: int) -> None:
        self._watch.forget(sentinel)
        if not worker.post.is_over:
            self._hear(worker)  # its last words
        if not worker.post.is_over:
            self._watch.forget(worker.post)
        self._crew.remove(worker)
        status = worker.bury()
        told = {"worker": worker.number + 1, "pid": worker.pid, "by": ending(status)}
        generation = worker.generation
        if self._signals:
            self._in_good_order &= not status or worker.phase in {Phase.STARTING, Phase.PREPARED, Phase.DROPPED}
        elif worker.phase is Phase.DROPPED:
            return
        elif generation.is_hopeless:
            self._give_up(generation, worker.faults, f"a new worker ended by {ending(status)} before it was ready")
        elif worker.phase in {Phase.RETIRING, Phase.RETIRED, Phase.STOPPING}:
            if status:
                self._log(logging.WARNING, "a worker that was to end did not end in good order", **told)
            self._take_over()
        else:
            pause = generation.pause(worker)
            self._log(logging.ERROR, "a worker died; another one takes its place", **told, after_seconds=pause)
            for fault in worker.faults:
                self._log(logging.ERROR, str(fault))
            self._watch.after(pause, partial(self._spawn, generation, worker.number))

    # a generation

    def _begin(self) -> None:
        """Start the next generation."""
        generation = self._next
        if generation is not None:
            for number in range(generation.plan.workers):
                self._spawn(generation, number)
            if self._generation is not None:
                self._watch.after(_PREPARED_WITHIN, partial(self._unprepared, generation))

    def _prepared(self, worker: Worker) -> None:
        generation = worker.generation
        if generation.is_open:
            worker.say(Letter(kind="open"))  # in the place of one that died
        elif not generation.is_switching and self._crew.all_are(Phase.PREPARED, generation):
            self._switch(generation)

    def _switch(self, generation: Generation) -> None:
        """Tell the old ones to retire, each with a way to hand what is idle to one of the new."""
        generation.is_switching = True
        old, heirs = self._generation, self._crew.of(generation)
        patience = _PATIENCE if old is None or old.plan.trust == generation.plan.trust else GRACE
        for worker in list(self._crew):
            if worker.phase is Phase.RETIRED:  # of a generation still before; two of them at a time are enough
                self._end(worker, GRACE)
        if old is not None:
            turn_away(old.plan.sockets - generation.plan.sockets)
        for worker in self._crew.of(old):
            if worker.phase is Phase.STARTING:  # in the place of one that died
                worker.drop()
                continue
            before, after = Post.pair()
            heir = heirs[worker.number % len(heirs)]
            worker.phase = Phase.RETIRING
            worker.say(Letter(kind="retire", seconds=patience), before)
            self._watch.after(patience + _MARGIN, partial(self._kill, worker))
            heir.say(Letter(kind="adopt"), after)
            before.close()
            after.close()
        self._watch.after(_RETIRED_WITHIN, partial(self._unretired, generation))
        self._take_over()

    def _take_over(self) -> None:
        """Let the next generation open, once the old one has retired."""
        generation, old = self._next, self._generation
        if generation is None or not generation.is_switching:
            return
        if any(worker.phase is Phase.RETIRING for worker in self._crew.of(old)):
            return
        self._generation, self._next = generation, None
        generation.is_open = True
        for worker in self._crew.of(generation):
            if worker.phase is Phase.PREPARED:
                worker.say(Letter(kind="open"))
        if old is not None:
            for held in old.plan.sockets - generation.plan.sockets:
                held.close()

    def _announce(self, generation: Generation) -> None:
        if generation.is_announced or not self._crew.all_are(Phase.READY, generation):
            return
        generation.is_announced = True
        if generation.number == 1:
            self._ready()
        else:
            self._log(logging.INFO, "reloaded", generation=generation.number, workers=generation.plan.workers)
        self._settled()

    def _settled(self) -> None:
        self._notice.ready()
        again, self._again = self._again, False
        if again:
            self._hup()

    def _give_up(self, generation: Generation, faults: tuple[Fault, ...], why: str) -> None:
        """A generation cannot serve: the old one goes on, if there is one."""
        self._next = None
        if generation is self._generation:
            self._generation = None
        for worker in self._crew.of(generation):
            worker.drop()
        for held in generation.plan.sockets - self._held():
            held.close()
        if self._generation is not None:
            self._refused(faults, why)
            return
        self._faults, self._in_good_order = faults, False
        if not faults:
            self._log(logging.ERROR, why)

    def _refused(self, faults: tuple[Fault, ...], why: str) -> None:
        for fault in faults:
            self._log(logging.ERROR, str(fault))
        self._log(logging.ERROR, "not reloaded: the settings before stay in force", why=why, faults=len(faults))
        self._settled()

    # what takes too long

    def _unprepared(self, generation: Generation) -> None:
        if generation is self._next and not generation.is_switching:
            self._give_up(generation, (), f"a new worker was not ready within {_PREPARED_WITHIN:g} s")

    def _unretired(self, generation: Generation) -> None:
        if generation is self._next:
            for worker in self._crew.of(self._generation):
                if worker.phase is Phase.RETIRING:
                    worker.process.kill()

    def _end(self, worker: Worker, grace: float) -> None:
        worker.phase = Phase.STOPPING
        worker.say(Letter(kind="stop", seconds=grace))
        self._watch.after(grace + _MARGIN, partial(self._kill, worker))

    def _kill(self, worker: Worker) -> None:
        if self._crew.find(worker.pid) is worker:
            worker.process.kill()

    # signals

    def _hup(self) -> None:
        if self._reload is None:
            self._stop()
        elif self._next is not None or self._generation is None:
            self._again = True  # one after the other
        elif not self._signals:
            self._notice.reloading()
            try:
                plan = self._reload(self._generation.plan)
            except SettingsError as error:
                self._refused(error.faults, "there are faults in the settings")
                return
            self._next = Generation(next(self._numbers), plan)
            self._begin()

    def _stop(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._notice.stopping()
            self._log(logging.INFO, "stopping", workers=len(self._crew))
            held = self._held()
            turn_away(held)
            for one in held:
                one.close()
        for worker in list(self._crew):
            if worker.phase in {Phase.STARTING, Phase.PREPARED}:
                worker.process.kill()  # it serves nobody
            else:
                self._end(worker, GRACE if self._signals == 1 else 0)

    def _held(self) -> set[socket.socket]:
        plans = [one.plan for one in (self._generation, self._next) if one is not None]
        return {held for plan in plans for held in plan.sockets}
