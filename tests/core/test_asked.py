"""A verdict that came from far away: what was known before it was asked for is asked anew."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import structs

from sluicegate.core.claims import Identifiers, Verified
from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.core.flow import Flow, Wait, ask
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.token import Peeked
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.errors import StateUnavailable
from tests.table.tokens import NOW, SECRET, base64url, mint


class Far:
    """Keys that it takes ten seconds to ask."""

    asks = True

    def __init__(self) -> None:
        self._keys = LocalKeys(load(base64url(SECRET), ["HS256"]), ClaimNames())

    def recall(self, digest: bytes, request: Request, now: float) -> None:
        """Remember nothing."""

    def verify(self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float) -> Flow[Verified | Reason]:
        yield from ask(Wait(10.0))
        verified = yield from self._keys.verify(peeked, identifiers, request, now)
        return structs.replace(verified, asked=True) if isinstance(verified, Verified) else verified

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        return self._keys.prove(peeked, identifiers, now)


@dataclass
class Surroundings:
    """A clock that waiting moves, and a store in which something happens meanwhile."""

    policy: Policy = field(default_factory=Policy)
    meanwhile: str = ""
    now: float = float(NOW)
    asked: int = 0

    def decide(self, token: str) -> Admit | Refuse:
        engine = Engine(self.policy, Far(), state=self, clock=lambda: self.now, scheduler=self)
        return engine.decide(Request(headers=((b"authorization", b"Bearer " + token.encode()),)))

    def find(self, keys: tuple[str, ...]) -> dict[str, str]:
        self.asked += 1
        if self.asked == 2 and self.meanwhile == "away":
            raise StateUnavailable("gone")
        revoked = self.asked == 2 and self.meanwhile == "revoked"
        return {keys[0]: "cancelled"} if revoked else {}

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def once(self, key: Hashable, begin: Any, *, within: float, joined: Any) -> Any:  # noqa: ANN401 - any flow
        raise NotImplementedError(key, begin, within, joined)

    def later(self, key: Hashable, begin: Any) -> None:  # noqa: ANN401 - any flow
        raise NotImplementedError(key, begin)


def reason(decision: Admit | Refuse) -> str:
    return decision.reason.value if isinstance(decision, Refuse) else "admitted"


def test_a_token_revoked_meanwhile_is_refused_and_its_bearer_told() -> None:
    surroundings = Surroundings(meanwhile="revoked")
    assert reason(surroundings.decide(mint())) == "revoked"
    assert surroundings.asked == 2


@pytest.mark.parametrize(("left", "outcome"), [(9, "expired"), (10, "expired"), (11, "admitted")])
def test_a_token_that_runs_out_meanwhile_is_refused(left: int, outcome: str) -> None:
    assert reason(Surroundings().decide(mint(exp=NOW + left))) == outcome


def test_a_store_that_falls_silent_meanwhile_closes_the_gate_or_not_as_configured() -> None:
    assert reason(Surroundings(meanwhile="away").decide(mint())) == "state_unavailable"
    admitted = Surroundings(policy=Policy(state="admit"), meanwhile="away").decide(mint())
    assert isinstance(admitted, Admit)
    assert admitted.state_unknown


def test_what_comes_from_far_away_is_asked_about_twice_and_no_more() -> None:
    surroundings = Surroundings()
    assert reason(surroundings.decide(mint())) == "admitted"
    assert surroundings.asked == 2
