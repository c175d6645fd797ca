"""TLS between a client and its `Connection`: a protocol to the socket, a transport to whoever speaks HTTP.

Not the event loop's own TLS, for four reasons. A client in its handshake counts as a connection here, and has a
deadline that the sweep keeps. What came before the handshake, or with it, is fed to it as it is. An idle connection
keeps no buffers: uvloop's has one of 256 KiB. And a client can be told why it is turned away.
"""

import asyncio
import ssl
from contextlib import suppress
from typing import Any, Final, cast, final

from sluicegate.engine import new_id
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared import MOST_TURNED_AWAY, Shared, half_close, reset
from sluicegate.server.wire.hello import NO_APPLICATION_PROTOCOL, Hello
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.respond import last_words, problem

ALPN: Final = ("http/1.1",)

_NAMES: Final = frozenset(name.encode() for name in ALPN)
_RECORD: Final = 16_384  # RFC 8446, 5.1: no record holds more
# OpenSSL's buffers grow to what was once put into them and never shrink, so they are given a little at a time: an idle
# connection then holds 20 to 30 KB, and not as much as its largest answer had.
_SLICE: Final = 8192
_NEVER: Final = float("inf")


@final
class TlsLink(asyncio.Transport, asyncio.Protocol):
    """One client's connection, encrypted. `inside` is made known to it once the handshake is over."""

    __slots__ = (
        "_backlog",
        "_closing",
        "_deadline",
        "_ended",
        "_hello",
        "_incoming",
        "_inside",
        "_open",
        "_outgoing",
        "_paused",
        "_raw",
        "_reading",
        "_shared",
        "_shut",
        "_tls",
        "_told",
    )

    def __init__(self, shared: Shared, context: ssl.SSLContext, inside: Connection) -> None:
        super().__init__()
        self._shared: Final = shared
        self._inside = inside
        self._incoming: Final = ssl.MemoryBIO()
        self._outgoing: Final = ssl.MemoryBIO()
        self._tls: Final = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._raw: asyncio.Transport
        self._deadline = _NEVER
        self._backlog: bytes | memoryview = b""  # what has come and OpenSSL has not been given
        self._hello: Hello | None = Hello()  # until the client's first message is whole
        self._open = False  # the handshake is over
        self._reading = False  # in the loop that decrypts
        self._paused = False
        self._ended = False  # the client sends no more
        self._told = False  # and whoever is inside knows that
        self._shut = False  # we send no more
        self._closing = False

    # the event loop calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a handshake, unless the house is more than full."""
        self._raw = cast("asyncio.Transport", transport)
        self._deadline = self._shared.clock.now + self._shared.limits.head_time
        if self._shared.enter(self) > MOST_TURNED_AWAY:
            self._raw.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever is inside; a handshake is simply over."""
        self._closing = True
        if self._open:
            self._inside.connection_lost(exc)
            del self._inside  # it holds us, too
        else:
            self._shared.leave(self)

    def data_received(self, data: bytes) -> None:
        """Decrypt and pass on; in a handshake, go on with it."""
        if self._closing or self._ended or self._shut:
            return
        self._backlog = data if not self._backlog else bytes(self._backlog) + data
        if self._open:
            self._decrypt()
        elif self._hello is None or self._is_greeted(self._hello, self._backlog):
            self._shake_hands()

    def eof_received(self) -> bool:
        """Tell whether the client may still read: TCP says that it sends no more, whether or not TLS had said so."""
        if not self._open or self._closing or self._shut:
            return False
        self._ended = True
        self._tell_end()
        return not self._closing

    def pause_writing(self) -> None:
        """The client is slow."""
        if self._open:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._open:
            self._inside.resume_writing()

    # the handshake

    def _is_greeted(self, hello: Hello, data: bytes) -> bool:
        """Tell whether the first message is whole, of a client that wants to speak what is spoken inside."""
        try:
            names = hello.read(data)
        except Malformed:
            self._turn_away(data)
            return False
        if names is None:
            return False
        self._hello = None
        if names and _NAMES.isdisjoint(names):
            self._raw.write(NO_APPLICATION_PROTOCOL)
            self._end()
            return False
        return True

    def _turn_away(self, data: bytes) -> None:
        """End with who speaks no TLS; to one who speaks HTTP, say in HTTP what is wrong."""
        if data[:1].isalpha():
            answer = problem(400, "tls", "This port speaks HTTPS", request_id=new_id())
            self._raw.write(last_words(answer, self._shared.clock.date))
        self._end()

    def _end(self) -> None:
        """Close as soon as the client has read why, or will not."""
        self._closing = True
        self._deadline = self._shared.clock.now + self._shared.limits.linger_time
        if not half_close(self._raw):
            self._raw.close()

    def _shake_hands(self) -> None:
        try:
            while True:
                self._feed()
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    if not self._backlog:
                        self._flush()
                        return
        except ssl.SSLError:
            self._flush()  # the alert that says why
            self._end()
            return
        self._flush()
        self._shared.connections.pop(self, None)
        self._open = True
        self._inside.connection_made(self)
        self._decrypt()

    # open

    def _feed(self) -> None:
        """Give OpenSSL a little of what has come, unless it still has some."""
        if self._backlog and not self._incoming.pending:
            rest = memoryview(self._backlog)
            self._incoming.write(rest[:_SLICE])
            self._backlog = rest[_SLICE:] or b""

    def _decrypt(self) -> None:
        """Pass on what has come, record by record, for as long as it is wanted."""
        if self._reading:
            return
        self._reading = True
        try:
            while not self._paused and not self._closing and not self._shut:
                self._feed()
                if not self._incoming.pending and not self._tls.pending():
                    break
                try:
                    data = self._tls.read(_RECORD)
                except ssl.SSLWantReadError:
                    continue
                if not data:  # the client says that it sends no more
                    self._ended = True
                    self._backlog = b""
                    break
                self._inside.data_received(data)
        except ssl.SSLError:  # a record that was changed on its way, or one that has no place here
            self._closing = True
        finally:
            self._reading = False
            self._flush()
        if self._closing:
            self._raw.close()
        self._tell_end()

    def _tell_end(self) -> None:
        """Tell whoever is inside that no more comes, once all that came was passed on."""
        is_read = not (self._reading or self._paused or self._backlog or self._tls.pending())
        if self._ended and not self._told and is_read and not self._closing:
            self._told = True
            if not self._inside.eof_received():
                self.close()

    def _flush(self) -> None:
        if self._outgoing.pending and not self._raw.is_closing():
            self._raw.write(self._outgoing.read())

    # whoever is inside calls these

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send. What is written while requests are being read leaves in one packet."""
        if self._closing or self._shut or not data:
            return
        try:
            if len(data) > _SLICE:
                self._write_long(memoryview(data))
            else:
                self._tls.write(data)
        except ssl.SSLError:
            self.abort()
            return
        if not self._reading or self._outgoing.pending > _SLICE:
            self._flush()

    def _write_long(self, data: memoryview) -> None:
        records = [self._outgoing.read()]
        for at in range(0, len(data), _SLICE):
            self._tls.write(data[at : at + _SLICE])
            records.append(self._outgoing.read())
        self._raw.write(b"".join(records))

    def writelines(self, list_of_data: Any) -> None:  # noqa: ANN401 - as the standard library's
        """Send several pieces as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Tell whether the sending side can be shut alone: TLS 1.3 says so with an alert, and so does every other."""
        return True

    def write_eof(self) -> None:
        """Say that no more will be sent. What still comes is thrown away: nobody half-closes but to end."""
        self._goodbye()
        self._shut = True
        self._backlog = b""
        self._raw.write_eof()

    def close(self) -> None:
        """Say that this was all, send what is not sent yet, and close."""
        if not self._closing and not self._shut:
            self._goodbye()
        self._closing = True
        self._raw.close()

    def _goodbye(self) -> None:
        """Write the alert without which nobody can know that he got all (RFC 8446, 6.1)."""
        with suppress(ssl.SSLError):  # it waits for the answer, and we do not
            self._tls.unwrap()
        self._flush()

    def abort(self) -> None:
        """Break off."""
        self._closing = True
        self._raw.abort()

    def is_closing(self) -> bool:
        """Tell whether nothing more can be sent."""
        return self._closing or self._raw.is_closing()

    def pause_reading(self) -> None:
        """Decrypt no more, and read no more."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Go on, later: whoever calls this is not ready for what has come."""
        self._paused = False
        self._raw.resume_reading()
        if not self._reading and (self._ended or self._backlog or self._incoming.pending or self._tls.pending()):
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if not self._closing and not self._paused:
            self._decrypt()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._raw.get_write_buffer_size() + self._outgoing.pending

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as the standard library's
        """Return what is known of the connection below, or of its encryption."""
        if name == "ssl_object":
            return self._tls
        return self._tls.context if name == "sslcontext" else self._raw.get_extra_info(name, default)

    # the listener calls these, until the handshake is over

    def drain(self, quiet: float) -> None:
        """The listener stops: a handshake that is not over by then is none."""
        self._deadline = min(self._deadline, self._shared.clock.now + quiet)

    def sweep(self, now: float) -> bool:
        """End a handshake that is late."""
        is_late = now >= self._deadline
        if is_late:
            reset(self._raw)
        return is_late
