"""How long fetched keys count, and when to ask for them again (RFC 9111, 4.2; RFC 5861 in spirit).

Three rules meet here. Keys are asked for again before their time ends, and meanwhile the old ones count: nobody waits
for a routine refresh. A key that nobody knows is asked for once a cool-down, whoever shows it and however often. And an
issuer that is away is asked less and less, while its last good keys count for a day.

Times are in seconds since the epoch. The wall clock may be set back, so what lies ahead of it is not believed for
longer than `_SLACK`.
"""

import math
import re
from collections.abc import Callable
from typing import Final, final

from sluicegate.core.flow import Reply

DEFAULT_LIFETIME: Final = 300.0
LEAST_LIFETIME: Final = 60.0
MOST_LIFETIME: Final = 86_400.0
LAST_GOOD: Final = 86_400.0
"""How long keys count that could not be refreshed."""
COOLDOWN: Final = 30.0
"""Between two fetches for keys that nobody knows."""

_SLACK: Final = 60.0
_PATIENCE: Final = 15.0
"""A refresh that has told of nothing for so long is lost, with the thread or loop that ran it: it may begin again."""
_FIRST_RETRY: Final = 1.0
_LONGEST_RETRY: Final = 60.0
_DIGITS: Final = re.compile("[0-9]{1,10}")


def lifetime(reply: Reply) -> float:
    """Return for how many seconds a reply may be used, by its own word and within our bounds.

    `max-age` less `Age` (RFC 9111, 4.2.1 and 4.2.3); a reply that says it must not be stored, or says it in no way
    that can be read, gets the least.
    """
    directives = ",".join(value for name, value in reply.headers if name == "cache-control").lower().split(",")
    pairs = [directive.strip().partition("=") for directive in directives]
    ages = [value.strip(' "') for name, _, value in pairs if name.strip() == "max-age"]
    names = {name.strip() for name, _, _ in pairs}
    if not names.isdisjoint({"no-store", "no-cache"}) or not all(map(_DIGITS.fullmatch, ages)):
        return LEAST_LIFETIME
    if not ages:
        return DEFAULT_LIFETIME
    age = reply.header("age").strip()
    passed = int(age) if _DIGITS.fullmatch(age) else 0
    return min(max(min(map(int, ages)) - passed, LEAST_LIFETIME), MOST_LIFETIME)


@final
class Freshness:
    """When the keys of one URL are due, and for how long they count. `chance` returns numbers between 0 and 1.

    Threads may share it: whatever two of them do at once costs one fetch too many at worst.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance: Final = chance
        self._since: float = -math.inf
        self._due_at: float = -math.inf
        self._begun_at: float = -math.inf
        self._fetched_at: float = -math.inf
        self._asked_at: float = -math.inf
        self._busy_until: float = -math.inf
        self._failures = 0

    def is_due(self, now: float) -> bool:
        """Tell whether the keys should be asked for again."""
        return not self._since <= now < self._due_at

    def counts(self, now: float) -> bool:
        """Tell whether the last good keys still do."""
        return now < self._fetched_at + LAST_GOOD

    def age(self, now: float) -> float | None:
        """Return how old the last good keys are, in seconds; None where there are none."""
        return None if self._fetched_at == -math.inf else max(0.0, now - self._fetched_at)

    def is_busy(self, now: float) -> bool:
        """Tell whether a fetch is on its way, whatever for: joining it costs nothing."""
        return now < self._busy_until

    def has_cooled(self, now: float) -> bool:
        """Tell whether a key that nobody knows may be asked for."""
        return not -_SLACK <= now - self._asked_at < COOLDOWN

    def is_newer(self, moment: float) -> bool:
        """Tell whether the keys were asked for at this moment or after it: asking again would tell nothing new."""
        return self._begun_at >= moment

    def attempting(self, now: float) -> None:
        """Note that a refresh is on its way, so that nobody else begins one."""
        self._busy_until = now + _PATIENCE
        self._put_off(now, _PATIENCE)

    def asking(self, now: float) -> None:
        """Note that a key which nobody knows is asked for."""
        self._busy_until = now + _PATIENCE
        self._asked_at = now

    def succeeded(self, now: float, *, begun: float, life: float) -> None:
        """Note that keys have come that were asked for at `begun`, good for `life` seconds."""
        self._failures, self._busy_until = 0, -math.inf
        self._begun_at, self._fetched_at = begun, now
        # some time before the end, and no two nodes at once
        self._since, self._due_at = now - _SLACK, now + life * (0.8 + 0.15 * self._chance())

    def failed(self, now: float, *, routine: bool) -> None:
        """Note that none have come. After a routine refresh the next one is put off, longer each time."""
        self._failures += 1
        self._busy_until = -math.inf
        if routine:
            pause = min(_FIRST_RETRY * 2.0 ** min(self._failures - 1, 10), _LONGEST_RETRY)
            self._put_off(now, pause * (0.5 + 0.5 * self._chance()))

    def _put_off(self, now: float, seconds: float) -> None:
        ends = self._fetched_at + LAST_GOOD
        # no longer than the last good keys count: nobody may find them counting after that
        self._since, self._due_at = now - _SLACK, min(now + seconds, ends) if now < ends else now + seconds
