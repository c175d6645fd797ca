"""How a response reaches its client: as the upstream framed it, in chunks of ours, or until the connection ends."""

from typing import Final, final

from sluicegate.adapters.render import Response
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.wire.body import Body
from sluicegate.server.wire.head import Block, Head
from sluicegate.server.wire.reply import Reply
from sluicegate.server.wire.respond import connection_line
from sluicegate.server.wire.trailers import LAST_CHUNK, closing

_FOR_PREFLIGHTS: Final = (b"access-control-", b"allow:", b"date:", b"vary:")
_WITHOUT_LENGTH: Final = frozenset({204, 304})  # RFC 9110, 8.6: none of ours says how long the other is


@final
class Framing:
    """How one response is framed for its client; `cors` are the lines that tell which pages may read it.

    `bare`: only what answers a preflight goes on. Nobody was asked for a token, so nobody gets content for it, from an
    upstream that does not look at the method, either. `upgrades`: the request wants another protocol.
    """

    __slots__ = ("_upgrades", "bare", "chunked", "cors", "last", "tells")

    def __init__(self, cors: bytes, *, bare: bool, upgrades: bool) -> None:
        self.cors: Final = cors
        self.bare: Final = bare
        self._upgrades: Final = upgrades
        self.chunked = False
        """Its pieces go into chunks of ours."""
        self.last = False
        """The connection ends with it."""
        self.tells = True
        """Its framing shows a client whether it came whole."""

    def head(self, reply: Reply, head: Head, client: Connection, *, date: bytes, id_line: bytes) -> bytes:
        """Write the head that the client gets, framed for it, and ours where the upstream's says nothing."""
        http11 = head.block.http11
        # an answer before the end of the question: the rest of the question is not waited for
        self.last = client.last(head) or not (head.plain or client.intake.whole) or self._holds_frames(client)
        if self.bare:
            _strip(reply)
        elif reply.body is not None and not reply.body.sized:
            self.chunked = self.tells = http11
            self.last = self.last or not http11  # HTTP/1.0: the body ends where the connection does
        elif head.plain and not (self.last or self.cors) and b"date" in reply.fields:
            return b"%b%b\r\n" % (reply.lines, id_line)  # what nearly all come to
        lines = reply.for_client(chunked=self.chunked, cors=self.cors, date=date)
        return b"".join((*lines, connection_line(http11=http11, last=self.last), id_line, b"\r\n"))

    def answer(self, client: Connection, response: Response, *, close: bool = False) -> None:
        """Give an answer of our own in place of the upstream's."""
        client.respond(response, more=self.cors, close=close or self._holds_frames(client))

    def _holds_frames(self, client: Connection) -> bool:
        """Tell whether what came behind the request may be frames of what it wanted to speak, and no requests."""
        return self._upgrades and bool(client.intake.held)

    def piece(self, piece: bytes, body: Body, *, client: Block, reply: Reply) -> bytes:
        """Write a piece of the body, and its end where it is the last."""
        if not self.chunked:
            return piece
        out = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        return out + closing(body.trailers, client, reply) if body.done else out

    @property
    def end(self) -> bytes:
        """What ends a body that ended with the upstream's connection."""
        return LAST_CHUNK if self.chunked else b""


def _strip(reply: Reply) -> None:
    """Leave of a response its status, and what a browser reads of it after a preflight (WHATWG Fetch, 4.8)."""
    start, *fields = reply.lines.split(b"\r\n")
    kept = [line for line in fields if line.lower().startswith(_FOR_PREFLIGHTS)]
    length = [] if reply.status in _WITHOUT_LENGTH else [b"Content-Length: 0"]
    reply.lines = b"\r\n".join((start, *kept, *length, b""))
