"""Passing a request on to an upstream: the lines that it gets, ours among them, and what the client may not write."""

from collections.abc import Sequence
from functools import partial
from typing import Final, final

from sluicegate.adapters.forwarded import Fields, upstream_headers
from sluicegate.adapters.hops import hops, told_by, written
from sluicegate.adapters.render import fold, header_value, identity_headers, template
from sluicegate.core.decision import Admit
from sluicegate.core.policy import Sources
from sluicegate.core.request import Request
from sluicegate.core.strip import strip, without_tokens
from sluicegate.server.actions import Remembered
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.events.tie import Guard
from sluicegate.server.origin import FOREIGN, Pages
from sluicegate.server.proxy.balance import Balance
from sluicegate.server.proxy.exchange import ProxyExchange
from sluicegate.server.proxy.framing import Framing
from sluicegate.server.proxy.pool import Pool
from sluicegate.server.proxy.sending import IDEMPOTENT, Sending
from sluicegate.server.proxy.websocket import Tunnels, Upgrade
from sluicegate.server.routes import Proxy
from sluicegate.server.wire.handshake import ONLY_VERSION, SWITCHING, Handshake, handshake
from sluicegate.server.wire.head import CHUNKED, Head
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.max_forwards import MAX_FORWARDS, hops_left
from sluicegate.server.wire.respond import empty, problem
from sluicegate.server.wire.trailers import ended_here, wants_trailers

_REQUEST_ID: Final = b"x-request-id"
_UPGRADE_REQUIRED: Final = 426


