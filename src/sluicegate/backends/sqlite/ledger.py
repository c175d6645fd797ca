"""Writes into the embedded store, so that what is acknowledged is on the disk and every reader knows of it.

The order of a write, and why a reader that finds the generation as it last saw it has missed nothing:

1. take the lock of the generation; 2. begin, read, merge, write; 3. commit, synced; 4. set the generation to the last
sequence number of the database; 5. let go of the lock; 6. return, which is the acknowledgement.

A reader notes the generation *before* it reads the database. Say it noted N, and a write was acknowledged later than
that reading. The write's own number M is greater than all before it in the database, the generation became M in step 4,
and the lock keeps numbers in the order of commits: it is M or more from then on. N was set by a write whose commit the
reader has seen; M was committed after the reader's snapshot, so M > N, and the next comparison with N fails. No number
comes twice: AUTOINCREMENT gives none twice, and when a database from before N is put back, the next writer leaps over
what the generation says and moves the horizon, so that everybody reads it whole.

A writer that dies between 3 and 4 has acknowledged nothing; what it wrote stands all the same, is found when readers
next poll, and is shown by the next writer, even by one that changes nothing.

SQLite checkpoints inside a commit, hence under our lock: two of our processes never do at once, which keeps clear of
the defect of SQLite before 3.51.3 that could lose a commit made during another's checkpoint (sqlite.org/wal.html,
"The WAL-Reset Bug").
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, final

from sluicegate.backends.sqlite.file import FAULTS, Handle, StateFiles, last_of
from sluicegate.backends.standing import is_storable, require_storable, stands
from sluicegate.core.revocation import Entry, merge
from sluicegate.errors import StateUnavailable

KEPT: Final = 3600.0
"""Seconds that an expired entry is kept: a clock that leapt ahead and is put right within the hour forgets nothing."""

_GREATEST: Final = 2**62  # more writes than there will be, and within what SQLite counts to

_REMEMBERED: Final = 65_536
"""So many numbers back, rows that only say what was taken away are purged. A reader that slept longer reads all."""

# Each put adds one row, so these keep what has expired from piling up, and each put's work bounded. A swept row leaves
# one that says so: more of those are purged than a sweep can leave.
_SWEPT_AT_ONCE: Final = 32
_PURGED_AT_ONCE: Final = 64


@final
class SqliteLedger:
    """The writing half of the embedded store. Safe between threads: one writes at a time.

    `trouble` is what the last write failed with, "" when it did not.
    """

    def __init__(self, files: StateFiles, *, clock: Callable[[], float]) -> None:
        self._files: Final = files
        self._clock: Final = clock
        self._handle: Handle | None = None
        self.lock: Final = threading.Lock()
        self.trouble = ""

    def put(self, key: str, entry: Entry) -> Entry:
        """Write one entry merged with what stands; return what stands now.

        Raises `InvalidSelector` for a key or value that has no UTF-8 form.
        """
        require_storable(key, entry.value)
        with self._writing() as connection:
            now = self._clock()
            old = _entry_of(connection, key)
            old = old if stands(old, now) else None
            merged = merge(old, entry)
            if merged != old:
                connection.execute(
                    "INSERT OR REPLACE INTO revocation (key, value, expires_at) VALUES (?, ?, ?)",
                    (key, merged.value, merged.expires_at),
                )
            _sweep(connection, now)
            return merged

    def remove(self, key: str) -> bool:
        """Take one entry away; tell whether there was one."""
        if not is_storable(key):
            return False
        with self._writing() as connection:
            old = _entry_of(connection, key)
            connection.execute("DELETE FROM revocation WHERE key = ? AND value IS NOT NULL", (key,))
            return stands(old, self._clock())

    def release(self) -> None:
        """Close the files, under `lock`; the next write opens them again."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def let_go(self) -> None:
        """Close the files unless a write is under way, which notices by itself that they were replaced."""
        if self.lock.acquire(blocking=False):
            try:
                self.release()
            finally:
                self.lock.release()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is there for everybody when the block is left, or none by an exception."""
        within = self._files.write_within
        if not self.lock.acquire(timeout=within):
            raise StateUnavailable(f"{self._files.database} has been busy with other writers for {within:g} s")
        try:
            handle = self._opened()
            with handle.generation.held(within):
                connection = handle.connection
                connection.execute("BEGIN IMMEDIATE")
                _leap(connection, handle.generation.view[0])
                yield connection
                last = last_of(connection)
                connection.execute("COMMIT")
                handle.require_current()  # what was written must be where others look for it
                if handle.generation.view[0] != last:
                    handle.generation.set(last)
            self.trouble = ""
        except FAULTS as error:
            self.release()
            self.trouble = f"{self._files.database}: {error}"
            raise StateUnavailable(self.trouble) from error
        except BaseException:
            self.release()
            raise
        finally:
            self.lock.release()

    def _opened(self) -> Handle:
        if self._handle is not None and not (self._handle.is_ours() and self._handle.is_current()):
            self.release()
        if self._handle is None:
            self._handle = self._files.open()
        return self._handle


def _entry_of(connection: sqlite3.Connection, key: str) -> Entry | None:
    row = connection.execute("SELECT value, expires_at FROM revocation WHERE key = ?", (key,)).fetchone()
    return None if row is None or row[0] is None else Entry(row[0], row[1])


def _leap(connection: sqlite3.Connection, acknowledged: int) -> None:
    """Give no number twice, though an older database was put back: go on after what was acknowledged."""
    if acknowledged > _GREATEST:
        raise sqlite3.DataError(
            "the generation file beside it holds no number; delete that file, nothing is lost with it"
        )
    if last_of(connection) < acknowledged:
        connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'revocation'", (acknowledged + 1,))
        connection.execute("UPDATE history SET horizon = ?", (acknowledged + 1,))


def _sweep(connection: sqlite3.Connection, now: float) -> None:
    connection.execute(
        "DELETE FROM revocation WHERE seq IN (SELECT seq FROM revocation WHERE expires_at <= ? "
        "ORDER BY expires_at LIMIT ?)",
        (now - KEPT, _SWEPT_AT_ONCE),
    )
    past = last_of(connection) - _REMEMBERED
    purged = connection.execute(
        "DELETE FROM revocation WHERE seq IN (SELECT seq FROM revocation WHERE value IS NULL AND seq <= ? LIMIT ?)",
        (past, _PURGED_AT_ONCE),
    )
    if purged.rowcount:
        connection.execute("UPDATE history SET horizon = ? WHERE horizon < ?", (past, past))
