"""Policy, verifier, ports and clock made into decisions. Every shape of the gate turns one of these."""

import functools
import itertools
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Never, TypeVar, assert_never

from sluicegate.core.decide import decide, decide_again
from sluicegate.core.decision import Admit, Decision
from sluicegate.core.events import Event
from sluicegate.core.flow import Answer, Call, FindRevocation, Later, Now, Once, Question, Redeem, Tell, Wait
from sluicegate.core.policy import Policy
from sluicegate.core.request import Request
from sluicegate.core.verify import Verifier
from sluicegate.drive import Underway, begin, run, start
from sluicegate.ports import Fetcher, Instrument, Observer, Record, Scheduler, StateStore, TicketLedger

T = TypeVar("T")

_COUNT: Final = itertools.count(1)
_process: str


def _name_process() -> None:
    global _process  # noqa: PLW0603 - one name a process, and asking for its id at each request is a system call
    _process = f"{secrets.token_hex(4)}-{os.getpid():x}"


_name_process()
os.register_at_fork(after_in_child=_name_process)  # servers fork after import


def new_id() -> str:
    """Return an id for one decision: unique between processes and restarts, cheap, and no secret."""
    return f"{_process}-{next(_COUNT):x}"


class Engine:
    """Decides about requests. Safe to share between threads and tasks when its ports are.

    `clock` returns seconds since the epoch; it is injected so that tests need not wait. A verifier that asks others
    needs a `fetcher` and a `scheduler` too, of one kind: for threads, or for one event loop.
    """

    def __init__(
        self,
        policy: Policy,
        verifier: Verifier,
        *,
        state: StateStore | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.time,
        fetcher: Fetcher | None = None,
        scheduler: Scheduler | None = None,
        instrument: Instrument | None = None,
        tickets: TicketLedger | None = None,
    ) -> None:
        if (state is None) != (policy.state == "none"):
            # half of it would be a gate that never asks, or one that asks nobody
            msg = "a policy that asks for state needs a store, and the other way round"
            raise ValueError(msg)
        self.policy: Final = policy
        self._verifier: Final = verifier
        self._find: Final = _no_store if state is None else state.find
        self._observer: Final = observer
        self._clock: Final = clock
        self._fetcher: Final = fetcher
        self._scheduler: Final = scheduler
        self._instrument: Final = instrument
        self.tickets: Final = tickets

    def begin(
        self, request: Request, policy: Policy | None = None, *, admitted: Admit | None = None
    ) -> Decision | Coroutine[Any, Any, Decision]:
        """Decide at once where every answer is at hand, else return a coroutine that will.

        `policy` is the engine's own as one route has it (`Policy.with_route`). `admitted` is what this engine said of
        a request with the same headers, query and topic; then only what may have changed is looked at.
        """
        outcome = self.start(request, policy, admitted=admitted)
        return outcome.wait() if isinstance(outcome, Underway) else outcome

    def start(
        self, request: Request, policy: Policy | None = None, *, admitted: Admit | None = None
    ) -> Decision | Underway[Decision]:
        """Decide at once where every answer is at hand, else return what can be awaited or told. See `begin`."""
        chosen = self.policy if policy is None else policy
        now = self._clock()
        if admitted is None:
            flow = decide(request, chosen, self._verifier, now)
        else:
            flow = decide_again(admitted, request, chosen, self._verifier, now)
        outcome = start(flow, self.answer)
        if isinstance(outcome, Underway):
            outcome.seen = functools.partial(self._observe, request, now)
        elif self._observer is not None:
            self._observe(request, now, outcome)
        return outcome

    def decide(self, request: Request, policy: Policy | None = None) -> Decision:
        """Decide, with ports that answer at once.

        Raises `TypeError` when a port answers awaitably.
        """
        now = self._clock()
        chosen = self.policy if policy is None else policy
        decision = run(decide(request, chosen, self._verifier, now), self.answer)
        self._observe(request, now, decision)
        return decision

    async def decide_async(self, request: Request, policy: Policy | None = None) -> Decision:
        """Decide, with any ports."""
        outcome = self.begin(request, policy)
        return await outcome if isinstance(outcome, Coroutine) else outcome

    def answer(self, question: Question) -> Answer | Awaitable[Answer]:
        """Answer one question of a flow, at once or awaitably.

        Raises `StateUnavailable` and `FetchFailed`, and `RuntimeError` for a question whose port this engine lacks.
        """
        if isinstance(question, FindRevocation):  # first: the only question of a warm decision
            return self._find(question.keys)
        return self._far(question)

    def _far(self, question: Redeem | Call | Wait | Now | Tell | Once[Any] | Later) -> Answer | Awaitable[Answer]:
        match question:
            case Now():
                return self._clock()
            case Tell(event):
                self._note(event)
            case Once(key=key, flow=flow, within=within, joined=joined):
                return _has(self._scheduler, "scheduler").once(
                    key, lambda: begin(flow(), self.answer), within=within, joined=lambda: self._note(joined)
                )
            case Redeem(name):
                return _has(self.tickets, "ledger of tickets").take(name)
            case Call():
                return _has(self._fetcher, "fetcher").fetch(question)
            case Wait(seconds):
                return _has(self._scheduler, "scheduler").wait(seconds)
            case Later(key=key, flow=flow):
                _has(self._scheduler, "scheduler").later(key, lambda: begin(flow(), self.answer))
            case _:
                assert_never(question)
        return None

    def _note(self, event: Event | None) -> None:
        if event is not None and self._instrument is not None:
            self._instrument.noted(event)

    def _observe(self, request: Request, now: float, decision: Decision) -> None:
        if self._observer is not None:
            self._observer.decided(Record(request=request, decision=decision, at=now, took=self._clock() - now))


def _no_store(_keys: tuple[str, ...]) -> Never:
    raise RuntimeError("a flow asked this engine, which was given no store")


def _has(port: T | None, name: str) -> T:
    if port is None:
        raise RuntimeError(f"a flow asked this engine, which was given no {name}")
    return port
