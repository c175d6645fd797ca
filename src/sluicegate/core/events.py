"""What happens on the way to a verdict and to an upstream, for whoever watches: frozen, and never with a token.

Decisions are told apart from these, in `ports.Record`: there is one for each request, while one call of a webhook may
serve a thousand requests, and a refresh of keys none.
"""

from typing import Literal

import msgspec


class Looked(msgspec.Struct, frozen=True):
    """A verdict was looked for among those remembered, for a request that was not answered at sight.

    "miss": the webhook is asked. "yes" and "no": it need not be. "stale": it cannot be, and a yes past its time counts.
    """

    found: Literal["miss", "yes", "no", "stale"]


class Joined(msgspec.Struct, frozen=True):
    """A request waits for an answer that another request is already waiting for."""

    service: str


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """A service was called once.

    `number` counts from 1 within one question; `took` is in seconds; `detail` is a sentence for the log, of our own
    words and the system's.
    """

    service: str
    number: int
    outcome: Literal["yes", "no", "unnamed", "refused", "failed"]
    took: float
    detail: str = ""


class Limited(msgspec.Struct, frozen=True):
    """A question was not asked, because the service had been asked too often in the last second."""

    service: str


class BreakerChanged(msgspec.Struct, frozen=True):
    """The breaker in front of a service has changed: "open" leaves it alone, "half_open" lets one call through."""

    service: str
    state: Literal["closed", "open", "half_open"]


class Refreshed(msgspec.Struct, frozen=True, kw_only=True):
    """Published keys were fetched anew, or could not be.

    `keys` is how many count now; `age` how old they are in seconds, None where there never were any; `took` is in
    seconds. `detail` says why a fetch failed; `warnings` are sentences on keys that ought not to be there, each told
    once.
    """

    service: str
    outcome: Literal["replaced", "unchanged", "failed"]
    keys: int
    added: int = 0
    withdrawn: int = 0
    age: float | None
    took: float
    detail: str = ""
    warnings: tuple[str, ...] = ()


Cause = Literal["connection", "tls", "closed", "malformed", "timeout"]
"""Why a service behind the gateway failed: no connection, no trust, closed before the end, nonsense, silence."""


class UpstreamFailed(msgspec.Struct, frozen=True, kw_only=True):
    """A service behind the gateway failed a request.

    `out`: from here on requests go elsewhere where they can. `detail` is of our own words and the system's; `request`
    is the id of the request, empty where it was none.
    """

    service: str
    cause: Cause
    detail: str
    request: str
    out: bool


class UpstreamAnswered(msgspec.Struct, frozen=True):
    """A service behind the gateway that was out answers again."""

    service: str


class Listening(msgspec.Struct, frozen=True, kw_only=True):
    """A service that tells by itself what happens there is listened to from now on, or is not.

    `what` it tells; `detail` says why it does not, and what happens instead.
    """

    service: str
    what: str
    is_on: bool
    detail: str = ""


class Garbled(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a topic's history is no event, and was passed over."""

    service: str
    topic: str


Event = (
    UpstreamFailed
    | UpstreamAnswered
    | Looked
    | Joined
    | Attempted
    | Limited
    | BreakerChanged
    | Refreshed
    | Listening
    | Garbled
)
