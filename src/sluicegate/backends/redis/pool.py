"""Blocking connections to one Redis or Valkey, shared by the threads of a process."""

import os
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, final

from sluicegate.backends.redis.outage import CONNECT_WITHIN, Outage
from sluicegate.backends.redis.socket import Connection
from sluicegate.backends.redis.wire import MAX_REPLY_BYTES, SCALARS, Reply, Wire
from sluicegate.errors import StateUnavailable

# how a server that is gone, or has closed an idle connection, shows when one writes to it or reads from it
_HUNG_UP: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


class _Lot:
    """The connections of one process. `count` is all of them: idle, lent, and the one being made."""

    def __init__(self) -> None:
        self.condition: Final = threading.Condition()
        self.idle: Final[list[Connection]] = []
        self.count = 0
        self.dial_began: float | None = None
        self.is_closed = False


@final
class Pool:
    """At most `size` connections; the one used last is lent first. At the bound callers wait, until their deadlines.

    One connection is made at a time, in a thread of its own: resolving a host name knows no deadline, and a TLS
    handshake may take longer than one question may wait. Whoever needs a connection waits for it together with the
    others, and when it takes longer than `timeout` they fail at once until it is there.

    Connections never cross a fork: each process has its own. Safe between threads.
    """

    def __init__(
        self,
        wire: Wire,
        outage: Outage,
        *,
        size: int,
        timeout: float,
        kinds: bytes = SCALARS,
        bound: int = MAX_REPLY_BYTES,
    ) -> None:
        self._wire: Final = wire
        self._outage: Final = outage
        self._size: Final = size
        self._timeout: Final = timeout
        self._kinds: Final = kinds
        self._bound: Final = bound
        self._lots: Final = {os.getpid(): _Lot()}

    def exchange(self, request: bytes, count: int, deadline: float) -> list[Reply]:
        """Send commands that change nothing, and return their replies.

        `deadline` is a reading of `time.monotonic`. When the server hangs up meanwhile, they are sent once more on a
        new connection: one that closes idle connections, or was restarted, is not one that does not answer. Raises
        `StateUnavailable`.
        """
        try:
            with self._lent(deadline) as connection:
                return connection.exchange(request, count, deadline)
        except _HUNG_UP:
            # the idle ones are older than the one that was cut off
            self._drop_idle(self._here())
        except OSError as error:
            raise self._translated(error) from error
        with self.lent(deadline) as connection:
            return connection.exchange(request, count, deadline)

    @contextmanager
    def lent(self, deadline: float) -> Iterator[Connection]:
        """Lend one connection for the block. It comes back when the block ends well, and is closed when it does not.

        Raises `StateUnavailable` for whatever the connection raises, and when none is to be had before the deadline.
        """
        try:
            with self._lent(deadline) as connection:
                yield connection
        except OSError as error:
            raise self._translated(error) from error

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back. Questions fail from now on."""
        lot = self._here()
        with lot.condition:
            lot.is_closed = True
            lot.condition.notify_all()
        self._drop_idle(lot)

    @contextmanager
    def _lent(self, deadline: float) -> Iterator[Connection]:
        lot = self._here()
        connection = self._taken(lot, deadline)
        try:
            yield connection
        except BaseException:
            # also when a signal handler raised in mid-question: the answer is still to come
            connection.is_spent = True
            raise
        finally:
            self._give_back(lot, connection)

    def _taken(self, lot: _Lot, deadline: float) -> Connection:
        with lot.condition:
            while True:
                if lot.is_closed:
                    raise self._wire.failure("is not asked any more: this store was closed")
                while lot.idle:
                    connection = lot.idle.pop()
                    if connection.is_quiet():
                        return connection
                    self._forget(lot, connection)
                now = time.monotonic()
                self._dial_if_useful(lot, now)
                if not lot.condition.wait(max(0.0, deadline - now)):
                    raise self._late()

    def _give_back(self, lot: _Lot, connection: Connection) -> None:
        with lot.condition:
            if connection.is_spent or lot.is_closed:
                self._forget(lot, connection)
            else:
                lot.idle.append(connection)
            lot.condition.notify()

    def _dial_if_useful(self, lot: _Lot, now: float) -> None:
        """Under the lock: see to it that a connection is on its way, or raise `StateUnavailable` where none is."""
        if lot.dial_began is not None:
            if lot.count == 1 and now - lot.dial_began >= self._timeout:
                raise self._wire.failure(f"has not let us in for {now - lot.dial_began:.2f} s")
        elif lot.count < self._size:
            if not self._outage.is_resting(now):
                self._start_dialling(lot, now)
            elif lot.count == 0:
                raise StateUnavailable(self._outage.cause)

    def _start_dialling(self, lot: _Lot, now: float) -> None:
        thread = threading.Thread(target=self._dial, args=(lot, now), name="sluicegate-redis", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is on its way out
            raise self._wire.failure(f"cannot be dialled: {error}") from error
        # the thread cannot have ended before: it needs the lock, which we hold
        lot.dial_began = now
        lot.count += 1

    def _dial(self, lot: _Lot, began: float) -> None:
        made: Connection | None = None
        within = max(self._timeout, CONNECT_WITHIN)
        try:
            made = Connection(self._wire, began + within, kinds=self._kinds, bound=self._bound)
        except OSError as error:
            self._outage.dial_failed(str(self._wire.failed(error)), began=began)
        except StateUnavailable as error:
            self._outage.dial_failed(str(error), began=began)
        else:
            self._outage.dialled()
        finally:
            with lot.condition:
                lot.dial_began = None
                if made is None:
                    lot.count -= 1
                elif lot.is_closed:
                    self._forget(lot, made)
                else:
                    lot.idle.append(made)
                lot.condition.notify_all()

    def _drop_idle(self, lot: _Lot) -> None:
        with lot.condition:
            while lot.idle:
                self._forget(lot, lot.idle.pop())

    @staticmethod
    def _forget(lot: _Lot, connection: Connection) -> None:
        connection.close()
        lot.count -= 1

    def _here(self) -> _Lot:
        """Return the connections of this process. One that was forked off begins with none."""
        pid = os.getpid()
        lot = self._lots.get(pid)
        if lot is None:
            lot = self._lots.setdefault(pid, _Lot())  # one winner among the threads that come here at once
            for process in list(self._lots):
                # The parent's lock may be held for ever by a thread that does not exist here. Nothing of it is touched
                # but its sockets, and they are closed, not shut down: the parent goes on using them.
                parents = None if process == pid else self._lots.pop(process, None)
                for connection in () if parents is None else parents.idle:
                    connection.close()
        return lot

    def _translated(self, error: OSError) -> StateUnavailable:
        return self._late() if isinstance(error, TimeoutError) else self._wire.failed(error)

    def _late(self) -> StateUnavailable:
        return self._wire.late(self._timeout)
