"""Tickets on a disk of this machine, shared by its processes: `tickets.db` in the state directory."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, final
from urllib.parse import quote

from sluicegate.backends.sqlite.generation import create
from sluicegate.errors import StateUnavailable

MOST_OF_ONE: Final = 100
"""Tickets that one subject may be given while they could be used."""
MOST: Final = 100_000
"""Tickets that all may be given, likewise."""

_BUSY_WITHIN: Final = 0.25
# what was taken stays until its time is over, and counts: so the bound is one on how often tickets are asked for
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS ticket (
        name TEXT PRIMARY KEY, subject TEXT NOT NULL, ends REAL NOT NULL, record BLOB
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS ticket_subject ON ticket (subject)",
    "CREATE INDEX IF NOT EXISTS ticket_ends ON ticket (ends)",
)


@final
class SqliteTickets:
    """A `TicketLedger` in `directory`. A ticket is taken under the file's lock, so by one of all who try.

    Nothing waits for the disk: tickets that a loss of power takes away are asked for again.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], float] = time.time,
        most_of_one: int = MOST_OF_ONE,
        most: int = MOST,
    ) -> None:
        self._path: Final = directory.absolute() / "tickets.db"
        self._clock: Final = clock
        self._most_of_one: Final = most_of_one
        self._most: Final = most
        self._open: sqlite3.Connection | None = None

    def put(self, name: str, record: bytes, *, subject: str, seconds: int) -> bool:
        """Keep a record for so long; tell whether it is kept. Raises `StateUnavailable`."""
        now = self._clock()
        try:
            execute = self._connection().execute
            execute("DELETE FROM ticket WHERE ends <= ?", (now,))
            # one statement, so that many who ask at the same time do not pass the bound together
            kept = execute(
                "INSERT INTO ticket SELECT ?, ?, ?, ? "
                "WHERE (SELECT count(*) FROM ticket WHERE subject = ?) < ? AND (SELECT count(*) FROM ticket) < ?",
                (name, subject, now + seconds, record, subject, self._most_of_one, self._most),
            ).rowcount
        except (OSError, sqlite3.Error) as error:
            raise StateUnavailable(f"tickets cannot be kept: {error}") from error
        return kept == 1

    def take(self, name: str) -> bytes | None:
        """Return a record, and never again; None where there is none. Raises `StateUnavailable`."""
        try:
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")  # from here on nobody else takes it
            try:
                found = connection.execute(
                    "SELECT record FROM ticket WHERE name = ? AND ends > ?", (name, self._clock())
                ).fetchone()
                connection.execute("UPDATE ticket SET record = NULL WHERE name = ?", (name,))
            finally:
                connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise StateUnavailable(f"tickets cannot be read: {error}") from error
        record: bytes | None = None if found is None else found[0]
        return record

    def close(self) -> None:
        """Release the file."""
        if self._open is not None:
            self._open.close()

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(create(self._path))
            connection = sqlite3.connect(
                f"file:{quote(os.fsencode(self._path))}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=_BUSY_WITHIN,
                check_same_thread=False,
            )
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF", *_SCHEMA):
                connection.execute(statement)
            self._open = connection
        return self._open
