"""Tickets in Redis or Valkey, for gateways that share one: what one has given out works at any of them, once."""

import asyncio
import time
from typing import Final, final

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.outage import Outage
from sluicegate.backends.redis.pool import Pool
from sluicegate.backends.redis.wire import ARRAYS, Reply, Wire, is_error, pack

PREFIX: Final = "sluicegate:ticket:"
"""What every key begins with; apart from all that revokes."""

MOST_OF_ONE: Final = 100
"""Tickets that one subject is given in the time that one of them waits."""
MOST: Final = 100_000
"""Tickets that all are given, likewise."""

WITHIN: Final = 1.0
"""Seconds that one ticket may take: a person opens a page with it."""

_CONNECTIONS: Final = 4


@final
class RedisTickets:
    """A `TicketLedger`. It asks in threads, over connections of its own: what is rare must not delay decisions.

    A record is taken in one transaction, so by one of all who try, on whatever node; one that is sent again because
    the server hung up takes nothing twice. After a failover to a replica that had not heard of it, a ticket could be
    used again for what is left of its time. A user of the access control list needs SET, INCR, GET, DEL, MULTI and EXEC
    for keys that begin with `PREFIX`.
    """

    def __init__(self, address: Address, *, most_of_one: int = MOST_OF_ONE, most: int = MOST) -> None:
        self._wire: Final = Wire(address)
        self._most_of_one: Final = most_of_one
        self._most: Final = most
        self._pool: Final = Pool(self._wire, Outage(time.time), size=_CONNECTIONS, timeout=WITHIN, kinds=ARRAYS)

    async def put(self, name: str, record: bytes, *, subject: str, seconds: int) -> bool:
        """Keep a record for so long; tell whether it is kept. Raises `StateUnavailable`."""
        return await asyncio.to_thread(self._put, name, record, subject, seconds)

    async def take(self, name: str) -> bytes | None:
        """Return a record, and never again; None where there is none. Raises `StateUnavailable`."""
        return await asyncio.to_thread(self._take, name)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _put(self, name: str, record: bytes, subject: str, seconds: int) -> bool:
        counts = (f"{PREFIX}of:{subject}", f"{PREFIX}all")
        # in one transaction: a count that ran out between the two commands would begin anew, and never end
        counting = [pack("SET", key, 0, "EX", seconds, "NX") + pack("INCR", key) for key in counts]
        *_, counted = self._asked(pack("MULTI") + b"".join(counting) + pack("EXEC"), 6)
        match counted:
            case [_, int(own), _, int(total)]:
                if own > self._most_of_one or total > self._most:
                    return False
            case _:
                raise self._wire.failure("does not count tickets")
        (kept,) = self._asked(pack("SET", f"{PREFIX}{name}", record, "EX", seconds, "NX"), 1)
        return kept is not None

    def _take(self, name: str) -> bytes | None:
        key = f"{PREFIX}{name}"
        asked = pack("MULTI") + pack("GET", key) + pack("DEL", key) + pack("EXEC")
        *_, taken = self._asked(asked, 4)
        found = taken[0] if isinstance(taken, list) and taken else None
        return found if isinstance(found, bytes) else None

    def _asked(self, asked: bytes, count: int) -> list[Reply]:
        replies = self._pool.exchange(asked, count, time.monotonic() + WITHIN)
        for reply in replies:
            if is_error(reply):
                raise self._wire.failure("does not keep tickets")
        return replies
