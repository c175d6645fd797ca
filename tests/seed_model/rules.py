"""Where the gate differs from its models on purpose. `docs/differences.md` has one section for each, by these names."""

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Rule(Enum):
    """A difference; its value heads its section of the page."""

    WHOLE = "Each token is judged whole"
    OWN_CLAIMS = "What the upstream hears comes from the admitted token"
    BOUND = "A key is bound to its algorithms"
    NO_SECRET = "A public key is no secret"
    REACHED = "A store that is disabled is not dialled, and one that was away is asked again"
    SWITCHED_OFF = "Sources can be switched off, tokens are not logged, clients are not believed about themselves"
    BEARER_ONLY = "Only its bearer learns that a token is revoked"
    PREFLIGHT = "A preflight needs no token"
    ROTATION = "Keys are fetched seldom, and a rotation costs nobody a request"
    EXACT = "Claims keep their values"
    TOPIC = "A yes is for one topic and ends with its token"


TESTED_ELSEWHERE: Final[Mapping[Rule, tuple[str, ...]]] = {
    Rule.NO_SECRET: ("tests/core/test_keys.py::test_a_key_that_does_not_fit_does_not_start",),
    Rule.ROTATION: ("tests/jwks/test_rotation.py", "tests/jwks/test_waiting.py"),
    Rule.REACHED: ("tests/attacks/test_redis_accidents.py",),
    Rule.SWITCHED_OFF: ("tests/attacks/test_log.py", "tests/adapters/test_forwarded.py"),
}
"""What no single request shows, or not all of it: files of tests, or tests in them."""
