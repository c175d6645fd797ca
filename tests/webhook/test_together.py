"""Many requests at once: one question, one probe, and nobody's leaving is anybody else's loss."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sluicegate import compose
from sluicegate.core.decision import Admit, Decision, Refuse
from sluicegate.core.events import Event, Joined, Looked
from sluicegate.core.request import Request
from sluicegate.core.revocation import Kind, Selector
from tests.table.tokens import EXPIRES, NOW, mint
from tests.webhook.endpoint import Endpoint, Received, Talk, answers, endpoint

TOKEN = mint()
YES = answers({"valid": True, "user_id": "user123", "expires_at": EXPIRES})
DOWN = answers(b"", status=500)


class Ear:
    """Hears every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def noted(self, event: Event) -> None:
        self.events.append(event)

    @property
    def kinds(self) -> Counter[str]:
        return Counter(type(event).__name__ for event in self.events)


class Held:
    """A webhook that answers nobody before it may."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, talk: Talk, request: Received) -> bool:
        self.asked.set()
        assert self.may_answer.wait(20)
        return YES(talk, request)


@contextmanager
def assembled(
    server: Endpoint,
    directory: Path,
    ear: Ear,
    *,
    asynchronous: bool = True,
    **keys: Any,  # noqa: ANN401 - any setting
) -> Iterator[compose.Assembly]:
    settings = compose.from_keywords(
        {"state_dir": str(directory / "state"), "jwt_verifier": {"webhook_url": server.url, **keys}}
    )
    assembly = compose.assemble(settings, asynchronous=asynchronous, instrument=ear, clock=lambda: NOW)
    try:
        yield assembly
    finally:
        assembly.close()


def asking(token: str = TOKEN, topic: str = "news") -> Request:
    return Request(headers=((b"authorization", b"Bearer " + token.encode()),), topic=topic)


def word(decision: Decision) -> str:
    match decision:
        case Admit(identity=identity):
            return "anonymous" if identity is None else identity.id
        case Refuse(reason=reason):
            return reason.value


async def decided(assembly: compose.Assembly, request: Request) -> str:
    return word(await assembly.engine.decide_async(request))


async def until(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait, 20)


@pytest.mark.anyio
async def test_a_thousand_requests_with_one_cold_token_and_topic_are_one_call(tmp_path: Path) -> None:
    held, ear = Held(), Ear()
    with endpoint(held) as server, assembled(server, tmp_path, ear) as assembly:
        tasks = [asyncio.create_task(decided(assembly, asking())) for _ in range(1000)]
        await until(held.asked)
        held.may_answer.set()
        assert await asyncio.gather(*tasks) == ["user123"] * 1000
        assert len(server.received) == 1
    assert ear.kinds["Joined"] == 999
    assert ear.events.count(Looked("miss")) == 1


@pytest.mark.anyio
async def test_those_who_leave_take_the_answer_from_nobody_and_it_is_remembered(tmp_path: Path) -> None:
    held, ear = Held(), Ear()
    with endpoint(held) as server, assembled(server, tmp_path, ear) as assembly:
        tasks = [asyncio.create_task(decided(assembly, asking())) for _ in range(100)]
        await until(held.asked)
        for task in tasks[:99]:  # the one who asked first is among them
            task.cancel()
        await asyncio.sleep(0)
        held.may_answer.set()
        assert await tasks[99] == "user123"
        assert [task.cancelled() for task in tasks[:99]] == [True] * 99
        assert await decided(assembly, asking()) == "user123"
        assert len(server.received) == 1


@pytest.mark.anyio
async def test_when_all_of_them_leave_the_answer_is_there_for_the_next(tmp_path: Path) -> None:
    held, ear = Held(), Ear()
    with endpoint(held) as server, assembled(server, tmp_path, ear) as assembly:
        task = asyncio.create_task(decided(assembly, asking()))
        await until(held.asked)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        next_one = asyncio.create_task(decided(assembly, asking()))
        await asyncio.sleep(0)
        held.may_answer.set()
        assert await next_one == "user123"
        assert len(server.received) == 1


@pytest.mark.anyio
async def test_each_topic_and_each_token_is_a_question_of_its_own(tmp_path: Path) -> None:
    with endpoint(YES) as server, assembled(server, tmp_path, Ear()) as assembly:
        requests = [asking(mint(jti=f"key-{number % 10}"), f"topic-{number % 5}") for number in range(200)]
        assert await asyncio.gather(*(decided(assembly, request) for request in requests)) == ["user123"] * 200
        assert len(server.received) == 10
        assert len({request.body for request in server.received}) == 10


@pytest.mark.anyio
async def test_a_no_is_for_everybody_who_waits_too(tmp_path: Path) -> None:
    with endpoint(answers({"valid": False})) as server, assembled(server, tmp_path, Ear()) as assembly:
        outcomes = await asyncio.gather(*(decided(assembly, asking()) for _ in range(50)))
        assert outcomes == ["denied"] * 50
        assert len(server.received) == 1


@pytest.mark.anyio
async def test_half_open_exactly_one_of_two_hundred_calls(tmp_path: Path) -> None:
    """With different tokens, so that nothing but the breaker holds them back; and the clock stands still."""
    clock = [float(NOW)]
    with endpoint(DOWN) as server:
        settings = compose.from_keywords(
            {
                "state_dir": str(tmp_path / "state"),
                "jwt_verifier": {
                    "webhook_url": server.url,
                    "retry_attempts": 0,
                    "circuit_breaker_threshold": 3,
                    "circuit_breaker_timeout_sec": 60,
                },
            }
        )
        assembly = compose.assemble(settings, asynchronous=True, clock=lambda: clock[0])
        numbers = iter(range(10**6))

        async def many(count: int) -> Counter[str]:
            requests = [asking(mint(jti=f"key-{next(numbers)}")) for _ in range(count)]
            return Counter(await asyncio.gather(*(decided(assembly, request) for request in requests)))

        for _ in range(3):
            assert await many(1) == {"webhook_unavailable": 1}
        assert await many(200) == {"breaker_open": 200}
        assert len(server.received) == 3
        clock[0] += 60
        assert await many(200) == {"webhook_unavailable": 1, "breaker_open": 199}
        assert len(server.received) == 4
        clock[0] += 60
        held = Held()
        server.behaviour = held
        probing = asyncio.create_task(many(200))
        await until(held.asked)
        assert await many(50) == {"breaker_open": 50}  # as long as the probe is on its way
        held.may_answer.set()
        assert await probing == {"user123": 1, "breaker_open": 199}
        assert len(server.received) == 5
        server.behaviour = YES
        assert await many(50) == {"user123": 50}
        assembly.close()


@pytest.mark.anyio
async def test_a_token_revoked_while_its_question_is_on_its_way_is_refused(tmp_path: Path) -> None:
    held = Held()
    with endpoint(held) as server, assembled(server, tmp_path, Ear()) as assembly:
        task = asyncio.create_task(decided(assembly, asking()))
        await until(held.asked)
        assembly.revoker.revoke(Selector(Kind.JTI, "key-1"), reason="cancelled")
        held.may_answer.set()
        assert await task == "revoked"


@pytest.mark.anyio
async def test_a_revoked_token_is_refused_at_once_while_a_yes_is_remembered_for_an_hour(tmp_path: Path) -> None:
    """RevenProx's trade-off, "higher TTL: delayed revocation", is none here."""
    with endpoint(YES) as server, assembled(server, tmp_path, Ear(), cache_ttl_sec=3600) as assembly:
        assert await decided(assembly, asking()) == "user123"
        assembly.revoker.revoke(Selector(Kind.JTI, "key-1"), reason="cancelled")
        assert await decided(assembly, asking()) == "revoked"
        assembly.revoker.restore(Selector(Kind.JTI, "key-1"))
        assembly.revoker.revoke(Selector(Kind.SUB, "alice"), reason="cancelled")
        assert await decided(assembly, asking()) == "revoked"
        assert len(server.received) == 1


