"""The embedded store: SQLite in a directory, shared by all processes of a machine, answered from memory.

Every process holds a copy of what stands, and asks one mapped number whether the copy is still whole (`generation`).
Once it is not, the next question reads what is new and then answers. Writes are in `sqlite_ledger`, which also says
why nothing can fall between; the files are in `sqlite_file`.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar, final

from sluicegate.backends.changes import Changes
from sluicegate.backends.sqlite import state_dir
from sluicegate.backends.sqlite.file import FAULTS, Handle, Identity, StateFiles, state_of
from sluicegate.backends.sqlite.ledger import KEPT, SqliteLedger
from sluicegate.backends.standing import NONE, is_storable, standing, stands
from sluicegate.core.flow import Hits
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable
from sluicegate.ports import StoreReport

T = TypeVar("T")

_POLL: Final = 0.1
"""Seconds between two looks for what the generation does not tell: other SQL clients, writers that died after their
commit, files that an operator replaced. After an error, also the time until the next attempt."""

_PAGE: Final = 1000
_WORDS: Final = 1024
_WORD: Final = 64

# What `find` compares while nothing is open: never equal.
_UNOPENED: Final[Sequence[int]] = (-1,)
_UNSEEN: Final = -2
_UNREAD: Final = -1

_CHANGES: Final = "SELECT key, value, expires_at FROM revocation WHERE seq > ?"
_STANDING: Final = """SELECT key, value, expires_at FROM revocation
    WHERE value IS NOT NULL AND (expires_at IS NULL OR expires_at > ?)"""  # what a sweep would leave
_FROM: Final = """SELECT key, value, expires_at FROM revocation
    WHERE key >= ? AND value IS NOT NULL ORDER BY key LIMIT ?"""


@final
class SqliteStore:
    """A `StateStore`, `Ledger` and `Inspectable` in `directory`, which is made (0700) where it is missing.

    Making one touches no disk. The first `find` or `inspect` reads all that stands into memory, which takes about two
    seconds for a million entries; done before a fork, the children share it. Safe between threads, and across forks:
    no connection crosses one. `clock` returns seconds since the epoch; `write_within` is how many seconds a write waits
    for other writers before it fails.

    Out of reach means `StateUnavailable`, at once and until the cause is gone: it is looked for ten times a second.
    """

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.time, write_within: float = 5.0) -> None:
        self._files: Final = StateFiles(directory, write_within=write_within)
        self._ledger: Final = SqliteLedger(self._files, clock=clock)
        self._clock: Final = clock
        self._reading: Final = threading.Lock()
        self._handle: Handle | None = None
        self._trouble = ""
        self._since: float | None = None
        # The copy, and how far it goes: of which database, up to which number. Its keys are in a set besides, which
        # keeps the hashes in its own table, where a dict sends each lookup on to two more places in memory: for a
        # million entries a question that finds nothing, as nearly all do, takes 0.4 µs instead of 1.0.
        self._entries: dict[str, Entry] = {}
        self._present: set[str] = set()
        self._identity: Identity | None = None
        self._position = _UNREAD
        # what says that it is whole
        self._generation = _UNOPENED
        self._seen = _UNSEEN
        self._version = _UNSEEN
        self._due = 0.0
        self._words: Final[dict[str, Entry]] = {}
        self._changes: Changes | None = None
        os.register_at_fork(
            before=_weakly(self._suspend),
            after_in_parent=_weakly(self._resume),
            after_in_child=_weakly(self._resume),
        )

    def __len__(self) -> int:
        """Return how many entries are held in memory, with those that have expired and are not swept yet."""
        return len(self._entries)

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Return the keys that stand, each with its value.

        Raises `StateUnavailable` when what is new cannot be read: never answers from what is known to be old.
        """
        # No lock: the number is compared before the copy is taken, so the copy is at least as new as this question.
        if self._generation[0] != self._seen or monotonic() >= self._due:
            self._refresh()
        present = self._present
        if present.isdisjoint(keys):
            return NONE
        return standing(self._entries, tuple(key for key in keys if key in present), self._clock())

    def put(self, key: str, entry: Entry) -> Entry:
        """Write one entry merged with what stands; return what stands now. Waits for the disk.

        Raises `InvalidSelector` for a key or value that has no UTF-8 form, and `StateUnavailable`.
        """
        return self._ledger.put(key, entry)

    def remove(self, key: str) -> bool:
        """Take one entry away; tell whether there was one. Waits for the disk.

        Raises `StateUnavailable`.
        """
        return self._ledger.remove(key)

    def entries(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Iterate over the entries whose key begins so, read page by page: each page as it stands when it is read.

        Raises `StateUnavailable`.
        """
        now = self._clock()
        after = prefix if is_storable(prefix) else None
        while after is not None:
            page = self._page(after)
            # the least string that is greater, in code points as in bytes of UTF-8
            after = f"{page[-1][0]}\0" if len(page) == _PAGE else None
            for key, value, expires_at in page:
                if not key.startswith(prefix):
                    return
                entry = Entry(value, expires_at)
                if stands(entry, now):
                    yield key, entry

    def inspect(self) -> StoreReport:
        """Say whether `find` can answer, whether the last write could, and whether the directory is a safe place."""
        try:
            self.find(())
        except StateUnavailable as error:
            return StoreReport(kind="embedded", reachable=False, since=self._since, warnings=(str(error),))
        found = state_dir.warnings(self._files.directory)
        if trouble := self._ledger.trouble:
            found = (f"the last revocation could not be written: {trouble}", *found)
        return StoreReport(kind="embedded", reachable=True, warnings=found)

    def watch(self) -> Changes:
        """Return where every key is noted from now on, when `find` reads that it has come to stand; for one watcher."""
        self._changes = Changes()
        return self._changes

    def close(self) -> None:
        """Release the files. Every question after it is answered with `StateUnavailable`."""
        self._files.closed = True
        self._suspend()
        self._resume()

    def _refresh(self) -> None:
        with self._reading:
            waiting = monotonic() < self._due
            if waiting and self._generation[0] == self._seen:
                return  # another thread was here first
            if waiting and self._trouble:
                raise StateUnavailable(self._trouble)
            self._attempt(self._catch_up)

    def _page(self, after: str) -> list[tuple[str, str, float | None]]:
        with self._reading:
            return self._attempt(lambda: self._opened().connection.execute(_FROM, (after, _PAGE)).fetchall())

    def _attempt(self, read: Callable[[], T]) -> T:
        """Read, under the lock. Any failure closes the files, and the next attempt opens them anew."""
        try:
            answer = read()
        except FAULTS as error:
            self._release()
            self._trouble = f"{self._files.database}: {error}"
            self._since = self._clock() if self._since is None else self._since
            self._due = monotonic() + _POLL
            raise StateUnavailable(self._trouble) from error
        except BaseException:
            self._release()  # interrupted, perhaps within a snapshot that would never end
            raise
        self._trouble, self._since = "", None
        return answer

    def _catch_up(self) -> None:
        handle = self._opened()
        # both before the rows, so that what is written meanwhile is asked for once more
        generation = handle.generation.view[0]
        version = handle.connection.execute("PRAGMA data_version").fetchone()[0]
        if (generation, version) != (self._seen, self._version):
            handle.connection.execute("BEGIN")
            self._read(handle)
            handle.connection.execute("COMMIT")
        self._version = version
        self._due = monotonic() + _POLL
        self._generation = handle.generation.view
        self._seen = generation

    def _read(self, handle: Handle) -> None:
        """Bring the copy to where the database is, in one snapshot of it.

        Failing half way leaves it fit to be read on from where it was: the same rows are only set once more.
        """
        state = state_of(handle.connection)
        # Another database or another history of it, or one so far ahead that it no longer tells what was taken away, or
        # set back (then the next writer leaps over what was acknowledged): read whole.
        continues = state.identity == self._identity and state.horizon <= self._position <= state.last
        if continues:
            for key, value, expires_at in handle.connection.execute(_CHANGES, (self._position,)):
                # a key is present only while it has an entry, for threads that ask meanwhile
                if value is None:
                    self._present.discard(key)
                    self._entries.pop(key, None)
                else:
                    self._entries[key] = self._entry(value, expires_at)
                    self._present.add(key)
                    self._note(key)
        else:
            rows = handle.connection.execute(_STANDING, (self._clock() - KEPT,))
            self._entries = {key: self._entry(value, expires_at) for key, value, expires_at in rows}
            self._present = set(self._entries)
            self._note("")
        self._identity, self._position = state.identity, state.last

    def _note(self, key: str) -> None:
        if self._changes is not None:
            self._changes.note(key)

    def _entry(self, value: str, expires_at: float | None) -> Entry:
        # a million revocations have a handful of reasons: one string for each, and one entry where it never ends
        shared = self._words.get(value)
        if shared is None:
            shared = Entry(value)
            if len(value) <= _WORD and len(self._words) < _WORDS:
                self._words[value] = shared
        return shared if expires_at is None else Entry(shared.value, expires_at)

    def _opened(self) -> Handle:
        if self._handle is not None:
            if not self._handle.is_ours():
                self._release()
            elif not self._handle.is_current():
                # What stands now is for the files there are now to say. A log that was deleted is replaced only when
                # nobody keeps it open, and until then every new connection fails.
                self._release()
                self._ledger.let_go()
                self._position = _UNREAD
        if self._handle is None:
            self._handle = self._files.open()
        return self._handle

    def _release(self) -> None:
        self._generation, self._seen = _UNOPENED, _UNSEEN
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    # SQLite keeps what it knows of its locks in the memory of a process, and the locks themselves end at a fork. So a
    # child that went on with a connection, or opened another beside it, would believe in locks that it does not have,
    # and the last other process to close would delete the log that the child is writing to: acknowledged writes would
    # be gone (sqlite.org/howtocorrupt.html, 2.6). Hence nothing is open across a fork; each side opens its own when
    # it next needs to. Holding both locks, nobody is half way through anything. This costs the way of a request
    # nothing, where asking for the process id would cost it more than the lookup does.

    def _suspend(self) -> None:
        self._reading.acquire()
        self._ledger.lock.acquire()
        self._release()
        self._ledger.release()

    def _resume(self) -> None:
        self._ledger.lock.release()
        self._reading.release()


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Call the method for as long as its object lives: what is registered for forks stays registered."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if (alive := reference()) is not None:
            alive()

    return call
