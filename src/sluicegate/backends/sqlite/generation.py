"""A number in a mapped file that every process of the machine sees change, and the lock under which it changes.

Looking at it is one load from memory. It lies beside the database and holds the sequence number of the last write
that may have been acknowledged; `sqlite_ledger` says in which order the two are written, and why.
"""

import fcntl
import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

_NUMBER: Final = struct.Struct("=Q")
_FIRST_PAUSE: Final = 0.0002
_LONGEST_PAUSE: Final = 0.005

Inode = tuple[int, int]
"""Device and number: what tells one file from another for as long as somebody has it open."""


@final
class Generation:
    """The number, as `view[0]`. Not safe between threads but for reading; each owner opens its own.

    Opening creates the file where it is missing. Raises `OSError`.
    """

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._file: Final = _open(path)
        try:
            # growing never touches what another process may have written already, as writing a zero would
            if os.fstat(self._file).st_size < _NUMBER.size:
                os.ftruncate(self._file, _NUMBER.size)
            self.inode: Final = _inode_of(os.fstat(self._file))
            mapped = mmap.mmap(self._file, _NUMBER.size, prot=mmap.PROT_READ)
        except BaseException:
            os.close(self._file)
            raise
        # Aligned to eight bytes, so a load sees the old number or the new. The mapping lives as long as a view of it
        # does: a thread that still looks at a closed one sees an old number, never unmapped memory.
        self.view: Final = memoryview(mapped).cast("Q")

    def is_current(self) -> bool:
        """Tell whether the file is still the one at its path."""
        return inode_at(self._path) == self.inode

    @contextmanager
    def held(self, within: float) -> Iterator[None]:
        """Hold the lock that one owner in all processes can hold; it ends with its process, however that ends.

        Raises `TimeoutError` (an `OSError`) when it is not free within so many seconds.
        """
        # `flock`, not `lockf`: POSIX locks would not keep two stores of one process apart, and closing any
        # descriptor of the file would drop them
        deadline = time.monotonic() + within
        pause = _FIRST_PAUSE
        while not self._try_lock():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self._path} has been locked by another writer for {within:g} s")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def set(self, number: int) -> None:
        """Show this number to all. Only under the lock. Raises `OSError`."""
        # by `pwrite`: on a full disk a store into the mapping would end the process with SIGBUS
        os.pwrite(self._file, _NUMBER.pack(number), 0)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def inode_at(path: Path) -> Inode | None:
    """Return the inode at a path, None where there is none. Raises `OSError` when that cannot be told."""
    try:
        return _inode_of(path.stat())
    except FileNotFoundError:
        return None


def _inode_of(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino


def create(path: Path, flags: int = 0) -> int:
    """Open a file for reading and writing, readable by its owner only if it is new; return the descriptor."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    if os.geteuid() == 0:
        # what root makes from the command line, the service that owns the directory must be able to open
        owner = path.parent.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return create(path)
