"""What the path for tickets does: with a token it gives a page a ticket for one stream, which needs no header."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, final

import msgspec

from sluicegate.adapters.render import Response, refusal
from sluicegate.core.decision import Admit, Decision, Reason, Refuse
from sluicegate.core.policy import Policy
from sluicegate.core.request import Request
from sluicegate.core.ticket import SECONDS, name_of, seal
from sluicegate.core.topics import InvalidTopic, canonical
from sluicegate.errors import StateUnavailable
from sluicegate.ports import TicketLedger
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.events.publish import not_allowed, said
from sluicegate.server.origin import Pages, not_from_there
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import empty, problem

_MOST_BYTES: Final = 4096


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    topic: str


_decode: Final = msgspec.json.Decoder(_Wanted).decode

Begin = Callable[[Request, Policy], Decision | Coroutine[Any, Any, Decision]]


@final
class Ticketing:
    """Decides about whoever asks as the stream itself would, and keeps what was decided for its one use.

    `begin` decides, as an engine does; `policy` is that of the streams.
    """

    def __init__(self, begin: Begin, ledger: TicketLedger, policy: Policy, pages: Pages) -> None:
        self._begin: Final = begin
        self._ledger: Final = ledger
        self._kept: Final = policy
        # a ticket is made with a token, never with a ticket: it would live for ever
        self._policy: Final = msgspec.structs.replace(policy, tickets=None, auth="required")
        self._pages: Final = pages
        self._cors: Final = pages.cors

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:  # noqa: ARG002 - nothing is decided before it is known about which topic
        """Read what is asked for."""
        cors = self._cors.lines(head)
        if head.method == "OPTIONS":
            connection.respond(empty(204, request_id=request.id), more=cors)
        elif head.method != "POST":
            connection.respond(not_allowed("POST, OPTIONS", request.id), more=cors)
        elif head.block.length > _MOST_BYTES:
            answer = problem(413, "body_size", "This takes a short body", request_id=request.id)
            connection.respond(answer, more=cors, close=True)
        else:
            asked = _Asked(self, connection, head, request, cors)
            connection.begin(asked)
            connection.intake.offer(asked)

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say what pages may do."""
        connection.respond(empty(204, request_id=request.id), more=self._cors.preflight(head))

    def decide(self, asked: "_Asked", body: bytes) -> None:
        """Decide about whoever asks, for the topic that it names."""
        try:
            topic = canonical(_decode(body).topic)
        except (msgspec.DecodeError, InvalidTopic, RecursionError):
            asked.respond(problem(400, "topic", 'Send {"topic": "…"} as JSON', request_id=asked.request.id))
            return
        request = msgspec.structs.replace(asked.request, topic=topic)
        outcome = self._begin(request, self._policy)
        if isinstance(outcome, Coroutine):
            asked.connection.wait(self._later(outcome, asked, topic))
        else:
            self._decided(outcome, asked, topic)

    async def _later(self, pending: Coroutine[Any, Any, Decision], asked: "_Asked", topic: str) -> None:
        self._decided(await pending, asked, topic)

    def _decided(self, decision: Decision, asked: "_Asked", topic: str) -> None:
        if isinstance(decision, Refuse):
            asked.refuse(decision)
            return
        if self._pages.is_foreign(asked.connection.peer, asked.head, decision):
            asked.respond(not_from_there(asked.request.id))
            return
        identity, identifiers = decision.identity, decision.identifiers
        if identity is None or identifiers is None:
            asked.refuse(Refuse(reason=Reason.MISSING))
            return
        origin = asked.head.block.by_name.get(b"origin", b"")
        ticket = secrets.token_urlsafe(32)
        record = seal(identity, identifiers, self._kept, topic=topic, origin=origin)
        subject = hashlib.sha256(f"{identity.issuer or ''}\n{identity.id}".encode()).hexdigest()
        name = name_of(ticket.encode()) or ""
        try:
            kept = self._ledger.put(name, record, subject=subject, seconds=SECONDS)
        except StateUnavailable:
            asked.refuse(Refuse(reason=Reason.STATE_UNAVAILABLE, state_unknown=True))
            return
        if isinstance(kept, bool):
            _answer(asked, ticket, is_kept=kept)
        else:
            asked.connection.wait(_kept(kept, asked, ticket))


async def _kept(pending: Awaitable[bool], asked: "_Asked", ticket: str) -> None:
    try:
        _answer(asked, ticket, is_kept=await pending)
    except StateUnavailable:
        asked.refuse(Refuse(reason=Reason.STATE_UNAVAILABLE, state_unknown=True))


def _answer(asked: "_Asked", ticket: str, *, is_kept: bool) -> None:
    if is_kept:
        asked.respond(said(200, {"ticket": ticket, "expires_in": SECONDS}, asked.request.id))
    else:
        asked.refuse(Refuse(reason=Reason.RATE_LIMITED))


@final
class _Asked:
    """A request for a ticket, while its body comes."""

    __slots__ = ("_home", "_pieces", "_size", "connection", "cors", "head", "ready", "request")

    def __init__(self, home: Ticketing, connection: Connection, head: Head, request: Request, cors: bytes) -> None:
        self._home: Final = home
        self.connection: Final = connection
        self.head: Final = head
        self.request: Final = request
        self.cors: Final = cors
        self._pieces: list[bytes] = []
        self._size = 0
        self.ready = True

    def body(self, data: bytes) -> None:
        """Take a piece, if it is still short."""
        self._size += len(data)
        if self.ready and self._size > _MOST_BYTES:
            self.ready = False
            self.respond(problem(413, "body_size", "This takes a short body", request_id=self.request.id), close=True)
        elif self.ready:
            self._pieces.append(data)

    def body_end(self) -> None:
        """It is whole."""
        if self.ready:
            self.ready = False
            self._home.decide(self, b"".join(self._pieces))

    def refuse(self, refuse: Refuse) -> None:
        """Answer with a refusal."""
        self.respond(refusal(refuse, request_id=self.request.id))

    def respond(self, response: Response, *, close: bool = False) -> None:
        """Answer it."""
        self.connection.respond(response, more=self.cors, close=close)

    def pause(self) -> None:
        """Nothing is being written."""

    def resume(self) -> None:
        """Likewise."""

    def cancel(self) -> bool:
        """Give up."""
        self.ready = False
        return False

    def late(self) -> None:
        """The body does not come."""
        self.ready = False
        self.respond(
            problem(408, "timeout", "The request did not come in time", request_id=self.request.id), close=True
        )