def test_fifty_threads_with_one_cold_token_and_topic_are_one_call(tmp_path: Path) -> None:
    held, ear = Held(), Ear()
    with endpoint(held) as server, assembled(server, tmp_path, ear, asynchronous=False) as assembly:
        outcomes: list[str] = []
        threads = [
            threading.Thread(target=lambda: outcomes.append(word(assembly.engine.decide(asking())))) for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        assert held.asked.wait(20)
        while ear.events.count(Joined("webhook")) < 49:  # all of them wait
            threading.Event().wait(0.01)
        held.may_answer.set()
        for thread in threads:
            thread.join()
        assert outcomes == ["user123"] * 50
        assert len(server.received) == 1


def test_no_more_threads_than_the_limit_allows_get_through(tmp_path: Path) -> None:
    with (
        endpoint(YES) as server,
        assembled(server, tmp_path, Ear(), asynchronous=False, rate_limit_per_sec=10) as assembly,
    ):
        outcomes: list[str] = []
        requests = [asking(mint(jti=f"key-{number}")) for number in range(60)]
        threads = [
            threading.Thread(target=lambda one=one: outcomes.append(word(assembly.engine.decide(one))))
            for one in requests
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(outcomes) == {"user123": 10, "verification_rate": 50}
        assert len(server.received) == 10


def test_an_awaitable_gate_answers_what_it_remembers_without_awaiting(tmp_path: Path) -> None:
    with endpoint(YES) as server, assembled(server, tmp_path, Ear()) as assembly:

        async def cold() -> str:
            outcome = assembly.engine.begin(asking())
            assert isinstance(outcome, Awaitable)
            return word(await outcome)

        assert asyncio.run(cold()) == "user123"
        warm = assembly.engine.begin(asking())
        assert isinstance(warm, Admit)
