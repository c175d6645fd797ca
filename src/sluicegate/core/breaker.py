"""A circuit breaker: a service that fails again and again is left alone for a while, then tried with one call.

It asks whether the service is there, not whether its answer pleases: a webhook that says no to ten thousand forged
tokens is in the best of health.
"""

from typing import Final, Literal

import msgspec

State = Literal["closed", "open", "half_open"]


class Pass(msgspec.Struct, frozen=True):
    """Leave to call the service, in one period of the breaker's life. `is_probe`: nobody else has one."""

    period: int
    is_probe: bool


class Breaker:
    """Counts failures in a row. Its methods are one step each: between threads, whoever calls holds a lock.

    `threshold` failures open it; after `timeout` seconds one probe may pass, and what becomes of it decides. A probe
    of which nothing is heard for `lease` seconds is given up. What began in an earlier period says nothing about this
    one: a call that was on its way when the breaker opened neither opens it again nor closes it.
    """

    def __init__(self, *, threshold: int, timeout: float, lease: float) -> None:
        self._threshold: Final = threshold
        self._timeout: Final = timeout
        self._lease: Final = lease
        self._state: State = "closed"
        self._period = 0
        self._failures = 0
        self._since = 0.0

    @property
    def state(self) -> State:
        """How it stands. An open one whose time is up is open until somebody asks to pass."""
        return self._state

    def refuses(self, now: float) -> bool:
        """Tell whether `enter` would give no leave now."""
        if self._state == "closed":
            return False
        # a clock that was set back must not lengthen the time
        self._since = min(self._since, now)
        return now < self._since + (self._timeout if self._state == "open" else self._lease)

    def enter(self, now: float) -> Pass | None:
        """Ask to pass; None: leave the service alone."""
        if self.refuses(now):
            return None
        if self._state == "closed":
            return Pass(self._period, is_probe=False)
        self._become("half_open", now)
        return Pass(self._period, is_probe=True)

    def holds(self, leave: Pass) -> bool:
        """Tell whether this leave is still good: the breaker has not changed since."""
        return leave.period == self._period

    def succeeded(self, leave: Pass, now: float) -> None:
        """Take note that the service answered."""
        if not self.holds(leave):
            return
        self._failures = 0
        if leave.is_probe:
            self._become("closed", now)

    def failed(self, leave: Pass, now: float) -> None:
        """Take note that it did not."""
        if not self.holds(leave):
            return
        self._failures += 1
        if leave.is_probe or self._failures >= self._threshold:
            self._become("open", now)

    def abandoned(self, leave: Pass) -> None:
        """Give a leave back that came to nothing: the next one to ask may have the probe."""
        if leave.is_probe and self.holds(leave):
            self._become("open", self._since - self._timeout)

    def _become(self, state: State, now: float) -> None:
        self._state, self._since, self._failures = state, now, 0
        self._period += 1


class Bucket:
    """A limit of so many calls a second: a second's worth at once, then evenly. A lock as for the breaker."""

    def __init__(self, rate: int) -> None:
        self._rate: Final = rate
        self._level = float(rate)
        self._filled_at = 0.0

    def take(self, now: float) -> bool:
        """Take one call out; False when there is none."""
        # a clock that was set back fills nothing, and does not stop the filling either
        self._level = min(float(self._rate), self._level + max(0.0, now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
