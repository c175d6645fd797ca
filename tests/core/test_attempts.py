"""Breaker, limit and memory between threads that change places all the time."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from sluicegate.core.answers import Answers
from sluicegate.core.attempts import Attempts, Terms
from sluicegate.core.decision import Reason
from sluicegate.core.flow import Answer, Call, Now, Question
from sluicegate.core.webhook_call import Verdict, Yes
from sluicegate.drive import run
from sluicegate.errors import FetchFailed
from tests.table.tokens import NOW
from tests.webhook.world import GONE, yes

THREADS = 8
EACH = 2000


@pytest.fixture(autouse=True)
def restless() -> Iterator[None]:
    """Threads change places as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def in_threads(work: Callable[[], object]) -> None:
    together = threading.Barrier(THREADS)
    broken: list[BaseException] = []

    def repeat() -> None:
        together.wait()
        try:
            for _ in range(EACH):
                work()
        except (KeyError, RuntimeError) as error:
            broken.append(error)

    threads = [threading.Thread(target=repeat) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []


class Clocked:
    """Answers the questions of attempts: with a clock that stands still, and one answer to every call."""

    def __init__(self, outcome: object) -> None:
        self.now = float(NOW)
        self.calls = Counter[str]()
        self._outcome = outcome

    def __call__(self, question: Question) -> Answer:
        if isinstance(question, Now):
            return self.now
        if isinstance(question, Call):
            self.calls[threading.current_thread().name] += 1
            if isinstance(self._outcome, FetchFailed):
                raise self._outcome
            return self._outcome
        return None


def test_no_more_calls_than_the_limit_allows_however_threads_meet() -> None:
    allowed = THREADS * EACH // 2
    attempts, world = Attempts(Terms(url="http://x", rate=allowed), threading.Lock()), Clocked(yes())
    outcomes: list[Verdict | Reason] = []
    in_threads(lambda: outcomes.append(run(attempts.ask(b"", NOW), world)))
    assert sum(isinstance(outcome, Yes) for outcome in outcomes) == allowed
    assert outcomes.count(Reason.VERIFICATION_RATE) == THREADS * EACH - allowed


def test_exactly_one_probe_however_threads_meet() -> None:
    terms = Terms(url="http://x", rate=10**6, retries=0, breaker_threshold=1, breaker_timeout=60.0)
    attempts, world = Attempts(terms, threading.Lock()), Clocked(GONE)
    run(attempts.ask(b"", NOW), world)
    assert attempts.breaker == "open"
    world.now += 60
    in_threads(lambda: run(attempts.ask(b"", world.now), world))
    assert world.calls.total() == 2
    assert attempts.breaker == "open"


def test_threads_share_the_memory_without_breaking_it() -> None:
    answers: Answers[int] = Answers(3)
    numbers = iter(range(10**9))

    def use() -> None:
        number = next(numbers)
        answers.put(number % 7, number, since=NOW, fresh_until=NOW + 60, kept_until=NOW + 60)
        answers.get((number + 3) % 7, NOW)
        answers.drop((number + 5) % 7)

    in_threads(use)
    for key in range(100):
        answers.put(key, key, since=NOW, fresh_until=NOW + 60, kept_until=NOW + 60)
    assert len(answers) == 3
