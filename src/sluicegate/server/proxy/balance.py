"""Which of several services a request goes to: the one with least to do, of those that answer."""

from collections.abc import Collection, Sequence
from typing import Final, final

from sluicegate.server.proxy.pool import Pool


@final
class Balance:
    """Chooses among services that serve the same, at least two."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools: Final = tuple(pools)
        self._turn = 0

    def choose(self, besides: Collection[Pool] = (), *, may_try: bool = True) -> Pool | None:
        """Return the one for a request; None where those that it was sent to in vain, `besides`, are all there are.

        One that was left alone for long enough is tried with one request, of those that `may_try`: twice is as once.
        Where no such request comes for as long again, any will do, or it would stay out for ever. Where none answers,
        the one whose turn comes first is asked all the same: it may have come back, and to refuse would be to fail for
        certain.
        """
        turn = self._turn = (self._turn + 1) % len(self._pools)
        # equal ones take turns: each is the first in its turn, and `min` takes the first
        left = [pool for pool in self._pools[turn:] + self._pools[:turn] if pool not in besides]
        now = left[0].clock.now if left else 0.0
        well = [pool for pool in left if pool.outage is None or not pool.outage.is_out]
        if len(well) < len(left) and not (besides and well):
            for pool in left:
                if pool.outage is not None and pool.outage.is_due(now, to_any=bool(well) and not may_try):
                    pool.outage.tried(now)
                    return pool
        if well:
            return min(well, key=_in_flight)
        return min(left, key=_until, default=None)


def _in_flight(pool: Pool) -> int:
    return pool.in_flight


def _until(pool: Pool) -> float:
    return 0.0 if pool.outage is None else pool.outage.until
