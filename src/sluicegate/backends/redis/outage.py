"""A server that does not answer: since when, why, and when it is worth dialling again."""

import random
import time
from collections.abc import Callable
from typing import Final, final

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0

CONNECT_WITHIN: Final = 1.0
"""Seconds one attempt to connect may take where `timeout` is shorter. Questions wait no longer for it than `timeout`;
the attempt itself goes on, or a server one slow TLS handshake away could never be reached."""


@final
class Outage:
    """Shared by whoever asks one server. Each attribute is written whole, so threads need no lock.

    `since` is in seconds since the epoch, None while questions are answered.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.since: float | None = None
        self.cause = ""
        self._clock: Final = clock
        self._pause = 0.0
        self._rests_until = 0.0

    def question_failed(self) -> None:
        """A question got no answer."""
        if self.since is None:
            self.since = self._clock()

    def question_answered(self) -> None:
        """The server answers again."""
        self.since = None

    def dial_failed(self, cause: str, *, began: float) -> None:
        """An attempt to connect, begun at this reading of `time.monotonic`, came to nothing.

        The pause is counted from its beginning: an attempt that hung for a second was itself the pause.
        """
        self.cause = cause
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        # between half and all of it, so that the workers of a fleet do not dial in step
        self._rests_until = began + self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - guards no secret

    def dialled(self) -> None:
        """An attempt to connect succeeded."""
        self._pause = 0.0

    def is_resting(self, now: float) -> bool:
        """Tell whether it is too early, by `time.monotonic`, to dial again."""
        return now < self._rests_until


@final
class Pauses:
    """How long to wait before the next attempt: longer each time, and never in step with other processes."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def next(self) -> float:
        """Return the seconds to wait now."""
        pause, self._next = self._next, min(2 * self._next, LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - guards no secret

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next = FIRST_PAUSE
