"""When a service is left alone: what it failed at, since when, and when it is tried again.

Nobody asks a service how it is; its answers to requests tell.
"""

import random
from typing import Final, final

from sluicegate.core.events import Cause

_AT_ONCE: Final = frozenset({"connection", "tls"})
"""What says all by itself that the service is away: nothing was sent, so nothing about a request can be to blame."""

_MOST_FAILURES: Final = 3
_LONGEST_PAUSE: Final = 30
"""Times the first pause."""


@final
class Outage:
    """What a service has failed at since it last answered. One that never failed, or has answered since, has none.

    `pause` is how long it is left alone at first, in seconds; doubled, up to thirty times that, each time it fails when
    it is tried again. `now` is the event loop's time, `since` in seconds since the epoch.
    """

    __slots__ = ("_failures", "_first", "_pause", "_until", "cause", "since")

    def __init__(self, *, pause: float, since: float) -> None:
        self._first: Final = pause
        self._pause = 0.0
        self._failures = 0
        self._until: float | None = None
        self.since: Final = since
        self.cause: Cause = "connection"

    @property
    def is_out(self) -> bool:
        """Tell whether requests go elsewhere where they can."""
        return self._until is not None

    @property
    def until(self) -> float:
        """When it is tried again, on the event loop's clock."""
        return self._until or 0.0

    def failed(self, cause: Cause, now: float) -> bool:
        """Count a failure; tell whether it has put the service out, or put off when it is tried again."""
        self.cause = cause
        self._failures += 1
        if now < self.until or (self._until is None and cause not in _AT_ONCE and self._failures < _MOST_FAILURES):
            return False
        self._pause = min(2 * self._pause or self._first, _LONGEST_PAUSE * self._first)
        # apart from each other, or all gates would come at once to a service that is just getting up
        self._until = now + self._pause * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
        return True

    def is_due(self, now: float, *, to_any: bool = False) -> bool:
        """Tell whether one request may try it; `to_any`: also one that could do harm, after as long again."""
        return self._until is not None and now >= self._until + (max(self._pause, self._first) if to_any else 0)

    def tried(self, now: float) -> None:
        """Take note that one request is trying it, and that the others need not."""
        self._until = now + max(self._pause, self._first)
