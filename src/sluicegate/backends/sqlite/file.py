"""The files of the embedded store: how they are made, opened, recognised, and told from others put in their place.

======================  =================================================================================
`state.db`              the database: one row a key, and what has to be known about all of them
`state.db-wal`, `-shm`  SQLite's own: its write-ahead log, and the index of it that processes share
`generation`            the number that changes with every write, and the lock of whoever writes
======================  =================================================================================

Each write gives its row a new `seq`, greater than any before it, so a reader asks only for what is greater than what
it knows. What is taken away leaves a row without a value behind, for readers to see.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final, NamedTuple, final
from urllib.parse import quote

from sluicegate.backends.sqlite.generation import Generation, Inode, create, inode_at

_BUSY_WITHIN: Final = 1.0  # in SQLite: only for writers that are not ours, and for recovery after a crash
_APPLICATION: Final = 0x736C7563  # "sluc", so that `file` and we can tell whose database it is
_VERSION: Final = 1

# The checks leave no doubt about what a reader gets, whoever wrote it. The triggers give a write by any SQL client
# its place in the sequence. AUTOINCREMENT: no number is ever used twice, not even that of a row that is gone.
_SCHEMA: Final = (
    """CREATE TABLE revocation (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE CHECK (typeof(key) = 'text'),
        value TEXT CHECK (typeof(value) IN ('text', 'null')),
        expires_at REAL CHECK (typeof(expires_at) IN ('real', 'null'))
    )""",
    "CREATE INDEX revocation_ends ON revocation (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX revocation_removed ON revocation (seq) WHERE value IS NULL",
    """CREATE TRIGGER revocation_removed AFTER DELETE ON revocation WHEN old.value IS NOT NULL BEGIN
        INSERT INTO revocation (key) VALUES (old.key);
    END""",
    """CREATE TRIGGER revocation_changed AFTER UPDATE OF key, value, expires_at ON revocation BEGIN
        UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'revocation';
        UPDATE revocation SET seq = (SELECT seq FROM sqlite_sequence WHERE name = 'revocation') WHERE seq = new.seq;
    END""",
    # id: of this database and its copies. horizon: whoever has read less far must read it whole, for rows that said
    # what was taken away are gone.
    "CREATE TABLE history (id BLOB NOT NULL, horizon INTEGER NOT NULL)",
    "INSERT INTO history VALUES (randomblob(16), 0)",
    "INSERT INTO sqlite_sequence (name, seq) VALUES ('revocation', 0)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_VERSION}",
)

_TABLES: Final = "SELECT count(*) FROM sqlite_master"

FAULTS: Final = (sqlite3.Error, OSError)
"""All that the functions below raise: what a disk, a file or a database does wrong."""


@final
class Handle:
    """The files, open: one connection, one view of the generation. Not safe between threads."""

    def __init__(
        self, connection: sqlite3.Connection, generation: Generation, *, database: Path, inode: Inode | None
    ) -> None:
        self.connection: Final = connection
        self.generation: Final = generation
        self._process: Final = os.getpid()
        self._paths: Final = (database, Path(f"{database}-wal"), Path(f"{database}-shm"))
        # SQLite keeps its own two while a connection is open, so any of them can only change by another's hand. That
        # of the database is from before it was opened: a file put there meanwhile must not pass for it.
        self._inodes: Final = (inode, inode_at(self._paths[1]), inode_at(self._paths[2]))

    def is_ours(self) -> bool:
        """Tell whether this process opened them, rather than one that it was forked from behind Python's back."""
        return self._process == os.getpid()

    def is_current(self) -> bool:
        """Tell whether the files are still those at their paths, none deleted and none put in its place.

        Otherwise each process would go on with a file that others cannot see. Raises `OSError`.
        """
        return tuple(inode_at(path) for path in self._paths) == self._inodes and self.generation.is_current()

    def require_current(self) -> None:
        """Raise `FileNotFoundError` where `is_current` says no."""
        if not self.is_current():
            raise FileNotFoundError(f"{self._paths[0]} or a file beside it was just replaced or deleted")

    def close(self) -> None:
        """Release them. What was not committed is undone."""
        self.connection.close()
        self.generation.close()


