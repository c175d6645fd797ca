"""Calls over HTTP/1.1 from threads: blocking sockets, kept for the next call, each call with one end for everything.

A socket's own timeout is for one read, so a server that trickles outlasts it for ever. Here every step gets what is
left of the whole, the resolver included.
"""

import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, final

from sluicegate.backends.http.call import Origin, Reading, Silence, Target, Trust, failure_of, request_of, target_of
from sluicegate.core.flow import Call, Reply
from sluicegate.errors import FetchFailed

MOST_IDLE: Final = 32
"""Kept to one origin; there are never more connections than threads that call."""

KEPT_IDLE: Final = 30.0
_PIECE: Final = 65_536
_SOON: Final = 0.001

_Kept = tuple[socket.socket, float]
_Left = Callable[[], float]
"""Seconds left for the call; raises `TimeoutError` when there are none."""


@final
class ThreadFetcher:
    """Fetches for threads, which share what connections are kept."""

    def __init__(self, trust: Trust | None = None) -> None:
        self._trust: Final = trust or Trust()
        self._lock = threading.Lock()
        self._idle: dict[tuple[Origin, str], list[_Kept]] = {}
        self._process = os.getpid()

    def fetch(self, call: Call) -> Reply:
        """Make one call. Raises `FetchFailed`."""
        target = target_of(call.url)
        request = request_of(call, target)
        ends = time.monotonic() + call.timeout

        def left() -> float:
            remaining = ends - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            return remaining

        try:
            return self._exchange(call, target, request, left)
        except TimeoutError:
            raise FetchFailed("timeout", f"no whole answer within {call.timeout:g} s") from None

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            kept, self._idle = self._idle, {}
        for connections in kept.values():
            for connection, _ in connections:
                connection.close()

    def _exchange(self, call: Call, target: Target, request: bytes, left: _Left) -> Reply:
        key = (target.origin, call.reach)
        while True:
            kept = self._take(key)
            connection = kept or self._connect(call, target, left)
            reading = Reading(call.max_bytes)
            try:
                _converse(connection, request, reading, left)
            except TimeoutError:
                raise
            except OSError as error:
                if kept is not None and not reading.has_begun:
                    continue  # the server had let it go; ends with the first new connection
                raise failure_of(error) from None
            finally:
                self._give(key, connection, keep=reading.keeps_open)
            return reading.reply

    def _take(self, key: tuple[Origin, str]) -> socket.socket | None:
        if self._process != os.getpid():
            # two processes on one connection would read each other's answers
            self._lock, self._idle, self._process = threading.Lock(), {}, os.getpid()
        now = time.monotonic()
        while True:
            with self._lock:
                connections = self._idle.get(key)
                if not connections:
                    return None
                connection, since = connections.pop()
            if now - since <= KEPT_IDLE and Silence(connection.fileno()):
                return connection
            connection.close()

    def _give(self, key: tuple[Origin, str], connection: socket.socket, *, keep: bool) -> None:
        with self._lock:
            connections = self._idle.setdefault(key, [])
            if keep and len(connections) < MOST_IDLE:
                connections.append((connection, time.monotonic()))
                return
        connection.close()

    def _connect(self, call: Call, target: Target, left: _Left) -> socket.socket:
        origin = target.origin
        context = self._trust.context(origin)
        addresses = self._trust.allowed(call, _resolve(origin, left))
        failed = FetchFailed("connection", "no connection")
        for more, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                # an address that swallows everything must leave time for the next one
                ends = time.monotonic() + left() / more
                raw = socket.create_connection((address, origin.port), timeout=left() / more)
                return raw if context is None else _wrapped(raw, context, origin.host, ends - time.monotonic())
            except OSError as error:
                failed = failure_of(error)
        left()
        raise failed


def _wrapped(raw: socket.socket, context: ssl.SSLContext, host: str, seconds: float) -> ssl.SSLSocket:
    try:
        raw.settimeout(max(seconds, _SOON))  # the whole handshake, not one read of it
        return context.wrap_socket(raw, server_hostname=host)
    except OSError:
        raw.close()
        raise


def _converse(connection: socket.socket, request: bytes, reading: Reading, left: _Left) -> None:
    connection.settimeout(left())
    connection.sendall(request)
    while True:
        connection.settimeout(left())
        data = connection.recv(_PIECE)
        if not data:
            if not reading.has_begun:
                raise ConnectionResetError("closed before it answered")
            reading.end()
            return
        if reading.feed(data):
            return


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _resolve(origin: Origin, left: _Left) -> list[str]:
    """Resolve a host in a thread of its own: nothing else bounds the system's resolver."""
    if _is_address(origin.host):
        return [origin.host]
    answer: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answer.put(error)
        else:
            answer.put([str(entry[4][0]) for entry in found])

    threading.Thread(target=resolve, daemon=True).start()
    try:
        found = answer.get(timeout=left())
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError | UnicodeError):
        raise failure_of(found) from None
    return found
