"""What the routes of the hub do with requests that may pass: streams, publishing, fresh tokens for running streams."""

from typing import Final, final

from sluicegate.adapters.render import Response
from sluicegate.core.decision import Admit
from sluicegate.core.request import Request
from sluicegate.core.topics import InvalidTopic, canonical
from sluicegate.server.cors import Cors
from sluicegate.server.head import Head
from sluicegate.server.hub import Asked, Hub
from sluicegate.server.protocol import Connection
from sluicegate.server.publish import PublishExchange, not_allowed
from sluicegate.server.respond import empty, problem
from sluicegate.server.shared import Clock


@final
class Streaming:
    """What an event route does: GET is a stream, POST publishes."""

    def __init__(self, hub: Hub, cors: Cors, clock: Clock) -> None:
        self._hub: Final = hub
        self._cors: Final = cors
        self._clock: Final = clock

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Serve one request."""
        cors = self._cors.lines(head)
        if _is_foreign(head, decision, self._cors):
            connection.respond(_not_from_there(request), more=cors, close=True)
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
            self._hub.open(Asked(connection, head, request, topic, cors, self._clock.date), decision)
        elif head.method == "POST":
            PublishExchange(connection, head, self._hub.broker, topic, request_id=request.id, cors=cors).start(
                self._hub.pace.largest
            )
        elif head.method == "OPTIONS":
            connection.respond(empty(204, request_id=request.id), more=cors)
        else:
            connection.respond(not_allowed("GET, HEAD, POST, OPTIONS", request.id), more=cors)

    def preflight(self, connection: Connection, head: Head, request: Request) -> None:
        """Say what pages may do."""
        connection.respond(empty(204, request_id=request.id), more=self._cors.preflight(head))


@final
class Renewing:
    """What `…/renew` does: a running stream goes on with a fresh token."""

    def __init__(self, hub: Hub, cors: Cors) -> None:
        self._hub: Final = hub
        self._cors: Final = cors

    def admit(self, connection: Connection, head: Head, request: Request, decision: Admit | None) -> None:
        """Serve one request: the bearer has been admitted to the topic like any reader of it."""
        cors = self._cors.lines(head)
        stream_id = head.block.by_name.get(b"x-stream-id", b"").decode("latin-1")
        if _is_foreign(head, decision, self._cors):
            connection.respond(_not_from_there(request), more=cors, close=True)
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


def _is_foreign(head: Head, decision: Admit | None, cors: Cors) -> bool:
    """Tell whether a page of somebody else's sent this, with a cookie that the browser added.

    A cookie goes along whoever asks, so with one a request must come from a page of this host, or of an origin that the
    operator lists by name. Browsers leave `Origin` out only where a page asks its own host, and say so too.
    """
    if decision is None or decision.source is None or decision.source.kind != "cookie":
        return False
    origin = head.block.by_name.get(b"origin")
    if origin is None:
        return head.block.by_name.get(b"sec-fetch-site", b"none") not in {b"none", b"same-origin"}
    return origin.partition(b"://")[2].lower() != head.block.host.lower() and not cors.names(origin)


def _not_from_there(request: Request) -> Response:
    return problem(403, "origin", "A page of another origin may not use this cookie here", request_id=request.id)


def _sentence(error: ValueError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
