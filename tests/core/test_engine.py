"""Policy, verifier, ports and clock made into decisions."""

import gc
from collections.abc import Coroutine, Mapping

import pytest

from sluicegate.core.decision import Admit, Reason
from sluicegate.core.events import Event, Joined
from sluicegate.core.flow import Call, FindRevocation, Later, Now, Once, Question, Tell, Wait
from sluicegate.core.policy import Policy, Requirement
from sluicegate.core.request import Request
from sluicegate.engine import Engine, new_id
from sluicegate.ports import Record
from tests.core.gates import UNSTATED, Unreachable, bearer, gate, identity, minted, reason, store_of, verifier
from tests.core.test_drive import complaint
from tests.vectors.vector import NOW


class Awaited:
    """A store that must be awaited, in which these values stand."""

    def __init__(self, standing: Mapping[str, str]) -> None:
        self._store = store_of(standing)

    async def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Return those that stand."""
        return self._store.find(keys)


class Kept:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def decided(self, record: Record) -> None:
        """Keep it."""
        self.records.append(record)


@pytest.mark.parametrize(("policy", "state"), [(Policy(), None), (UNSTATED, Unreachable())])
def test_a_policy_that_asks_for_state_needs_a_store_and_the_other_way_round(
    policy: Policy, state: Unreachable | None
) -> None:
    """Half of it would be a gate that never asks, or asks nobody."""
    with pytest.raises(ValueError, match="needs a store"):
        Engine(policy, verifier(), state=state)


def test_a_route_that_asks_for_state_where_there_is_no_store_crashes() -> None:
    with pytest.raises(RuntimeError):
        gate(UNSTATED).decide(bearer(minted()), Policy())


async def test_a_store_that_must_be_awaited_gives_the_same_decision() -> None:
    engine = gate(state=Awaited({"BLACKLIST:key:dead": "cancelled"}))
    assert identity(await engine.decide_async(bearer(minted()))).id == "user_123"
    assert reason(await engine.decide_async(bearer(minted(jti="dead")))) is Reason.REVOKED


async def test_what_can_be_decided_at_once_is() -> None:
    engine = gate(state=Awaited({}))
    assert not isinstance(engine.begin(Request()), Coroutine)
    pending = engine.begin(bearer(minted()))
    assert isinstance(pending, Coroutine)
    assert isinstance(await pending, Admit)


def test_a_store_that_must_be_awaited_has_no_place_in_a_synchronous_gate() -> None:
    """And nothing is left behind that was never awaited: warnings are errors here."""
    assert "awaitably" in complaint(lambda: gate(state=Awaited({})).decide(bearer(minted())))
    gc.collect()


async def test_the_observer_gets_one_record_for_each_decision() -> None:
    seen = Kept()
    request, nothing = bearer(minted()), Request()
    for engine in (gate(observer=seen), gate(observer=seen, state=Awaited({}))):
        decisions = [await engine.decide_async(request), engine.decide(nothing)]
        assert [(record.request, record.decision) for record in seen.records[-2:]] == list(
            zip((request, nothing), decisions, strict=True)
        )
    assert len(seen.records) == 4
    assert {record.at for record in seen.records} == {NOW}
    assert {record.took for record in seen.records} == {0.0}


def test_a_record_shows_no_token() -> None:
    seen = Kept()
    token = minted()
    gate(observer=seen).decide(Request(query=b"token=" + token, headers=[(b"authorization", b"Bearer " + token)]))
    for part in token.decode().split("."):
        assert part not in repr(seen.records)


@pytest.mark.parametrize(
    "question",
    [
        FindRevocation(("k",)),
        Call(url="http://localhost", timeout=1.0, max_bytes=1),
        Wait(1.0),
        Once(key="k", flow=lambda: iter(()), within=1.0),  # type: ignore[arg-type, return-value]
        Later(key="k", flow=lambda: iter(())),  # type: ignore[arg-type, return-value]
    ],
    ids=lambda question: type(question).__name__,
)
def test_a_question_whose_port_is_not_there_crashes(question: Question) -> None:
    """A crash is a closed gate; no answer would be an open one."""
    with pytest.raises(RuntimeError, match="was given no"):
        gate(UNSTATED).answer(question)


def test_an_engine_tells_the_time_and_what_happens() -> None:
    told: list[Event] = []

    class Told:
        def noted(self, event: Event) -> None:
            told.append(event)

    engine = Engine(UNSTATED, verifier(), clock=lambda: NOW, instrument=Told())
    assert engine.answer(Now()) == NOW
    engine.answer(Tell(Joined("webhook")))
    assert told == [Joined("webhook")]
    assert gate(UNSTATED).answer(Tell(Joined("webhook"))) is None


def test_a_route_has_the_engines_policy_but_for_what_it_asks() -> None:
    engine = gate()
    route = engine.policy.with_route(requirement=Requirement(scopes=frozenset({"admin"})))
    assert identity(engine.decide(bearer(minted()))).id == "user_123"
    assert reason(engine.decide(bearer(minted()), route)) is Reason.SCOPE


def test_decision_ids_differ() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000