@final
class StateFiles:
    """Where the files are. Opens them, and makes them where there never were any.

    `write_within`: seconds that a writer waits for other writers, of this process or another.
    """

    def __init__(self, directory: Path, *, write_within: float) -> None:
        self.directory: Final = directory.absolute()  # a daemon may change its own
        self.write_within: Final = write_within
        self.database: Final = self.directory / "state.db"
        self._generation: Final = self.directory / "generation"
        self._known = False
        self.closed = False

    def open(self) -> Handle:
        """Open the files, each time anew.

        Raises one of `FAULTS`, also for a database that is gone, is not ours, or is of a newer version.
        """
        if self.closed:
            raise FileNotFoundError("the store has been closed")
        if not self._known:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        generation = Generation(self._generation)
        connection = None
        try:
            inode = inode_at(self.database)
            if inode is None:
                inode = self._create(generation)
            connection = _connect(self.database)
            self._prepare(connection, generation)
            handle = Handle(connection, generation, database=self.database, inode=inode)
            handle.require_current()
        except BaseException:
            if connection is not None:
                connection.close()
            generation.close()
            raise
        self._known = True
        return handle

    def _create(self, generation: Generation) -> Inode | None:
        """Make an empty database. A second process that gets here finds the first one's."""
        self._require_new(generation)
        try:
            # EXCL: closing a descriptor of a database that a connection of this process has open would drop
            # SQLite's locks on it
            os.close(create(self.database, os.O_EXCL))
        except FileExistsError:
            pass
        else:
            # the names of what is acknowledged must outlive a loss of power as well
            _sync(self.directory)
            _sync(self.directory.parent)
        return inode_at(self.database)

    def _require_new(self, generation: Generation) -> None:
        # a store that has vanished is not an empty store: an empty one would open every revoked token again
        if self._known or generation.view[0]:
            raise FileNotFoundError(
                f"{self.database} is gone or empty, and with it the revocations it held; put it back, without a "
                f"state.db-wal or -shm from another time beside it, or remove all of {self.directory} and restart, to "
                "begin without them"
            )

    def _prepare(self, connection: sqlite3.Connection, generation: Generation) -> None:
        if not _number(connection, _TABLES):
            with generation.held(self.write_within):
                self._make(connection, generation)
        if _number(connection, "PRAGMA application_id") != _APPLICATION:
            raise sqlite3.DatabaseError(f"{self.database} is not a database of Sluicegate; give another state_dir")
        version = _number(connection, "PRAGMA user_version")
        if version != _VERSION:
            raise sqlite3.DatabaseError(
                f"{self.database} was written by a newer Sluicegate (version {version}, this one knows {_VERSION}); "
                "upgrade this one"
            )
        if _word(connection, "PRAGMA journal_mode") != "wal":  # as in a copy made by VACUUM INTO
            with generation.held(self.write_within):
                self._share(connection)

    def _make(self, connection: sqlite3.Connection, generation: Generation) -> None:
        self._share(connection)
        connection.execute("BEGIN IMMEDIATE")
        if not _number(connection, _TABLES):  # or another process was here first
            self._require_new(generation)
            for statement in _SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")

    def _share(self, connection: sqlite3.Connection) -> None:
        if _word(connection, "PRAGMA journal_mode = WAL") != "wal":
            raise sqlite3.OperationalError(
                f"{self.directory} is on a file system without shared memory or locks; give a state_dir on a local disk"
            )


Identity = tuple[bytes, int]
"""Of a database and its history: `.restore` puts another history in place, and counts the schema version up."""


class State(NamedTuple):
    """What a reader has to know before it reads on: see `_SCHEMA`. `last`: the greatest number ever given."""

    identity: Identity
    horizon: int
    last: int


def state_of(connection: sqlite3.Connection) -> State:
    """Return how far the database is."""
    found = connection.execute(
        "SELECT id, schema_version, horizon, seq FROM history, pragma_schema_version, sqlite_sequence "
        "WHERE sqlite_sequence.name = 'revocation'"
    ).fetchone()
    if found is None:
        raise sqlite3.DatabaseError("the database lacks what every database of Sluicegate has")
    identity, schema, horizon, last = found
    return State((identity, schema), horizon, last)


def last_of(connection: sqlite3.Connection) -> int:
    """Return the greatest sequence number ever given in this database."""
    return _number(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'revocation'")


def _connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(database))}?mode=rw",  # not made here: `StateFiles` says when there may be a new one
        uri=True,
        timeout=_BUSY_WITHIN,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # FULL: a commit returns when the disk has it. The other two: a database is input like any other.
        for pragma in ("synchronous = FULL", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _number(connection: sqlite3.Connection, question: str) -> int:
    answer = connection.execute(question).fetchone()
    if answer is None or not isinstance(answer[0], int):
        raise sqlite3.DatabaseError("the database lacks what every database of Sluicegate has")
    return answer[0]


def _word(connection: sqlite3.Connection, question: str) -> str:
    return str(connection.execute(question).fetchone()[0])


def _sync(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
