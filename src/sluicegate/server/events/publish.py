"""Publishing over HTTP: one request, one event; and what is no event is told so, and reaches nobody."""

from collections.abc import Awaitable, Coroutine
from typing import Any, Final, final

import msgspec

from sluicegate.adapters.render import Response, refusal
from sluicegate.core.decision import Admit, Refuse
from sluicegate.errors import EventsUnavailable
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.events.hub import Hub
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.respond import out_of_reach, problem
from sluicegate.sse.broker import Published
from sluicegate.sse.event import InvalidEvent, published_name, text_of

_JSON: Final = b"application/json"
_TEXT: Final = b"text/plain"


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    """What a publisher sends as JSON. `data` that is no string is sent as its compact JSON."""

    data: Any
    event: str = ""


_decode: Final = msgspec.json.Decoder(_Said).decode


def read_event(kind: bytes, body: bytes) -> tuple[str, str]:
    """Read what is to be published into its name and data. Raises `InvalidEvent`, and repeats nothing of it."""
    if kind == _TEXT:
        return "", text_of(body)
    text_of(body)
    try:
        said = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidEvent('the body is no JSON object {"event": …, "data": …} with data in it') from None
    data = said.data if isinstance(said.data, str) else msgspec.json.encode(said.data).decode()
    return published_name(said.event), data


def not_allowed(allowed: str, request_id: str) -> Response:
    """Return the answer to a method that means nothing here (RFC 9110, 15.5.6)."""
    answer = problem(405, "method", "This method means nothing here", request_id=request_id)
    headers = tuple(field for field in answer.headers if field[0] != "Allow")
    return Response(answer.status, (*headers, ("Allow", allowed)), answer.body, answer.reason)


def said(status: int, fields: dict[str, Any], request_id: str) -> Response:
    """Return an answer of JSON that nobody keeps."""
    body = msgspec.json.encode(fields)
    headers = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Request-ID", request_id),
    )
    return Response(status, headers, body)


@final
class PublishExchange:
    """Takes the body of one POST, up to a bound, and publishes it."""

    __slots__ = (
        "_client",
        "_cors",
        "_decision",
        "_hub",
        "_id",
        "_kind",
        "_length",
        "_pieces",
        "_size",
        "_topic",
        "ready",
    )

    def __init__(
        self,
        client: Connection,
        head: Head,
        hub: Hub,
        decision: Admit | None,
        topic: str,
        *,
        request_id: str,
        cors: bytes,
    ) -> None:
        self._client: Final = client
        self._hub: Final = hub
        self._decision: Final = decision
        self._topic: Final = topic
        self._id: Final = request_id
        self._cors: Final = cors
        kind, _, parameters = head.block.by_name.get(b"content-type", b"").lower().partition(b";")
        charset = parameters.replace(b'"', b"").strip()
        self._kind: Final = kind.strip() if charset in {b"", b"charset=utf-8", b"charset=us-ascii"} else b""
        self._length: Final = head.block.length
        self._pieces: list[bytes] = []
        self._size = 0
        self.ready = True

    def start(self) -> None:
        """Begin to take the body."""
        self._client.begin(self)
        if self._kind not in {_JSON, _TEXT}:
            self._refuse(415, "media_type", "Send application/json or text/plain, in UTF-8")
        elif self._length > self._hub.pace.largest:
            self._too_long()
        else:
            self._client.intake.offer(self)

    def body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if not self.ready:
            return
        self._size += len(data)
        if self._size > self._hub.pace.largest:
            self._too_long()
        else:
            self._pieces.append(data)

    def body_end(self) -> None:
        """The body is whole: publish it."""
        if not self.ready:
            return
        self.ready = False
        # A body may take its time, and its token end meanwhile. What came with its head, was decided about as a whole.
        is_parted = self._length and self._client.intake.parted
        refuse = self._hub.ask(self._decision) if is_parted and self._decision is not None else None
        if isinstance(refuse, Coroutine):
            self._client.wait(self._asked(refuse))
        elif (pending := self._settle(refuse)) is not None:
            self._client.wait(self._later(pending))

    async def _asked(self, pending: Awaitable[Refuse | None]) -> None:
        if (published := self._settle(await pending)) is not None:
            await self._later(published)

    def _settle(self, refuse: Refuse | None) -> Awaitable[Published] | None:
        """Refuse or publish; return what is still to come of it."""
        if refuse is not None:
            self._pieces = []
            self._client.respond(refusal(refuse, request_id=self._id), more=self._cors)
            return None
        broker = self._hub.broker
        if broker.is_closed:  # another process has the history by now: the client comes again, and finds it
            self._refuse(503, "stopping", "This worker ends; send it again", close=True)
            return None
        try:
            event, data = read_event(self._kind, b"".join(self._pieces))
            published = broker.publish(self._topic, data, event=event)
        except InvalidEvent as invalid:
            text = str(invalid)
            self._refuse(400, "event", text[:1].upper() + text[1:])
            return None
        self._pieces = []
        if isinstance(published, Published):
            self._tell(published)
            return None
        return published

    async def _later(self, pending: Awaitable[Published]) -> None:
        try:
            self._tell(await pending)
        except EventsUnavailable as away:
            self._client.respond(out_of_reach(self._id, unknown=away.unknown), more=self._cors)

    def _tell(self, published: Published) -> None:
        # an id is a promise that a reader who comes back with it misses nothing: only for what is kept
        answer = said(201, {"id": published.id}, self._id) if published.kept else said(202, {}, self._id)
        self._client.respond(answer, more=self._cors)

    def _too_long(self) -> None:
        self._refuse(413, "event_size", f"An event has at most {self._hub.pace.largest} bytes", close=True)

    def _refuse(self, status: int, reason: str, message: str, *, close: bool = False) -> None:
        self.ready = False
        self._pieces = []
        self._client.respond(problem(status, reason, message, request_id=self._id), more=self._cors, close=close)

    def pause(self) -> None:
        """Nothing is being written."""

    def resume(self) -> None:
        """Likewise."""

    def cancel(self) -> bool:
        """Give up: nothing was published."""
        self.ready = False
        return False

    def late(self) -> None:
        """The body does not come."""
        self._refuse(408, "timeout", "The request did not come in time", close=True)
