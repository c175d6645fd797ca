"""The Caddy plugin stateful_jwt, as its documentation has it: a table of steps, and what follows when one fails.

A second reading of the same words that the gate was written from: it shares no code with the gate. `mended` names the
rules in which the gate means to differ; with none, this is the plugin, and with all, it must be the gate.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, Final, final

import msgspec

from tests.seed_model.question import (
    BLACKLISTED,
    GATES,
    INVALID,
    PASSED,
    PLACES,
    REVOKED,
    UNAVAILABLE,
    Gate,
    Question,
    Said,
)
from tests.seed_model.rules import Rule
from tests.table.tokens import NOW, SECRET

_DATES: Final = ("exp", "nbf", "iat")
_HASHES: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_FURTHEST: Final = (INVALID, BLACKLISTED, UNAVAILABLE)


@final
class Parsed(msgspec.Struct, frozen=True):
    """Step 2: a token taken apart, and believed in nothing."""

    token: str
    alg: str
    claims: Mapping[str, Any]


def parse(token: str) -> Parsed | None:
    """Take a token apart; None where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(one + "=" * (-len(one) % 4))) for one in parts[:2])
    except (binascii.Error, ValueError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict) or not isinstance(header.get("alg"), str):
        return None
    if any(name in claims and not isinstance(claims[name], int | float) for name in _DATES):
        return None
    return Parsed(token, header["alg"], claims)


@final
class Plugin:
    """Answers questions, step by step."""

    def __init__(self, mended: AbstractSet[Rule] = frozenset()) -> None:
        self._mended: Final = mended

    def answer(self, question: Question) -> Said:
        """Answer one."""
        gate = GATES[question.gate]
        if question.preflight and Rule.PREFLIGHT in self._mended:
            return PASSED
        candidates = [parsed for token in self._extracted(question, gate) if (parsed := parse(token)) is not None]
        if not candidates:
            return INVALID
        if Rule.WHOLE in self._mended:
            return self._each(candidates, gate)
        return self._state_first(candidates, gate)

    # 1. Extract JWT token from request

    def _extracted(self, question: Question, gate: Gate) -> list[str]:
        queries = gate.from_query
        if queries == () and Rule.SWITCHED_OFF not in self._mended:
            queries = None  # an empty list is no list
        named = [place for place in PLACES if place[0] != "query" or queries is None or place[1] in queries]
        found = []
        for place in named:
            if place not in question.tokens:
                continue
            token = question.tokens[place]
            if place[1] == "Authorization":
                token = question.prefix + token
            found.append(token[7:] if token.lower().startswith("bearer ") else token)
        return found

    # 2. to 6. with the first candidate's jti, and whichever candidate verifies

    def _state_first(self, candidates: list[Parsed], gate: Gate) -> Said:
        first = candidates[0]
        if Rule.BEARER_ONLY not in self._mended or self._verifies(first):
            refused = self._state(first, gate)
            if refused is not None:
                return refused
        for candidate in candidates:
            if self._verifies(candidate) and self._holds(candidate, gate):
                user = self._user(candidate, gate)
                if user is not None:
                    told = candidate if Rule.OWN_CLAIMS in self._mended else first
                    return self._context(candidate, user, told, gate)
        return INVALID

    # the same, each candidate by itself

    def _each(self, candidates: list[Parsed], gate: Gate) -> Said:
        furthest = INVALID
        for candidate in candidates:
            said = self._whole(candidate, candidates[0], gate)
            if said.status == 200:
                return said
            furthest = max(furthest, said, key=_FURTHEST.index)
        return furthest

    def _whole(self, candidate: Parsed, first: Parsed, gate: Gate) -> Said:
        verifies = self._verifies(candidate)
        if Rule.EXACT in self._mended and isinstance(candidate.claims.get("sub"), float):
            return INVALID  # a fraction names nobody
        if verifies or Rule.BEARER_ONLY not in self._mended:
            refused = self._state(candidate, gate)
            if refused is not None:
                return refused
        user = self._user(candidate, gate)
        if not verifies or not self._holds(candidate, gate) or user is None:
            return INVALID
        return self._context(candidate, user, candidate if Rule.OWN_CLAIMS in self._mended else first, gate)

    # 3. and 4. Check Redis token state: if revoked, return 401 immediately

    def _state(self, parsed: Parsed, gate: Gate) -> Said | None:
        if gate.redis == "disabled" and (gate.fail_open or Rule.REACHED in self._mended):
            return None
        jti = parsed.claims.get("jti")
        if not isinstance(jti, str) or not jti:
            return INVALID
        if gate.redis != "up":
            return None if gate.fail_open else UNAVAILABLE
        return BLACKLISTED if jti in REVOKED else None

    # 5. If valid state, perform full JWT validation

    def _verifies(self, parsed: Parsed) -> bool:
        name = _HASHES.get(parsed.alg)
        if name is None or (parsed.alg != "HS256" and Rule.BOUND in self._mended):
            return False
        signing_input, _, signature = parsed.token.rpartition(".")
        digest = hmac.digest(SECRET, signing_input.encode(), name)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == signature

    def _holds(self, parsed: Parsed, gate: Gate) -> bool:
        claims = parsed.claims
        audience = claims.get("aud", [])
        audiences = [audience] if isinstance(audience, str) else audience
        return (
            claims.get("exp", NOW + 1) > NOW
            and claims.get("nbf", NOW) <= NOW
            and claims.get("iat", NOW) <= NOW
            and (not gate.issuer_whitelist or claims.get("iss") in gate.issuer_whitelist)
            and (not gate.audience_whitelist or any(one in gate.audience_whitelist for one in audiences))
        )

    # 6. If valid, populate user context

    def _user(self, parsed: Parsed, gate: Gate) -> str | None:
        for name in gate.user_claims:
            value = parsed.claims.get(name)
            text = value if isinstance(value, str) else self._number(value)
            if text:
                return text
        return None

    def _number(self, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return ""
        if Rule.EXACT in self._mended:
            return str(value)
        return format(Decimal(repr(float(value))).normalize(), "f")

    def _context(self, parsed: Parsed, user: str, told: Parsed, gate: Gate) -> Said:
        meta = {name: self._text(told.claims.get(claim)) for claim, name in gate.meta_claims}
        return Said(status=200, user=user, jti=parsed.claims.get("jti"), meta=meta)

    def _text(self, value: object) -> str:
        if isinstance(value, str):
            return value
        if Rule.EXACT not in self._mended:
            return ""  # what is no string is no value
        return ",".join(map(str, value)) if isinstance(value, list) else self._number(value)
