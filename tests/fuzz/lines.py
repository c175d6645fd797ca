"""A connection without a socket: the protocol's own code, a transport in memory, and whoever answers."""

import asyncio
from typing import Any, Final, final

from sluicegate.adapters.render import Response
from sluicegate.server.connection.protocol import Connection
from sluicegate.server.connection.shared import Shared
from sluicegate.server.wire.head import Head
from sluicegate.server.wire.limits import Limits

LIMITS: Final = Limits(buffer=24, body=10_000)
_OK: Final = Response(200, (("Content-Length", "2"),), b"ok")


@final
class Transport(asyncio.Transport):
    """Takes what is written, and does as asyncio's does: no reading while paused, nothing after its end."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1)})
        self.written = b""
        self.paused = False
        self.closing = False
        self.finished = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.finished, "written behind the end"
        self.written += b"" if self.closing else bytes(data)

    def writelines(self, list_of_data: Any) -> None:  # noqa: ANN401 - as typeshed has it
        self.write(b"".join(list_of_data))

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.finished = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


@final
class Taken:
    """One request under way: takes its body as slowly as it is told to, and is answered when it is told to."""

    def __init__(self, line: "Line", head: Head) -> None:
        self._line = line
        self.head = head
        self.content = b""
        self.whole = not head.block.length
        self.ready = False
        self.choked = False

    def body(self, data: bytes) -> None:
        assert self.ready
        assert not self.whole
        self.content += data

    def body_end(self) -> None:
        assert not self.whole, "the body ended twice"
        self.whole = True

    def pause(self) -> None:
        self.choked = True

    def resume(self) -> None:
        self.choked = False

    def cancel(self) -> bool:
        self._line.under_way = None
        return False

    def late(self) -> None:
        raise NotImplementedError

    def open(self) -> None:
        """Take the body from now on."""
        if not self.ready:
            self.ready = True
            if self.head.block.length:
                self._line.connection.intake.offer(self)

    def answer(self) -> None:
        """Answer, once the body has come."""
        line = self._line
        line.requests.append((self.head.method, self.head.target.origin_form, self.content))
        line.under_way = None
        line.connection.respond(_OK)


@final
class Line:
    """One client's connection. Bytes go in when the protocol reads; requests come out one at a time."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self.requests: list[tuple[str, bytes, bytes]] = []
        self.under_way: Taken | None = None
        self.transport = Transport()
        self.connection = Connection(Shared(self._take, LIMITS, lambda _: False))
        self.connection.connection_made(self.transport)

    def _take(self, connection: Connection, head: Head) -> None:
        assert self.under_way is None, "two requests under way"
        self.under_way = taken = Taken(self, head)
        connection.begin(taken)
        if self._at_once:
            taken.open()

    def receive(self, data: bytes) -> None:
        """Hand bytes to the protocol, as a transport does that is neither paused nor closed."""
        if data and not self.transport.paused and not self.transport.closing:
            self.connection.data_received(data)

    def settle(self) -> None:
        """Open and answer whatever is under way, until nothing is, or it waits for more."""
        while (taken := self.under_way) is not None:
            taken.open()
            if not taken.whole:
                return
            taken.answer()
