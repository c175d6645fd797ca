"""Step 3: has this token been revoked? Where fail-open and fail-closed live."""

from enum import Enum

from sluicegate.core.claims import Identifiers
from sluicegate.core.flow import FindRevocation, Flow, Hits
from sluicegate.core.policy import Policy
from sluicegate.core.revocation import Revocation, strongest
from sluicegate.errors import StateUnavailable


class Unknown(Enum):
    """What is known when the store did not answer."""

    UNKNOWN = "unknown"


UNKNOWN = Unknown.UNKNOWN


UNREAD = Revocation(reason="revoked")


Said = tuple[FindRevocation, Hits | StateUnavailable]
"""A question to the store, and what came of it."""


def check_state(
    identifiers: Identifiers, policy: Policy, said: Said | None = None
) -> Flow[Revocation | Unknown | None]:
    """Ask once, about every identifier together. None: it stands in no list.

    What the store has `said` to the very question a moment ago, within this decision, it is not asked again.
    """
    if policy.state == "none":
        return None
    try:
        if said is not None and said[0] == identifiers.question:
            hits = _repeated(said[1])
        else:
            hits = yield identifiers.question  # `ask` would be one more generator, on the way of every decision
    except StateUnavailable as away:
        # a store that went away after it had said that something stands has said enough, where silence would admit
        return UNREAD if away.stands and policy.state == "admit" else UNKNOWN
    if len(hits) == 0:  # and not `not hits`: a store that answers None has not answered "none of them stands"
        return None
    found = strongest(hits, identifiers.issued_at, policy.layout)
    return None if found is None else found[1]


def _repeated(given: Hits | StateUnavailable) -> Hits:
    if isinstance(given, StateUnavailable):
        raise given
    return given
