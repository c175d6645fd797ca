"""One client's connection: bytes in, requests out in order, answers back in order, nothing held without a bound."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast, final

from sluicegate.adapters.render import Response
from sluicegate.drive import Underway
from sluicegate.engine import new_id
from sluicegate.server.connection.bare import BareSockets
from sluicegate.server.connection.deciding import Deciding
from sluicegate.server.connection.intake import Exchange, Intake
from sluicegate.server.connection.shared import MOST_TURNED_AWAY, Peer, Shared, half_close, reset
from sluicegate.server.wire.head import Head, RequestReader
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.respond import connection_line, head_of, problem

if TYPE_CHECKING:
    from sluicegate.server.connection.meter import Meter

_NEVER: Final = float("inf")
_REMEMBERED: Final = 5.0  # seconds after a request for which its header block is kept


@final
class Connection(asyncio.Protocol):
    """A client's connection: between requests, in a head, in a body, or with a request in flight."""

    __slots__ = (
        "_arriving", "_choked", "_deadline", "_ending", "_exchange", "_half_closed", "_head", "_intake", "_looping",
        "_reader", "_shared", "_stalled", "meter", "peer", "told", "transport",
    )  # fmt: skip

    def __init__(self, shared: Shared, told: str | None = None) -> None:
        self._shared: Final = shared
        self._reader: RequestReader | None = None  # only from a request on, and no longer than it is of use
        self._intake: Intake
        self.transport: asyncio.Transport
        self.meter: Meter | None
        self.peer: Peer
        self.told: Final = told  # by a proxy in front: who the client is; empty: nobody knows
        self._deadline = self._stalled = _NEVER
        self._head: Head | None = None  # the request in flight
        self._exchange: Exchange | None = None
        self._looping = self._half_closed = False
        self._arriving = False  # part of a head has come
        self._choked = False  # the client does not read what we write
        self._ending = False  # what still comes is thrown away

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a client in, or turn it away at the door."""
        shared = self._shared
        self.transport = cast("asyncio.Transport", transport)
        self.meter = shared.meter(self.transport)
        self.transport = self.meter or self.transport
        self._intake = Intake(self.transport, shared.limits)
        self.peer = shared.peer(self.transport, self.told)
        crowd = shared.enter(self)
        self.extend(shared.limits.idle)
        if crowd > MOST_TURNED_AWAY:
            self.transport.abort()
        elif crowd > 0:
            self.respond(problem(503, "connections", "There are too many connections", request_id=new_id()))

    def connection_lost(self, _: Exception | None) -> None:
        """Forget the client, and give up what was done for it."""
        self._ending = True
        self._give_up()
        self._head = self._intake.upload = None
        if self.meter is not None:
            self.meter.over(whole=False)
        self._shared.leave(self)

    def data_received(self, data: bytes) -> None:
        """Serve requests, feed the body of the one in flight, or hold what is not its turn."""
        if self._head is None and self._intake.upload is None and not self._choked and not self._ending:  # `_is_free`
            self._serve(data)
        elif self._intake.upload is not None and not self._ending:
            self._receive(data)
        elif not self._ending:
            self._intake.hold(data)

    def eof_received(self) -> bool:
        """Tell asyncio to keep the connection while an answer is due; a client that half-closed may wait for it."""
        if self._ending or self._head is None:
            return False
        if self._intake.endless and self._exchange is not None:
            self._exchange.body_end()
            return self.peer.scheme == "http"
        if not self._intake.whole:  # RFC 9112, 8: an incomplete message is no message
            self.abort()
            return False
        self._half_closed = True
        self.extend(0)
        return True

    def pause_writing(self) -> None:
        """The client is slow: let nothing more pile up."""
        self._choked = True
        self._stalled = self._shared.clock.now + self._shared.limits.write_time
        if self._exchange is not None:
            self._exchange.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._choked = False
        self._stalled = _NEVER
        if self._exchange is not None:
            self._exchange.resume()
        elif not self._looping and not self._ending:
            self._proceed()

    def _is_free(self) -> bool:
        """Tell whether the next request may be read: the last is answered, and the client takes answers."""
        return self._head is None and self._intake.upload is None and not self._choked and not self._ending

    def _serve(self, data: bytes) -> None:
        """Read requests and have them answered, until one is in flight or no more have come."""
        self._looping = True
        reader = self._reader = self._reader or self._new_reader()
        try:
            while data and (head := reader.read(data)) is not None:
                data = reader.rest
                self._head = head
                if head.block.length:
                    # what has come of the body is read before anybody acts on the head: of a request whose framing
                    # breaks in the same packet, nothing must reach an upstream
                    data = self._intake.open(head.block.length, data)
                self._arriving = False
                self._shared.answer(self, head)
                if not self._is_free():
                    if not self._ending:
                        self._intake.hold(data)
                    break
        except Malformed as malformed:
            self._looping = False
            self._refuse(malformed, to_head=reader.is_head(data))
            return
        self._looping = False
        # the deadline of a head is set once: one byte a second does not move it
        if not self._arriving and reader.begun:
            self._arriving = True
            self.extend(self._shared.limits.head_time)

    def _new_reader(self) -> RequestReader:
        # a trusted proxy may have ended the TLS that a URL of `https` asks for
        return RequestReader(self._shared.limits, secured=self.peer.scheme == "https" or self.peer.trusted)

    def _receive(self, data: bytes) -> None:
        """Take some bytes of a body, and what may follow it."""
        if self._head is not None:
            self.extend(self._shared.limits.body_time)
        try:
            self._intake.hold(self._intake.receive(data, self._exchange))
        except Malformed as malformed:
            self._refuse(malformed)
            return
        if self._head is None and self._intake.upload is None:  # answered before, and thrown away
            self._proceed()

    def _refuse(self, malformed: Malformed, *, to_head: bool = False) -> None:
        """Answer what is no request, and end: where the next one would begin cannot be known."""
        if self._give_up():
            self.abort()
        else:
            answer = problem(malformed.status, malformed.reason, str(malformed), request_id=new_id(), to_head=to_head)
            self.respond(answer, close=True)

    @property
    def intake(self) -> Intake:
        """What was read from the client and is not used up yet."""
        return self._intake

    def begin(self, exchange: Exchange) -> None:
        """Hand the request in flight to an exchange."""
        self._exchange = exchange

    def settle(self, head: Head) -> None:
        """A long answer has begun: keep no more of its request than this."""
        self._reader, self._head = None, head

    def go_bare(self, *, ends: bool) -> BareSockets:
        """A long answer has begun; `ends`: the connection ends with it, and is only written to from here on."""
        intake, sockets = self._intake, self._shared.sockets
        if not (self._half_closed or intake.stopped or (ends and intake.upload)):
            if self.meter is None:
                self.transport = sockets.take(self.transport, self, is_read=not ends)
            else:
                self.meter.inner = sockets.take(self.meter.inner, self, is_read=not ends)
            self._intake = intake.moved_to(self.transport, is_read=not ends)
        return sockets

    def wait(self, decision: Coroutine[Any, Any, None] | Underway[Any]) -> None:
        """Let what decides go on with the request in flight; it is cancelled when the client leaves."""
        self.extend(self._shared.limits.decision_time)
        self._exchange = Deciding(self, decision)

    def last(self, head: Head) -> bool:
        """Tell whether the connection ends after the answer to this request."""
        return not head.block.persistent or self._shared.draining or (self._half_closed and not self._intake.held)

    def respond(self, response: Response, *, more: bytes = b"", close: bool = False) -> None:
        """Give an answer of our own to the request in flight; `more` holds further header lines."""
        if self.meter is not None:
            self.meter.said(response, self.peer.client)
        self.answer(head_of(response) + more, response.body, close=close)

    def answer(self, lines: bytes, body: bytes, *, close: bool = False) -> None:
        """Give an answer of our own: status line and header lines, each with its end, and the body."""
        head, shared = self._head, self._shared
        if head is not None and head.plain and not (close or shared.draining or self._half_closed):
            self.transport.write(b"".join((lines, shared.clock.date, b"\r\n", body)))  # what nearly all come to
            self.finish(close=False)
            return
        if head is None:
            http11 = last = close = True
        else:
            upload = self._intake.upload
            # a short rest is read and thrown away; of a longer one, or one that the client may not send at all
            # (RFC 9110, 10.1.1), nobody could tell where the next request begins
            close = close or (upload is not None and upload.is_costly(expects=head.block.expects))
            http11, last = head.block.http11, close or self.last(head)
            body = b"" if head.method == "HEAD" else body
        self.transport.write(
            b"".join((lines, shared.clock.date, connection_line(http11=http11, last=last), b"\r\n", body))
        )
        self.finish(close=last, linger=close)

    def finish(self, *, close: bool, linger: bool = False) -> None:
        """The answer to the request in flight is written: go on to the next, or end."""
        self._head = self._exchange = None
        if self.meter is not None:
            self.meter.over(whole=True)
        shared, intake = self._shared, self._intake
        self._deadline = shared.clock.now + shared.limits.idle
        if intake.upload is not None:
            intake.discard()
            self._deadline = shared.clock.now + shared.limits.body_time
        if close:
            self._end(linger=linger or intake.upload is not None or bool(intake.held))
        elif not self._looping and (intake.stopped or intake.held or self._half_closed):
            intake.fill(full=False)
            self._proceed()

    def _proceed(self) -> None:
        """Outside the loop that serves requests: take up what was held."""
        if self._intake.held and self._is_free():
            self._serve(self._intake.take())
        if self._half_closed and self._is_free() and not self._intake.held:
            self._end(linger=False)
        else:
            self._intake.update()

    def extend(self, seconds: float) -> None:
        """Something moved: put the deadline off. A half-closed client gets little more than its answer takes."""
        limit = self._shared.limits.half_closed_time if self._half_closed else seconds
        self._deadline = self._shared.clock.now + limit

    def _give_up(self) -> bool:
        """Cancel whatever is done for the request in flight; tell whether its answer had begun."""
        exchange, self._exchange = self._exchange, None
        return exchange is not None and exchange.cancel()

    def _end(self, *, linger: bool) -> None:
        """Close: at once, or, where more of what nobody wants may come, as soon as the client has read its answer."""
        self._ending = True
        self._deadline = self._shared.clock.now + self._shared.limits.write_time
        if linger and half_close(self.transport):
            self._deadline = self._shared.clock.now + self._shared.limits.linger_time
            self._intake.drop()
        else:
            self.transport.close()

    def abort(self, *, flush: bool = False) -> None:
        """Break off, visibly; `flush`: behind what was written, for a client that can tell that more was due."""
        self._ending = True
        self._give_up()
        if flush:
            self._end(linger=self._intake.upload is not None)
        else:
            reset(self.transport)

    @property
    def is_idle(self) -> bool:
        """Tell whether the client is between two requests."""
        return self._is_free() and not self._arriving and not self._half_closed

    def drain(self, quiet: float) -> None:
        """The listener stops: end soon where no request is under way; elsewhere the answer will say that it ends."""
        if self._is_free() and not self._arriving:
            self._deadline = min(self._deadline, self._shared.clock.now + quiet)

    def sweep(self, now: float) -> bool:
        """End what is late, and tell whether it was; let go of what is no use to a client that has gone quiet."""
        if now < self._deadline and now < self._stalled:
            is_quiet = self._head is None and self._deadline - now < self._shared.limits.idle - _REMEMBERED
            if is_quiet and self._reader is not None and self._reader.is_spare:
                self._reader = None
            return False
        if self._ending:
            self.transport.abort()
        elif now >= self._stalled:
            self.abort()
        elif self._exchange is not None:
            self._exchange.late()
        elif self._arriving:
            self._refuse(Malformed(408, "timeout", "A request did not come in time"))
        else:
            self._end(linger=False)
        return True
