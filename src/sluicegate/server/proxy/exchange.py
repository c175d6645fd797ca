"""One exchange between a client and an upstream: protocol to protocol, streamed both ways, nothing held whole."""

from typing import Final, final

from sluicegate.adapters.render import refusal
from sluicegate.core.decision import Admit, Refuse
from sluicegate.core.events import Cause
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.events.settled import settled
from sluicegate.server.events.tie import LONG, Guard, Tie
from sluicegate.server.proxy.balance import Balance
from sluicegate.server.proxy.framing import Framing
from sluicegate.server.proxy.pool import Link, Pool
from sluicegate.server.proxy.search import Search
from sluicegate.server.proxy.sending import Sending, is_repeatable
from sluicegate.server.proxy.websocket import Upgrade
from sluicegate.server.wire.body import Body, UntilClose
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.reply import Reply, ReplyReader, interim
from sluicegate.server.wire.respond import problem

_SWITCHING: Final = 101


@final
class ProxyExchange:
    """Carries one request to an upstream and its response back.

    Once the response has begun, the only honest answer to a failure is to break off: a client that gets a whole
    response must have got all of it.
    """

    __slots__ = (
        "_answered", "_balance", "_begun", "_client", "_decision", "_framing", "_guard", "_head", "_id",
        "_id_line", "_interim", "_link", "_pool", "_reader", "_reply", "_request", "_search", "_sending", "_tie",
        "_upgrade", "_uploaded", "ready",
    )  # fmt: skip

    def __init__(
        self,
        client: Connection,
        head: Head,
        *,
        pool: Pool,
        balance: Balance | None,
        lines: bytes,
        request_id: str,
        framing: Framing,
        guard: Guard | None,
        decision: Admit | None,
        sending: Sending | None = None,
        upgrade: Upgrade | None = None,
    ) -> None:
        self._client: Final = client
        self._head = head
        self._pool = pool
        self._balance: Final = balance
        self._id: Final = request_id
        self._id_line = b"X-Request-ID: %b\r\n" % request_id.encode()
        self._request = b"%b%b\r\n" % (lines, self._id_line)
        self._guard: Final = guard
        self._decision = decision
        self._reader: ReplyReader
        self._link: Link | None = None
        self._search: Search | None = None
        self._reply: Reply | None = None
        self._framing: Final = framing
        self._begun = pool.clock.now
        self._answered = self._uploaded = self.ready = False
        self._interim = 0
        self._sending: Final = sending
        self._tie: Tie | None = None
        self._upgrade: Final = upgrade

    def start(self) -> None:
        """Send the request, on a connection that is there or on a new one."""
        self._client.begin(self)
        if (link := self._pool.take()) is None:
            self._searching().connect()
        else:
            self._send(link)

    def _searching(self) -> Search:
        self._search = self._search or Search(self, self._client, self._pool, self._balance, request=self._id)
        return self._search

    def found(self, pool: Pool, link: Link) -> None:
        """Send the request on a connection that was looked for, which may have taken longer than its token is good."""
        self._pool = pool
        self.lasts(pool.clock.now)
        if self._tie is not None and self._tie.is_over:
            link.close()
        else:
            self._send(link)

    def _send(self, link: Link) -> None:
        self._link, self._reader = link, link.reader
        link.listening = self
        if self._client.meter is not None:
            self._client.meter.asked(self._pool.upstream)
        link.transport.write(self._request)
        self._client.extend(self._pool.limits.response_time)
        self.ready = True
        if self._sending is not None:
            self._sending.repeat(link)
            self._client.intake.offer(self)
            if not self._uploaded:
                self._settle()
        else:
            self._uploaded = True

    def body(self, data: bytes) -> None:
        """Pass a piece of the body on."""
        if self._link is not None and self._sending is not None and self._sending.piece(self._link, data):
            self._link.go_bare(self._client.go_bare(ends=False))

    def body_end(self) -> None:
        """Say that the body is whole. From here on the upstream is awaited."""
        self._uploaded = True
        if self._link is not None and self._sending is not None:
            self._sending.end(self._link, self._client.intake.trailers)
        if self._link is not None and not self._answered:
            self._client.extend(self._pool.limits.response_time)

    def upstream_full(self, *, full: bool) -> None:
        """Read no more of the body while the upstream does not take it."""
        self._client.intake.fill(full=full)

    def received(self, data: bytes) -> None:
        """Pass on what the upstream sends."""
        try:
            self._receive(data)
        except Malformed as malformed:
            self._blame("malformed", str(malformed))
            self.fail(502, "The upstream's response cannot be read")

    def _receive(self, data: bytes) -> None:
        reply, out = self._reply, b""
        if reply is None:
            reply = self._reply = self._read(data)
            if reply is None:
                return
            data = self._reader.rest
            out = self._framing.head(reply, self._head, self._client, date=self._pool.clock.date, id_line=self._id_line)
        body, framing = reply.body, self._framing
        if body is None or framing.bare:
            if body is not None and data:
                body.read(data)
            if out:  # else it is what follows a response that is over
                self._pass(out)
                self._finish(clean=not data if body is None else body.done and not body.rest)
            return
        piece = body.read(data) if data else b""
        if out and not body.done:
            self._begins(reply)
        out += framing.piece(piece, body, client=self._head.block, reply=reply)
        if out:
            self._pass(out)
        self._passed(piece, body)

    def _read(self, data: bytes) -> Reply | None:
        """Read the head of the response, past what comes before it; None when more must come."""
        reader, method = self._reader, self._head.method
        reply = reader.read(data, method=method)
        while reply is not None and reply.status < 200:  # noqa: PLR2004 - interim (RFC 9110, 15.2)
            self._pass_interim(reply)
            reply = reader.read(reader.rest, method=method) if reader.rest else None
        if reply is not None and self._pool.outage is not None:
            self._pool.answered()
        return reply

    def _pass(self, out: bytes) -> None:
        self._answered = True
        self._client.transport.write(out)

    def _begins(self, reply: Reply) -> None:
        """An answer begins that did not come whole; of an event stream little is held on both of its sides."""
        tie, link = self._tied(), self._link
        if tie and link and tie.begins(reply.lines, chunked=self._framing.chunked):
            link.go_bare(self._client.go_bare(ends=False))

    def _tied(self) -> Tie | None:
        if self._tie is None and self._guard is not None:
            self._tie = self._guard.tie(self._client, self._decision, self, begun=self._begun)
        return self._tie

    def lasts(self, now: float) -> None:
        """It is not over yet: a slow question or a slow answer is no longer good than its token."""
        if now - self._begun >= LONG and (tie := self._tied()) is not None:
            tie.hold()

    def refuse(self, refuse: Refuse) -> bool:
        """Say that the token is good no more, where nothing was answered yet; tell whether that could be said."""
        if self._answered:
            return False
        self._drop()
        self._framing.answer(self._client, refusal(refuse, request_id=self._id))
        return True

    def _passed(self, piece: bytes, body: Body) -> None:
        """Go on after a piece: to the next, or to the end, which may be that of the token."""
        if body.done:
            self._finish(clean=not body.rest)
            return
        self._client.extend(self._pool.limits.read_time)
        tie, reply = self._tie, self._reply
        if tie is not None and reply is not None and tie.passed(piece, self._pool.clock.now) and self._uploaded:
            self._settle(reply)

    def _settle(self, reply: Reply | None = None) -> None:
        """Keep no more of request and response than is still needed of them: there may be thousands like this one."""
        is_kept = reply is None and self._sending is not None and self._sending.is_kept
        self._head = settled(self._head)
        self._request, self._search = (self._request, self._search) if is_kept else (b"", None)
        if reply is not None:
            reply.lines, reply.fields, self._id_line, self._decision = b"", {}, b"", None
        self._client.settle(self._head)

    def _pass_interim(self, reply: Reply) -> None:
        if reply.status == _SWITCHING and self._upgrade is not None and self._link is not None:
            if self._tie is not None:
                self._tie.over()  # from here on the tunnel is tied
            self._upgrade.follow(self._client, self._link, reply, self._reader.rest, more=self._id_line)
            self._link, self._reader.rest = None, b""
            return
        self._interim += 1
        if (lines := interim(reply, self._head.block, count=self._interim)) and not self._framing.bare:
            self._client.transport.write(lines)

    def _finish(self, *, clean: bool) -> None:
        """The response is whole. Keep the connection only if both sides of the exchange are."""
        link, self._link, reply = self._link, None, self._reply
        is_whole = clean and self._uploaded
        if link is not None and is_whole and reply is not None and reply.persistent:
            self._pool.give(link)
        elif link is not None and is_whole:
            link.part()
        elif link is not None:
            link.close()
        self._over()

    def _over(self) -> None:
        if self._tie is not None:
            self._tie.over()
        self._client.finish(close=self._framing.last)

    def lost(self, *, clean: bool) -> None:
        """The connection to the upstream ended."""
        link, self._link = self._link, None
        self.ready = False
        if clean and self._reply is not None and isinstance(self._reply.body, UntilClose):
            self._client.transport.write(self._framing.end)
            self._over()
            return
        if link is not None and self._may_retry():
            # once on a new connection, for whatever closed this one may have closed them all; then elsewhere
            if link.used:
                self._searching().connect()
                return
            self._blame("closed", "it closed the connection before it answered")
            if self._searching().goes_elsewhere():
                return
        elif link is not None and not link.used:
            self._blame("closed", "it broke off its answer" if self._answered else "it closed the connection")
        self.fail(502, "The upstream closed the connection before it answered")

    def _may_retry(self) -> bool:
        """Tell whether the request may be sent again: nothing was answered, and twice is as once."""
        silent = not self._answered and not self._interim and not self._reader.begun
        return silent and is_repeatable(self._head.method, self._sending)

    def _blame(self, cause: Cause, detail: str) -> None:
        self._pool.failed(cause, detail, request=self._id)

    def fail(self, status: int, message: str) -> None:
        """Answer for the upstream, or break off an answer that has begun."""
        self._drop()
        if self._answered:
            self._client.abort(flush=self._framing.tells)
            return
        reason = {408: "timeout", 504: "upstream_timeout"}.get(status, "upstream")
        answer = problem(status, reason, message, request_id=self._id)
        self._framing.answer(self._client, answer, close=reason == "timeout")

    def late(self) -> None:
        """Something took too long; find out who is to blame."""
        if self._search is not None and self._search.late():
            return
        if not (self._answered or self._link is None or self._uploaded or self._link.choked):
            self.fail(408, "The request did not come in time")
        else:
            self._blame("timeout", "it did not answer in time")
            self.fail(504, "The upstream did not answer in time")

    def cancel(self) -> bool:
        """Give up; tell whether the response had begun."""
        self._drop()
        return self._answered

    def pause(self) -> None:
        """The client is slow: leave the rest of the response with the upstream."""
        if self._link is not None:
            self._link.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._link is not None:
            self._link.resume()

    def _drop(self) -> None:
        """Close the connection to the upstream: a half-read response must never be the next request's."""
        self.ready = False
        if self._tie is not None:
            self._tie.over()
        if self._search is not None:
            self._search.cancel()
        link, self._link = self._link, None
        if link is not None:
            link.close()
