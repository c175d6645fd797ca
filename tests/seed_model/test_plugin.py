"""Ten thousand requests, to the plugin as documented and to the gate: they differ where the gate means to."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from sluicegate.adapters.render import refusal
from sluicegate.core.decision import Refuse
from sluicegate.core.keys import load
from sluicegate.core.placeholders import value_of
from sluicegate.core.policy import ClaimNames, Policy, Sources
from sluicegate.core.request import is_preflight
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from sluicegate.errors import StateUnavailable
from tests.seed_model.plugin import Plugin
from tests.seed_model.question import GATES, PASSED, REVOKED, Gate, Question, Said, questions
from tests.seed_model.rules import Rule
from tests.table.tokens import NOW, SECRET, base64url

COUNT: Final = 10_000
SHOWN: Final = frozenset(
    {Rule.WHOLE, Rule.OWN_CLAIMS, Rule.BOUND, Rule.REACHED, Rule.SWITCHED_OFF, Rule.BEARER_ONLY}
    | {Rule.PREFLIGHT, Rule.EXACT}
)
"""The rules that one request can show."""


class _Store:
    def __init__(self, gate: Gate) -> None:
        self._up = gate.redis == "up"

    def find(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        if not self._up:
            raise StateUnavailable("it is down")
        standing = {f"BLACKLIST:key:{jti}" for jti in REVOKED}
        return {key: "cancelled" for key in keys if key in standing}


def _engine(gate: Gate) -> Engine:
    """Configure the gate in the same words."""
    stored = gate.redis != "disabled"
    queries = Sources().query if gate.from_query is None else gate.from_query
    policy = Policy(
        sources=Sources(query=queries),
        state="none" if not stored else "admit" if gate.fail_open else "refuse",
        issuers=frozenset(gate.issuer_whitelist),
        audiences=frozenset(gate.audience_whitelist),
    )
    names = ClaimNames(user=gate.user_claims, meta=gate.meta_claims)
    keys = LocalKeys(load(base64url(SECRET), ["HS256"]), names)
    return Engine(policy, keys, state=_Store(gate) if stored else None, clock=lambda: NOW)


ENGINES: Final = {name: _engine(gate) for name, gate in GATES.items()}


def _said(question: Question) -> Said:
    """Ask the gate."""
    request = question.request()
    if is_preflight(request):
        return PASSED
    decision = ENGINES[question.gate].decide(request)
    if isinstance(decision, Refuse):
        response = refusal(decision, request_id="x")
        body = {name: value for name, value in json.loads(response.body).items() if name != "reason"}
        return Said(status=response.status, body=body)
    identity = decision.identity
    assert identity is not None
    meta = {name: value_of(identity, name) for _, name in GATES[question.gate].meta_claims}
    return Said(status=200, user=identity.id, jti=identity.jti, meta=meta)


def _sets() -> Iterator[frozenset[Rule]]:
    """Every set of rules, the smallest first."""
    for size in range(len(SHOWN) + 1):
        for rules in itertools.combinations(sorted(SHOWN, key=lambda rule: rule.name), size):
            yield frozenset(rules)


SETS: Final = tuple(_sets())
PLUGINS: Final = {rules: Plugin(rules) for rules in SETS}


def _explained(question: Question, said: Said) -> frozenset[Rule] | None:
    """Return the smallest set of rules by which the model says what the gate says; None where there is none."""
    return next((rules for rules in SETS if PLUGINS[rules].answer(question) == said), None)


def test_each_of_ten_thousand_requests_differs_by_a_named_rule_or_not_at_all() -> None:
    mended = Plugin(SHOWN)
    needed: Counter[Rule] = Counter()
    alike = 0
    for question in questions(COUNT):
        said = _said(question)
        assert mended.answer(question) == said, f"{question} {said}: unnamed"
        rules = _explained(question, said)
        assert rules is not None
        alike += not rules
        needed.update(rules)
    # the generator reaches every rule, and the models agree on most of what people send
    assert set(needed) == SHOWN
    assert min(needed.values()) >= 10, needed
    assert COUNT / 2 < alike < COUNT, alike


def test_the_questions_are_always_the_same_and_reach_every_answer() -> None:
    first = list(questions(2000))
    assert first == list(questions(2000))
    errors = Counter((said.body or {}).get("error", "let in") for said in map(_said, first))
    assert set(errors) == {"let in", "invalid_token", "api_key_blacklisted", "internal_error"}
    assert min(errors.values()) >= 20, errors
