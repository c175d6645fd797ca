"""The history of event streams on a disk of this machine: a reader that comes back after a restart misses nothing.

`events.db` in the state directory, apart from the store beside it: an event may be lost with the power, a revocation
may not. Each event is committed before its publisher has an answer, without waiting for the disk, which takes some
twenty microseconds: it outlives the process however that ends. One process has the file at a time.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final
from urllib.parse import quote

from sluicegate.backends.sqlite.generation import create
from sluicegate.ports import EventId, Kept

_VERSION: Final = 1
_SCHEMA: Final = (
    # lost: up to this id something may be missing, so whoever has less is told of a gap
    "CREATE TABLE topic (name TEXT PRIMARY KEY, lost_ms INTEGER NOT NULL, lost_number INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE event (
        topic TEXT NOT NULL, ms INTEGER NOT NULL, number INTEGER NOT NULL, wrapped BLOB NOT NULL,
        PRIMARY KEY (topic, ms, number)
    ) WITHOUT ROWID""",
    f"PRAGMA user_version = {_VERSION}",
)


@final
class SqliteEvents:
    """An `EventLog` in `directory`, which is made (0700) where it is missing.

    Raises `OSError` or `sqlite3.Error` where it cannot be opened; `BlockingIOError` while another process has it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory.absolute() / "events.db"
        self._lock: Final = create(path.with_suffix(".lock"))
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(create(path))
            self._connection: Final = sqlite3.connect(
                f"file:{quote(os.fsencode(path))}?mode=rw", uri=True, isolation_level=None, timeout=1
            )
            self._prepare()
        except BaseException:
            os.close(self._lock)
            raise

    def _prepare(self) -> None:
        execute = self._connection.execute
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "trusted_schema = OFF", "cell_size_check = ON"):
            execute(f"PRAGMA {pragma}")
        (version,) = execute("PRAGMA user_version").fetchone()
        if version == 0:
            execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                execute(statement)
            execute("COMMIT")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"events.db is of version {version}, and this one knows {_VERSION}")

    def load(self, most: int) -> Iterator[tuple[str, EventId, list[Kept]]]:
        """Iterate over the topics: each with the id up to which something may be missing, and its last events."""
        for name, *lost in self._connection.execute("SELECT name, lost_ms, lost_number FROM topic").fetchall():
            rows = self._connection.execute(
                "SELECT ms, number, wrapped FROM event WHERE topic = ? ORDER BY ms DESC, number DESC LIMIT ?",
                (name, most + 1),
            ).fetchall()
            yield name, (lost[0], lost[1]), [((ms, number), wrapped) for ms, number, wrapped in reversed(rows)]

    def keep(self, topic: str, event: Kept, lost: EventId) -> bool:
        """Keep an event; tell whether it is kept: not on a disk that is full or gone."""
        (ms, number), wrapped = event
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            execute("INSERT OR IGNORE INTO topic VALUES (?, ?, ?)", (topic, *lost))
            execute("INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?)", (topic, ms, number, wrapped))
            execute("COMMIT")
        except sqlite3.Error:
            self._undo()
            return False
        return True

    def forget(self, topic: str, lost: EventId, *, wholly: bool) -> None:
        """Drop what a topic has lost: everything up to this id; `wholly`: and the topic too."""
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            execute("DELETE FROM event WHERE topic = ? AND (ms, number) <= (?, ?)", (topic, *lost))
            if wholly:
                execute("DELETE FROM topic WHERE name = ?", (topic,))
            else:
                execute("UPDATE topic SET lost_ms = ?, lost_number = ? WHERE name = ?", (*lost, topic))
            execute("COMMIT")
        except sqlite3.Error:
            self._undo()  # it is tried again with the next sweep; until then there is more than there need be

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
        os.close(self._lock)
