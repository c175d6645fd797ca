"""Gates, tokens and requests for the tests of the core: one issuer, one moment, a store in memory."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.decision import Admit, Decision, Identity, Reason, Refuse
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry
from sluicegate.core.verify import LocalKeys, Verifier
from sluicegate.engine import Engine
from sluicegate.errors import StateUnavailable
from sluicegate.ports import Observer, StateStore
from tests.vectors.keys import GATE, STRANGER
from tests.vectors.vector import ANY_ALGORITHM, CLAIMS, NOW, compact, signer

UNSTATED: Final = Policy(state="none")


class Unreachable:
    """A store that is out of reach, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        """Fail at once."""
        self.asked += len(keys) > 0
        raise StateUnavailable("refused")


def minted(
    *,
    algorithm: str = ANY_ALGORITHM,
    header: Mapping[str, Any] | None = None,
    without: Iterable[str] = (),
    **claims: object,
) -> bytes:
    """A token of the gate's issuer with these claims beside the usual ones."""
    kept = {name: value for name, value in CLAIMS.items() if name not in set(without)}
    return compact({"alg": algorithm} | dict(header or {}), kept | claims, signer(algorithm))


def forged(**claims: object) -> bytes:
    """The same, signed by a stranger."""
    return compact({"alg": ANY_ALGORITHM}, CLAIMS | claims, signer(party=STRANGER))


def bearer(*tokens: bytes) -> Request:
    """A request with one `Authorization` field for each token."""
    return Request(headers=[(b"authorization", b"Bearer " + token) for token in tokens])


def unasked(_question: object) -> Mapping[str, str | None]:
    """Answers a flow that asks nothing, or asks a store in which nothing stands."""
    return {}


def store_of(standing: Mapping[str, str]) -> MemoryStore:
    """A store in which these values stand."""
    store = MemoryStore(clock=lambda: NOW)
    for key, value in standing.items():
        store.put(key, Entry(value))
    return store


def verifier(*, algorithm: str = ANY_ALGORITHM, names: ClaimNames | None = None, cache_size: int = 100) -> LocalKeys:
    """The key of the gate's issuer."""
    return LocalKeys(load(GATE.sign_key(algorithm), [algorithm]), names or ClaimNames(), cache_size=cache_size)


def gate(
    policy: Policy | None = None,
    *,
    standing: Mapping[str, str] | None = None,
    state: StateStore | None = None,
    names: ClaimNames | None = None,
    verified_by: Verifier | None = None,
    observer: Observer | None = None,
    now: float = NOW,
) -> Engine:
    """An engine with this policy; its store holds what stands, unless it is another or there is none."""
    chosen = policy or Policy()
    if state is None and chosen.state != "none":
        state = store_of(standing or {})
    return Engine(chosen, verified_by or verifier(names=names), state=state, observer=observer, clock=lambda: now)


def reason(decision: Decision) -> Reason:
    """Why it was refused."""
    assert isinstance(decision, Refuse), decision
    return decision.reason


def identity(decision: Decision) -> Identity:
    """Who was let in."""
    assert isinstance(decision, Admit), decision
    assert decision.identity is not None
    return decision.identity
