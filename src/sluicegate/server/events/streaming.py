"""What the routes of the hub do with requests that may pass: streams, publishing, fresh tokens for running streams."""

from typing import Final, final

from sluicegate.adapters.render import wire
from sluicegate.core.decision import Admit, Refuse
from sluicegate.core.request import Request
from sluicegate.core.topics import InvalidTopic, canonical
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared import Clock
from sluicegate.server.events.hub import Asked, Hub
from sluicegate.server.events.publish import PublishExchange, not_allowed
from sluicegate.server.origin import Pages, not_from_there
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import empty, problem

_TROUBLE: Final = frozenset({500, 503})


@final
class Streaming:
    """What an event route does: GET is a stream, POST publishes."""

    def __init__(self, hub: Hub, pages: Pages, clock: Clock, *, retries: bool = False) -> None:
        self._hub: Final = hub
        self._pages: Final = pages
        self._cors: Final = pages.cors
        self._clock: Final = clock
        self._retries: Final = retries

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Serve one request."""
        cors = self._cors.lines(head)
        if self._pages.is_foreign(connection.peer, head, decision):
            connection.respond(not_from_there(request.id), more=cors, close=True)
            return
        try:
            topic = canonical(request.topic or "")
        except InvalidTopic as invalid:
            connection.respond(problem(400, "topic", _sentence(invalid), request_id=request.id), more=cors)
            return
        if head.method in {"GET", "HEAD"}:
            if head.block.length:
                answer = problem(400, "body", "A stream is asked for without a body", request_id=request.id)
                connection.respond(answer, more=cors, close=True)
                return
            retries = self._retries and is_event_source(head)
            self._hub.open(Asked(connection, head, request, topic, cors, self._clock.date, retries), decision)
        elif head.method == "POST":
            PublishExchange(connection, head, self._hub, decision, topic, request_id=request.id, cors=cors).start()
        elif head.method == "OPTIONS":
            connection.respond(empty(204, request_id=request.id), more=cors)
        else:
            connection.respond(not_allowed("GET, HEAD, POST, OPTIONS", request.id), more=cors)

    def comes_back(self, connection: Connection, head: Head, request: Request, refuse: Refuse) -> bool:
        """Have an `EventSource` come back that is refused for trouble of ours; tell whether that was done."""
        if not (self._retries and is_event_source(head) and wire(refuse.reason).status in _TROUBLE):
            return False
        connection.respond(self._hub.later(request.id), more=self._cors.lines(head), close=True)
        return True

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say what pages may do."""
        connection.respond(empty(204, request_id=request.id), more=self._cors.preflight(head))


def is_event_source(head: Head) -> bool:
    """Tell whether this asks as a page's `EventSource` does, which never asks again after an error (HTML, 9.2.3)."""
    return head.method == "GET" and b"text/event-stream" in head.block.by_name.get(b"accept", b"").lower()


@final
class Renewing:
    """What `…/renew` does: a running stream goes on with a fresh token."""

    def __init__(self, hub: Hub, pages: Pages) -> None:
        self._hub: Final = hub
        self._pages: Final = pages
        self._cors: Final = pages.cors

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Serve one request: the bearer has been admitted to the topic like any reader of it."""
        cors = self._cors.lines(head)
        stream_id = head.block.by_name.get(b"x-stream-id", b"").decode("latin-1")
        if self._pages.is_foreign(connection.peer, head, decision):
            connection.respond(not_from_there(request.id), more=cors, close=True)
        elif head.method != "POST":
            connection.respond(not_allowed("POST", request.id), more=cors)
        elif decision is not None and self._renewed(stream_id, request, decision):
            connection.respond(empty(204, request_id=request.id), more=cors)
        else:
            # the same for a stream of somebody else, of another topic, and for none: nobody learns which there are
            answer = problem(404, "stream", "There is no such stream to renew", request_id=request.id)
            connection.respond(answer, more=cors)

    def _renewed(self, stream_id: str, request: Request, decision: Admit) -> bool:
        try:
            return self._hub.renew(stream_id, canonical(request.topic or ""), decision)
        except InvalidTopic:
            return False

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say what pages may do."""
        connection.respond(empty(204, request_id=request.id), more=self._cors.preflight(head))


def _sentence(error: ValueError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
