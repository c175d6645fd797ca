"""What a route does with a request that may pass: say something, or tell another proxy that it may; or pass it on."""

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, final

from sluicegate.adapters.forward_auth import answer
from sluicegate.adapters.render import Response, template
from sluicegate.core.decision import Admit, Identity
from sluicegate.core.request import Request
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.cors import Cors
from sluicegate.server.routes import ForwardAuth, Respond
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import empty, head_of

T = TypeVar("T")

_MOST_REMEMBERED: Final = 4096


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

    def __init__(self, make: Callable[[Admit | None], T]) -> None:
        self._make: Final = make
        self._anonymous: Final = make(None)
        self._made: dict[int, tuple[Identity, T]] = {}

    def __call__(self, decision: Admit | None) -> T:
        """Return what is made of the identity of this decision."""
        identity = None if decision is None else decision.identity
        if identity is None:
            return self._anonymous
        known = self._made.get(id(identity))
        if known is not None and known[0] is identity:
            return known[1]
        if len(self._made) >= _MOST_REMEMBERED:
            self._made.clear()
        made = self._make(decision)
        self._made[id(identity)] = (identity, made)
        return made


@final
class Saying:
    """Answers with a text. Nobody stores it: it is about one user."""

    def __init__(self, respond: Respond, cors: Cors) -> None:
        self._cors: Final = cors
        self._text: Final = template(respond.text)
        self._said: Final = Remembered(self._say)

    def _say(self, decision: Admit | None) -> tuple[bytes, bytes]:
        body = self._text(None if decision is None else decision.identity).encode(errors="replace")
        lines = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
            b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-ID: "
        )
        return lines % len(body), body

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Say it."""
        lines, body = self._said(decision)
        connection.answer(b"%b%b\r\n%b" % (lines, request.id.encode(), self._cors.lines(head)), body)

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
        self._told: Final = Remembered(self._tell)

    @staticmethod
    def _tell(decision: Admit | None) -> tuple[bytes, bytes]:
        response = answer(decision, "")
        headers = tuple(field for field in response.headers if field[0] != "X-Request-ID")
        return head_of(Response(response.status, headers, b"")) + b"X-Request-ID: ", response.body

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Say yes, with the identity."""
        lines, body = self._told(decision)
        connection.answer(b"%b%b\r\n%b" % (lines, request.id.encode(), self._cors.lines(head)), body)

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say yes, and what pages may do."""
        connection.respond(empty(self._preflight_status, request_id=request.id), more=self._cors.preflight(head))
