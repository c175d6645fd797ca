"""What a route does with a request that may pass: pass it on, say something, or tell another proxy that it may."""

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, final

from sluicegate.adapters.forward_auth import answer
from sluicegate.adapters.render import fold, header_value, identity_headers, template
from sluicegate.core.decision import Admit, Identity
from sluicegate.core.request import Request
from sluicegate.server.cors import Cors
from sluicegate.server.head import Head
from sluicegate.server.protocol import Connection
from sluicegate.server.proxy import ProxyExchange, request_bytes
from sluicegate.server.respond import empty
from sluicegate.server.routes import ForwardAuth, Proxy, Respond
from sluicegate.server.upstream import Pool

T = TypeVar("T")

_MOST_REMEMBERED: Final = 4096
_REQUEST_ID: Final = b"x-request-id"


class Action(Protocol):
    """Does what a route is for."""

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Serve a request that may pass; None where nothing was decided about it."""
        ...

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Serve a CORS preflight, about which nothing is decided."""
        ...


@final
class Remembered(Generic[T]):
    """What was made of an identity, for as long as tokens are warm.

    A warm token brings the same `Identity` object each time, and writing its headers costs more than deciding about
    it. Kept by the object itself, which the entry keeps alive; at the bound all is forgotten, and made again.
    """

    def __init__(self, make: Callable[[Identity | None], T]) -> None:
        self._make: Final = make
        self._anonymous: Final = make(None)
        self._made: dict[int, tuple[Identity, T]] = {}

    def __call__(self, identity: Identity | None) -> T:
        """Return what is made of this identity."""
        if identity is None:
            return self._anonymous
        known = self._made.get(id(identity))
        if known is not None and known[0] is identity:
            return known[1]
        if len(self._made) >= _MOST_REMEMBERED:
            self._made.clear()
        made = self._make(identity)
        self._made[id(identity)] = (identity, made)
        return made


@final
class Passing:
    """Passes requests on to an upstream, with the identity in headers that only the gate sets."""

    def __init__(self, proxy: Proxy, pool: Pool, cors: Cors) -> None:
        self._pool: Final = pool
        self._cors: Final = cors
        self._host: Final = proxy.upstream.authority
        self._set: Final = [(name.encode(), template(value)) for name, value in proxy.header_up]
        self._extra: Final = frozenset(fold(name) for name, _ in self._set) | {_REQUEST_ID}
        self._headers: Final = Remembered(self._headers_of)

    def _headers_of(self, identity: Identity | None) -> list[tuple[bytes, bytes]]:
        filled = [(name, header_value(fill(identity))) for name, fill in self._set]
        # an empty name of a user is no name: an upstream that asks whether the header is there gets the right answer
        headers = identity_headers(identity)
        ours = {fold(name) for name, _ in filled}
        return [field for field in headers if fold(field[0]) not in ours] + [field for field in filled if field[1]]

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Send it on."""
        identity = None if decision is None else decision.identity
        ours = [*self._headers(identity), (b"X-Request-ID", request.id.encode())]
        written = request_bytes(head, connection, extra=self._extra, ours=ours, host=self._host)
        cors = self._cors.lines(head)
        exchange = ProxyExchange(connection, head, pool=self._pool, request=written, request_id=request.id, cors=cors)
        exchange.start()

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Send it on: what the upstream allows, the upstream knows."""
        self.admit(connection, head, request, None)


@final
class Saying:
    """Answers with a text. Nobody stores it: it is about one user."""

    def __init__(self, respond: Respond, cors: Cors) -> None:
        self._cors: Final = cors
        self._text: Final = template(respond.text)
        self._answers: Final = Remembered(self._answer_to)

    def _answer_to(self, identity: Identity | None) -> tuple[bytes, bytes]:
        body = self._text(identity).encode(errors="replace")
        lines = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
            b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        )
        return lines % len(body), body

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Say it."""
        lines, body = self._answers(None if decision is None else decision.identity)
        lines = b"%bX-Request-ID: %b\r\n%b" % (lines, request.id.encode(), self._cors.lines(head))
        connection.answer(lines, body)

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say what pages may do."""
        connection.respond(empty(204, request_id=request.id), more=self._cors.preflight(head))


@final
class Telling:
    """Tells another proxy that a request may pass, and whose it is."""

    def __init__(self, asked: ForwardAuth, cors: Cors) -> None:
        self._cors: Final = cors
        # to Envoy nothing but 200 is a yes
        self._preflight_status: Final = 200 if asked.proxy == "envoy" else 204
        self._answers: Final[dict[int, tuple[Admit, bytes]]] = {}

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Say yes, with the identity."""
        response = answer(decision, request.id)
        connection.respond(response, more=self._cors.lines(head))

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say yes, and what pages may do."""
        connection.respond(empty(self._preflight_status, request_id=request.id), more=self._cors.preflight(head))
