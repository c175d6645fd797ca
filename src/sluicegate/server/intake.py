"""What was read from a client and is not used up yet: the body of a request in flight, and what came behind it."""

import asyncio
from typing import Final, Protocol, final

from sluicegate.server.body import Body, Chunked, Counted
from sluicegate.server.head import CHUNKED

_MOST_DISCARDED: Final = 65_536  # of a body that nobody wants, to keep the connection; a longer one costs it


class Exchange(Protocol):
    """A request under way elsewhere. It takes the body, and answers by the connection's methods."""

    ready: bool
    """It can take the body."""

    def body(self, data: bytes) -> None:
        """Take a piece of the body."""
        ...

    def body_end(self) -> None:
        """Take note that the body was whole."""
        ...

    def pause(self) -> None:
        """Send no more for now: the client is slow."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...

    def cancel(self) -> bool:
        """Give up; tell whether an answer had begun."""
        ...

    def late(self) -> None:
        """A deadline has passed: answer for it, or break off."""
        ...


@final
class Intake:
    """What came behind the request in flight. While there is any, or while nobody takes a body, reading stops.

    Otherwise it goes on, because a client that leaves shows itself only to a reader.
    """

    __slots__ = ("_full", "_reading", "_transport", "held")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport: Final = transport
        self._reading = True
        self._full = False
        self.held = b""

    def hold(self, data: bytes) -> None:
        """Keep this until its turn."""
        self.held += data
        self.update()

    def take(self) -> bytes:
        """Return what was held. Reading goes on with the next `update`, when it is known what became of it."""
        data, self.held = self.held, b""
        return data

    def fill(self, *, full: bool) -> None:
        """Say whether whoever takes the body can take no more."""
        self._full = full
        self.update()

    def update(self) -> None:
        """Read on, or stop reading."""
        reading = not (self.held or self._full)
        if reading == self._reading or self._transport.is_closing():
            return
        self._reading = reading
        if reading:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


@final
class Upload:
    """A body on its way in: handed on as it comes, held up to a bound while nobody takes it yet."""

    __slots__ = ("_body", "_bound", "_intake", "_pieces", "_unwanted", "_waiting")

    def __init__(self, length: int, *, intake: Intake, limit: int | None, bound: int) -> None:
        self._body: Final[Body] = Chunked(limit) if length == CHUNKED else Counted(length)
        self._intake: Final = intake
        self._bound: Final = bound
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._unwanted = False

    @property
    def whole(self) -> bool:
        """Tell whether all of it has come."""
        return self._body.done

    @property
    def over(self) -> bool:
        """Tell whether all of it has come, and none is left to hand on."""
        return self._body.done and not self._pieces

    @property
    def short(self) -> bool:
        """Tell whether what is still to come is known, and little enough to be thrown away."""
        return isinstance(self._body, Counted) and self._body.left <= _MOST_DISCARDED

    def read(self, data: bytes, exchange: Exchange | None) -> bytes:
        """Take some bytes; return those that come after the body. Raises `Malformed`."""
        piece = self._body.read(data)
        if exchange is not None and exchange.ready:
            if piece:
                exchange.body(piece)
            if self._body.done:
                exchange.body_end()
        elif piece and not self._unwanted:
            self._pieces.append(piece)
            self._waiting += len(piece)
            if self._waiting > self._bound:
                self._intake.fill(full=True)
        return self._body.rest

    def offer(self, exchange: Exchange) -> None:
        """Give what was held to an exchange that has become ready."""
        pieces, self._pieces = self._pieces, []
        self._waiting = 0
        self._intake.fill(full=False)
        for piece in pieces:
            exchange.body(piece)
        if self._body.done:
            exchange.body_end()

    def discard(self) -> None:
        """Keep nothing of it, now and from now on: the answer was given without it."""
        self._unwanted = True
        self._pieces = []
        self._intake.fill(full=False)