@final
class Passing:
    """Passes requests on to an upstream, with the identity in headers that only the gate sets.

    `sources` are where tokens are looked for: what stands there in a `Referer` is not shown to the upstream, nor, on a
    route that strips tokens, what stands there in the request. `tickets` tells that the gateway takes tickets on some
    route, whose unused ones are credentials on all of them. `telling` are the folded names that tell of an identity
    on any route: an upstream believes them wherever they come from, so the client may write them nowhere, on an open
    route least of all.
    """

    def __init__(
        self,
        proxy: Proxy,
        pools: Sequence[Pool],
        pages: Pages,
        *,
        sources: Sources,
        telling: frozenset[bytes] = frozenset(),
        guard: Guard | None = None,
        tunnels: Tunnels | None = None,
        reads_forwarded: bool = False,
        tickets: bool = False,
    ) -> None:
        self._reads_forwarded: Final = reads_forwarded
        self._guard: Final = guard
        self._pool: Final = pools[0]
        self._balance: Final = Balance(pools) if len(pools) > 1 else None
        self._tunnels: Final = tunnels or Tunnels()
        self._pages: Final = pages
        self._cors: Final = pages.cors
        self._host: Final = proxy.upstream.authority
        self._strip: Final = partial(strip, sources=sources, tickets=tickets)
        self._without_tokens: Final = partial(without_tokens, sources=sources, tickets=tickets)
        self._strips: Final = proxy.strip_token
        self._set: Final = [(name.encode(), template(value)) for name, value in proxy.header_up]
        self._extra: Final = telling | {fold(name) for name, _ in self._set} | {_REQUEST_ID}
        # the client may not write behind its body what it may not write before it, nor a token
        self._untrailed: Final = self._extra | {fold(name) for name in sources.by_header}
        self._ours: Final = Remembered(self._headers_of)

    def _headers_of(self, decision: Admit | None) -> list[tuple[bytes, bytes]]:
        identity = None if decision is None else decision.identity
        filled = [(name, header_value(fill(identity))) for name, fill in self._set]
        set_here = {fold(name) for name, _ in filled}
        # an empty name of a user is no name: an upstream that asks whether the header is there gets the right answer
        return [field for field in identity_headers(identity) if fold(field[0]) not in set_here] + [
            field for field in filled if field[1]
        ]

    def admit(
        self, connection: Connection, head: Head, request: Request, decision: Admit | None, *, bare: bool = False
    ) -> None:
        """Send it on; `bare`: its answer comes back without content.

        The target goes as it came: the path that the rules saw is the path that the upstream sees.
        """
        try:
            if head.method == "OPTIONS" and hops_left(head.block.by_name) == 0:
                connection.respond(empty(204, request_id=request.id), more=self._cors.lines(head))
                return
            wanted = self._handshake(connection, head, decision) if b"upgrade" in head.block.by_name else None
        except Malformed as malformed:
            answer = problem(malformed.status, malformed.reason, str(malformed), request_id=request.id)
            more = ONLY_VERSION if malformed.status == _UPGRADE_REQUIRED else b""
            connection.respond(answer, more=more + self._cors.lines(head), close=True)
            return
        lines, upgrade = self._lines(connection, head, request, self._ours(decision)), None
        if wanted is not None:
            lines += SWITCHING
            limits, guard = self._pool.limits, self._guard
            upgrade = Upgrade(wanted, limits, home=self._tunnels, guard=guard, decision=decision)
        balance = self._balance
        exchange = ProxyExchange(
            connection,
            head,
            pool=self._pool if balance is None else balance.choose(may_try=head.method in IDEMPOTENT) or self._pool,
            balance=balance,
            lines=lines,
            request_id=request.id,
            framing=Framing(self._cors.lines(head), bare=bare, upgrades=upgrade is not None),
            guard=self._guard,
            decision=decision,
            sending=self._sending(head) if head.block.length else None,
            upgrade=upgrade,
        )
        exchange.start()

    def _sending(self, head: Head) -> Sending:
        is_chunked = head.block.length == CHUNKED
        untrailed = self._untrailed | ended_here(head.block) if is_chunked else self._untrailed
        return Sending(chunked=is_chunked, again=head.method in IDEMPOTENT, managed=untrailed)

    def _handshake(self, connection: Connection, head: Head, decision: Admit | None) -> Handshake | None:
        """Return the handshake that the request is, if any. Raises `Malformed`, also for a page of somebody else's."""
        wanted = handshake(head)
        if wanted is not None and self._pages.is_foreign(connection.peer, head, decision):
            raise Malformed(403, "origin", FOREIGN)
        return wanted

    def _lines(self, connection: Connection, head: Head, request: Request, ours: list[tuple[bytes, bytes]]) -> bytes:
        """Write the request line and the header lines. The same head and the same identity make the same."""
        written = head.written
        if written is not None and written[0] is self and written[1] is ours:
            return written[2]
        if self._strips:
            return self._stripped(connection, head, request, ours)
        block, counts_hops = head.block, head.method == "OPTIONS"  # so its lines are not those of another method
        written = None if counts_hops else block.written
        if written is not None and written[0] is self and written[1] is ours:
            fields = written[2]
        else:
            fields = self._fields(connection, head, block.fields, ours)
            if not counts_hops:
                block.written = (self, ours, fields)
        lines = b"%b %b HTTP/1.1\r\n%b" % (head.method.encode(), head.target.origin_form, fields)
        head.written = (self, ours, lines)
        return lines

    def _fields(self, connection: Connection, head: Head, headers: Fields, ours: list[tuple[bytes, bytes]]) -> bytes:
        if b"referer" in head.block.by_name:
            headers = [(name, self._without_tokens(value) if name == b"referer" else value) for name, value in headers]
        if self._reads_forwarded:
            peer = connection.peer
            found = hops(headers) if peer.trusted else ()
            headers = told_by(found, headers)
            own = written(found, peer=peer.address, scheme=peer.scheme, host=head.block.host)
            ours = [*ours, (b"Forwarded", own)]
        return field_lines(head, connection, headers, extra=self._extra, ours=ours, host=self._host)

    def _stripped(self, connection: Connection, head: Head, request: Request, ours: list[tuple[bytes, bytes]]) -> bytes:
        """Write them without the credentials. Some may stand in the query, so a block does not make the same twice."""
        query, headers = self._strip(request)
        target = head.target.origin_form
        if query != head.target.query:
            target = b"%b?%b" % (head.target.path, query) if query else head.target.path
        fields = self._fields(connection, head, headers, ours)
        return b"%b %b HTTP/1.1\r\n%b" % (head.method.encode(), target, fields)

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Send it on: what the upstream allows, the upstream knows. Nothing else that it says comes back."""
        self.admit(connection, head, request, None, bare=True)


def field_lines(
    head: Head,
    connection: Connection,
    headers: Fields,
    *,
    extra: frozenset[bytes],
    ours: list[tuple[bytes, bytes]],
    host: bytes,
) -> bytes:
    """Write the header lines that the upstream gets of these headers.

    `ours` are those that only the gate sets, `extra` their names.
    """
    block, peer = head.block, connection.peer
    fields = upstream_headers(
        headers,
        peer=peer.address,
        trusted=peer.trusted,
        scheme=peer.scheme,
        host=block.host,
        extra=extra,
        identity=ours,
    )
    if head.method == "OPTIONS" and (left := hops_left(block.by_name)) is not None:
        fields = [(name, b"%d" % (left - 1) if name == MAX_FORWARDS else value) for name, value in fields]
    lines = [b"%b: %b\r\n" % field for field in fields]
    if not block.host:
        lines.append(b"Host: %b\r\n" % host)
    if block.length == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if wants_trailers(block):  # RFC 9110, 10.1.4: for this connection, so it says that too
        lines.append(b"TE: trailers\r\nConnection: TE\r\n")
    # RFC 9110, 7.6.3: a gateway says that it was here, and what it was spoken to in
    lines.append(b"Via: 1.1 sluicegate\r\n" if block.http11 else b"Via: 1.0 sluicegate\r\n")
    return b"".join(lines)
