"""What is said again is what `decide` would say: of the same words, whatever has changed around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.decision import Admit, Decision, Reason, Refuse
from sluicegate.core.flow import Hits
from sluicegate.core.keyring import FixedKeys
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Requirement
from sluicegate.core.request import Request
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.errors import StateUnavailable
from tests.core.gates import bearer, identity, minted, reason, store_of
from tests.vectors.keys import GATE, STRANGER
from tests.vectors.vector import ANY_ALGORITHM, NOW

DEAD: Final = "BLACKLIST:key:api_key_abc123"
WITHDRAWN: Final = NOW + 500
"""When the key of the gate stops counting: it is the predecessor of another."""

TOKEN: Final = minted(exp=NOW + 1000, nbf=NOW - 1000)
OTHER: Final = minted(jti="other", sub="living", exp=NOW + 1000)


@dataclass
class World:
    """All that may change while the words stay the same."""

    now: float = NOW
    standing: dict[str, str] = field(default_factory=dict)
    store: Literal["answers", "silent", "silent about what stands"] = "answers"
    asked: int = 0

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Answer as a store."""
        self.asked += 1
        if self.store != "answers":
            raise StateUnavailable("refused", stands=self.store == "silent about what stands")
        return store_of(self.standing).find(keys)

    def engine(self, policy: Policy) -> Engine:
        """A gate that knows nothing yet."""
        current, previous = (load(key, [ANY_ALGORITHM]) for key in (STRANGE, GATE.sign_key(ANY_ALGORITHM)))
        ring = FixedKeys(current, previous, previous_until=WITHDRAWN)
        state = None if policy.state == "none" else self
        return Engine(policy, LocalKeys(ring, ClaimNames()), state=state, clock=lambda: self.now)


STRANGE: Final = STRANGER.sign_key(ANY_ALGORITHM)


def again(world: World, engine: Engine, request: Request, before: Decision, policy: Policy | None = None) -> Decision:
    """Decide with what was said before, and hold it against a gate that has never seen the token."""
    asked = world.asked
    decision = engine.begin(request, policy, admitted=before if isinstance(before, Admit) else None)
    assert isinstance(decision, Admit | Refuse)
    asked = world.asked - asked
    assert decision == world.engine(engine.policy).decide(request, policy)
    assert asked <= 1 or len(request.headers) > 1, "the store is asked once"
    return decision


Change = Callable[[World], None]

CHANGES: Final[Mapping[str, tuple[Change, Reason | None]]] = {
    "nothing": (lambda world: None, None),  # noqa: ARG005 - the shape of a change
    "revoked": (lambda world: world.standing.update({DEAD: "cancelled"}), Reason.REVOKED),
    "its subject cut off": (
        lambda world: world.standing.update({"BLACKLIST:sub:user_123": '{"reason":"x","not_before":1700000000}'}),
        Reason.REVOKED,
    ),
    "older tokens of its subject cut off": (
        lambda world: world.standing.update({"BLACKLIST:sub:user_123": '{"reason":"x","not_before":1600000000}'}),
        None,
    ),
    "another revoked": (lambda world: world.standing.update({"BLACKLIST:key:other": "cancelled"}), None),
    "expired": (lambda world: setattr(world, "now", NOW + 1000), Reason.SIGNATURE),  # its key has gone before it
    "the last moment of its key": (lambda world: setattr(world, "now", WITHDRAWN - 0.001), None),
    "its key withdrawn": (lambda world: setattr(world, "now", WITHDRAWN), Reason.SIGNATURE),
    "the clock set back": (lambda world: setattr(world, "now", NOW - 1000.5), Reason.NOT_YET_VALID),
    "the store silent": (lambda world: setattr(world, "store", "silent"), Reason.STATE_UNAVAILABLE),
    "the store silent about what stands": (
        lambda world: setattr(world, "store", "silent about what stands"),
        Reason.STATE_UNAVAILABLE,
    ),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_seen_in_the_words_that_were_let_in_before(change: Change, expected: Reason | None) -> None:
    world, request = World(), bearer(TOKEN)
    engine = world.engine(Policy())
    admitted = engine.decide(request)
    assert identity(admitted).id == "user_123"
    change(world)
    decision = again(world, engine, request, admitted)
    assert (None if isinstance(decision, Admit) else reason(decision)) is expected
    assert isinstance(again(World(), World().engine(Policy()), request, admitted), Admit), "by another gate, too"


def test_a_token_that_expires_between_two_requests_is_refused_the_second_time() -> None:
    world, request = World(), bearer(minted(exp=NOW + 10))
    engine = world.engine(Policy())
    admitted = engine.decide(request)
    world.now = NOW + 9.999
    assert again(world, engine, request, admitted) is admitted
    world.now = NOW + 10
    assert reason(again(world, engine, request, admitted)) is Reason.EXPIRED


def test_what_was_said_under_one_policy_is_not_said_under_another() -> None:
    world, request = World(), bearer(TOKEN)
    engine = world.engine(Policy())
    admitted = engine.decide(request)
    route = engine.policy.with_route(requirement=Requirement(scopes=frozenset({"admin"})))
    assert reason(again(world, engine, request, admitted, route)) is Reason.SCOPE


def test_a_token_behind_a_refused_one_is_let_in_only_while_that_is_refused() -> None:
    world, request = World(standing={DEAD: "cancelled"}), bearer(TOKEN, OTHER)
    engine = world.engine(Policy())
    admitted = engine.decide(request)
    assert identity(admitted).id == "living"
    world.standing.clear()
    assert identity(again(world, engine, request, admitted)).id == "user_123"


def test_an_admission_without_state_is_not_what_the_next_one_rests_on() -> None:
    world, request = World(store="silent"), bearer(TOKEN)
    engine = world.engine(Policy(state="admit"))
    admitted = engine.decide(request)
    assert isinstance(admitted, Admit)
    assert admitted.state_unknown
    world.store, world.standing = "answers", {DEAD: "cancelled"}
    assert reason(again(world, engine, request, admitted)) is Reason.REVOKED


def test_what_is_said_again_is_the_very_same() -> None:
    world, request = World(), bearer(TOKEN)
    engine = world.engine(Policy())
    admitted = engine.decide(request)
    assert again(world, engine, request, admitted) is admitted


@given(
    st.lists(st.sampled_from(sorted(CHANGES)), max_size=6),
    st.sampled_from([(TOKEN,), (TOKEN, OTHER), (OTHER, TOKEN), (TOKEN, b"junk")]),
    st.sampled_from(["refuse", "admit", "none"]),
    st.sampled_from(["required", "optional", "off"]),
    st.sampled_from([0.0, 60.0]),
)
def test_whatever_changes_it_says_what_a_new_gate_would(
    changes: list[str],
    tokens: tuple[bytes, ...],
    state: Literal["refuse", "admit", "none"],
    auth: Literal["required", "optional", "off"],
    leeway: float,
) -> None:
    policy = Policy(state=state, auth=auth, leeway=leeway)
    world, request = World(), bearer(*tokens)
    engine = world.engine(policy)
    decision = engine.decide(request)
    for name in changes:
        CHANGES[name][0](world)
        decision = again(world, engine, request, decision)
        world.store = "answers"
        world.standing.clear()
        decision = again(world, engine, request, decision)
