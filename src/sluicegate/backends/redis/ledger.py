"""Writes revocations into one Redis or Valkey, and reads all of them back."""

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.outage import Outage
from sluicegate.backends.redis.pool import Pool
from sluicegate.backends.redis.socket import Connection
from sluicegate.backends.redis.wire import ARRAYS, Reply, Wire, is_error, is_one_of, pack, quoted, text
from sluicegate.backends.standing import is_storable, require_storable, stands
from sluicegate.core.revocation import Entry, decode, encode, merge

WRITE_WITHIN: Final = 5.0
"""Seconds one write or one page of reading may take: nobody's request waits for it, and replicas take their time."""

_PAGE: Final = 500
_PAGE_BYTES: Final = 64 << 20
_CONNECTIONS: Final = 4
_ANSWER_WITHIN: Final = 0.3

_FOR_EVER: Final = -1
_LONGEST: Final = 10**15
"""Milliseconds; Redis refuses a time to live that overflows when its own clock is added."""

# What stands and is no string was written by somebody else, and revokes all that its key selects.
_UNREADABLE: Final = encode(decode(None))


@final
class RedisLedger:
    """A `Ledger`. Safe between threads and after a fork.

    A write is acknowledged when the server has it and, with `durable_replicas`, when so many replicas have it too;
    `timeout`, in seconds, bounds both together. `clock` returns seconds since the epoch.

    A user of the access control list needs EXISTS, GET, PTTL, SCAN, WATCH, UNWATCH, MULTI, EXEC, SET, DEL, and with
    `durable_replicas` WAIT.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float = WRITE_WITHIN,
        durable_replicas: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._wire: Final = Wire(address)
        self._timeout: Final = timeout
        self._replicas: Final = durable_replicas
        self._clock: Final = clock
        self._pool: Final = Pool(
            self._wire, Outage(), size=_CONNECTIONS, timeout=timeout, kinds=ARRAYS, bound=_PAGE_BYTES
        )

    def put(self, key: str, entry: Entry) -> Entry:
        """Write one entry merged with what stands; return what stands now.

        Raises `InvalidSelector` for a key or value that has no UTF-8 form, and `StateUnavailable` when the server, or
        enough of its replicas, cannot be relied on to have it.
        """
        require_storable(key, entry.value)
        deadline = time.monotonic() + self._timeout
        # The connection is this writer's until EXEC has answered: WATCH is a property of the connection.
        with self._pool.lent(deadline) as connection:
            while time.monotonic() < deadline:
                old, raw = self._watched(connection, key, deadline)
                merged = merge(old if stands(old, self._clock()) else None, entry)
                if not stands(merged, self._clock()):
                    # it ended before it was written, and nothing that stands is to be merged with it
                    self._succeeded(connection.exchange(pack("UNWATCH"), 1, deadline)[0])
                    return merged
                # What stays is written as it was, byte for byte, UTF-8 or not.
                value = raw if old is not None and raw is not None and merged.value == old.value else merged.value
                if self._replaced(connection, ("SET", key, value, *self._life(merged, old)), deadline):
                    self._await_replicas(connection, deadline)
                    return merged
        raise self._wire.failure(f"had {key} changed by others again and again, for {self._timeout:g} s")

    def remove(self, key: str) -> bool:
        """Take one entry away; tell whether there was one. Raises `StateUnavailable` as `put` does."""
        if not is_storable(key):
            return False
        deadline = time.monotonic() + self._timeout
        with self._pool.lent(deadline) as connection:
            removed = self._number(connection.exchange(pack("DEL", key), 1, deadline)[0]) > 0
            if removed:
                self._await_replicas(connection, deadline)
            return removed

    def entries(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries whose key begins so, in no order.

        The server is never held up: it is read in pages (SCAN), and a change meanwhile may or may not be seen. One
        entry may come twice when the server resizes its table meanwhile. Raises `StateUnavailable` at any page.
        """
        if not is_storable(prefix):
            return
        pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", prefix.encode()) + b"*"
        cursor: bytes | None = None
        while cursor != b"0":
            cursor, keys = self._page(cursor or b"0", pattern)
            yield from self._standing(keys)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _watched(self, connection: Connection, key: str, deadline: float) -> tuple[Entry | None, bytes | None]:
        """Return what stands, with its very bytes where it is a string; EXEC fails when it changes from now on."""
        request = pack("WATCH", key) + pack("GET", key) + pack("PTTL", key)
        watched, value, left = connection.exchange(request, 3, deadline)
        self._succeeded(watched)
        return self._entry(value, self._number(left)), value if isinstance(value, bytes) else None

    def _entry(self, value: Reply, left: int) -> Entry | None:
        if value is None or left < _FOR_EVER:
            return None
        if is_one_of(value, "WRONGTYPE"):
            written = _UNREADABLE
        else:
            self._succeeded(value)
            if not isinstance(value, bytes):
                raise self._wire.failure("answered what was not asked")
            written = text(value)
        return Entry(written, None if left == _FOR_EVER else self._clock() + left / 1000)

    def _life(self, entry: Entry, old: Entry | None) -> tuple[str | int, ...]:
        """Return the options of SET that end an entry in time.

        PX counts from now, so it is our clock that says how long: the clock by which gates judge `exp`, and which made
        `expires_at`. The server's own may be minutes off without shortening a revocation. Redis 6.0 has no PXAT.
        """
        if entry.expires_at is None or math.isnan(entry.expires_at):
            return ()  # an end that is no number never comes
        if old is not None and entry.expires_at == old.expires_at:
            # An end that stays is not written anew, or it would move a little each time. Should it come before EXEC,
            # that counts as a change of what is watched.
            return ("KEEPTTL",)
        left = (entry.expires_at - self._clock()) * 1000
        return ("PX", max(1, math.ceil(min(left, _LONGEST))))

    def _replaced(self, connection: Connection, command: tuple[str | bytes | int, ...], deadline: float) -> bool:
        """Run one command if what is watched has not changed; tell whether it ran."""
        request = pack("MULTI") + pack(*command) + pack("EXEC")
        begun, queued, done = connection.exchange(request, 3, deadline)
        # A command that is refused (out of memory, read-only) says why when it is queued; EXEC only says that one was.
        for reply in (begun, queued, done):
            self._succeeded(reply)
        if done is None:
            return False
        if not isinstance(done, list) or done != [b"OK"]:
            raise self._wire.failure(f"did not write: {quoted(done)}")
        return True

    def _await_replicas(self, connection: Connection, deadline: float) -> None:
        if not self._replicas:
            return
        # The server's own wait must end before ours, for its answer says how many have it; it looks at its clock ten
        # times a second. Never 0, which would be for ever.
        left = deadline - time.monotonic()
        within = max(1, int((left - min(_ANSWER_WITHIN, left / 2)) * 1000))
        (reply,) = connection.exchange(pack("WAIT", self._replicas, within), 1, deadline)
        reached = self._number(reply)
        if reached < self._replicas:
            raise self._wire.failure(
                f"has the write, but only {reached} of {self._replicas} replicas confirmed it within {within} ms: "
                "it stands now, and a failover could lose it"
            )

    def _page(self, cursor: bytes, pattern: bytes) -> tuple[bytes, list[str]]:
        (reply,) = self._asked([pack("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE)])
        match reply:
            case [bytes() as following, list() as keys]:
                # A key that is not UTF-8 names no token: identifiers have a UTF-8 form.
                return following, [key for raw in keys if (key := _utf8(raw)) is not None]
        raise self._wire.failure("answered what was not asked")

    def _standing(self, keys: Sequence[str]) -> Iterator[tuple[str, Entry]]:
        replies = self._asked([pack(command, key) for key in keys for command in ("GET", "PTTL")])
        for key, value, left in zip(keys, replies[::2], replies[1::2], strict=True):
            entry = self._entry(value, self._number(left))
            if entry is not None:
                yield key, entry

    def _asked(self, commands: Sequence[bytes]) -> list[Reply]:
        if not commands:
            return []
        replies = self._pool.exchange(b"".join(commands), len(commands), time.monotonic() + self._timeout)
        for reply in replies:
            if not is_one_of(reply, "WRONGTYPE"):
                self._succeeded(reply)
        return replies

    def _succeeded(self, reply: Reply) -> None:
        if is_error(reply):
            raise self._wire.failure(f"answered {quoted(reply)}")

    def _number(self, reply: Reply) -> int:
        self._succeeded(reply)
        if type(reply) is not int:
            raise self._wire.failure("answered what was not asked")
        return reply


def _utf8(raw: object) -> str | None:
    try:
        return raw.decode() if isinstance(raw, bytes) else None
    except UnicodeDecodeError:
        return None
