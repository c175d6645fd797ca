"""What was read from a client and is not used up yet: the body of a request in flight, and what came behind it."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol, final

from sluicegate.server.wire.body import Body, Chunked, Counted, UntilClose
from sluicegate.server.wire.head import CHUNKED
from sluicegate.server.wire.limits import Limits

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
    """The body of the request in flight, and what came behind it.

    While there is any of the latter, or while nobody takes the body, reading stops. Otherwise it goes on, because a
    client that leaves shows itself only to a reader.
    """

    __slots__ = ("_full", "_limits", "_transport", "held", "parted", "stopped", "upload")

    def __init__(self, transport: asyncio.Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits: Final = limits
        self._full = False
        self.stopped = False
        self.held = b""
        self.parted = False
        """Of the last body that there was, some came later than its head."""
        self.upload: Upload | None = None
        """A body of which something is still to come, to be handed on, or to be thrown away."""

    @property
    def whole(self) -> bool:
        """Tell whether the whole body has come."""
        return self.upload is None or self.upload.whole

    @property
    def trailers(self) -> Sequence[bytes]:
        """The field lines behind the body, while its end is handed on."""
        return () if self.upload is None else self.upload.trailers

    def open(self, length: int, data: bytes) -> bytes:
        """Begin with a body; return what comes after it in these bytes. Raises `Malformed`."""
        upload = self.upload = Upload(length, self._limits)
        behind = self.receive(data, None) if data else b""
        self.parted = not upload.whole
        return behind

    def receive(self, data: bytes, exchange: Exchange | None) -> bytes:
        """Take some bytes of the body, and hand them on where they can be; return what comes after it.

        Raises `Malformed`.
        """
        upload = self.upload
        if upload is None or upload.whole:  # it only waits to be taken
            return data
        behind = upload.read(data, exchange)
        if upload.waiting > self._limits.buffer:
            self.fill(full=True)
        if upload.over:
            self.upload = None
        return behind

    @property
    def endless(self) -> bool:
        """Tell whether all that comes belongs to what has the connection now."""
        return self.upload is not None and self.upload.endless

    def switch(self, exchange: Exchange) -> None:
        """Hand everything from here on to an exchange, what is held first: it is no HTTP any more."""
        held, self.held = self.held, b""
        self.upload = Upload(None, self._limits)
        if held:
            self.receive(held, exchange)
        self.update()

    def offer(self, exchange: Exchange) -> None:
        """Give what has come of the body to an exchange that has become ready."""
        upload = self.upload
        if upload is None:
            exchange.body_end()
            return
        self.fill(full=False)
        upload.offer(exchange)
        if upload.over:
            self.upload = None

    def discard(self) -> None:
        """Keep nothing of the body: the answer was given without it. What is still to come is thrown away."""
        if self.upload is not None:
            self.upload.discard()
            if self.upload.over or self.upload.endless:
                self.upload = None

    def hold(self, data: bytes) -> None:
        """Keep this until its turn, unless that never comes."""
        if data and self is not NOTHING:
            self.held += data
            self.update()

    def take(self) -> bytes:
        """Return what was held. Reading goes on with the next `update`, when it is known what became of it."""
        data, self.held = self.held, b""
        return data

    def drop(self) -> None:
        """Forget everything; what still comes is read only to be thrown away."""
        self.upload = None
        self.held = b""
        self.fill(full=False)

    def moved_to(self, transport: asyncio.Transport, *, is_read: bool) -> "Intake":
        """Return what comes in by another transport, or by one from which nothing is read."""
        if transport is self._transport or is_read:
            self._transport = transport
            return self
        return NOTHING

    def fill(self, *, full: bool) -> None:
        """Say whether whoever takes the body can take no more."""
        self._full = full
        self.update()

    def update(self) -> None:
        """Read on, or stop reading."""
        stopped = bool(self.held) or self._full
        if stopped == self.stopped or self._transport.is_closing():
            return
        self.stopped = stopped
        if stopped:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


NOTHING: Final = Intake(asyncio.Transport(), Limits())
"""What comes in by a bare socket, from which nothing is read: one for all of them."""


@final
class Upload:
    """A body on its way in: handed on as it comes, held while nobody takes it yet.

    `length` is in bytes, `CHUNKED`, or None for what goes on until the connection ends.
    """

    __slots__ = ("_body", "_pieces", "_unwanted", "waiting")

    def __init__(self, length: int | None, limits: Limits) -> None:
        self._body: Final[Body] = (
            UntilClose() if length is None else Chunked(limits) if length == CHUNKED else Counted(length)
        )
        self._pieces: list[bytes] = []
        self._unwanted = False
        self.waiting = 0
        """Bytes that are held."""

    @property
    def whole(self) -> bool:
        """Tell whether all of it has come."""
        return self._body.done

    @property
    def endless(self) -> bool:
        """Tell whether it ends with the connection only."""
        return isinstance(self._body, UntilClose)

    @property
    def trailers(self) -> Sequence[bytes]:
        """The field lines behind it, once it is whole."""
        return self._body.trailers

    @property
    def over(self) -> bool:
        """Tell whether all of it has come, and none is left to hand on."""
        return self._body.done and not self._pieces

    def is_costly(self, *, expects: bool) -> bool:
        """Tell whether to read the rest only to throw it away would cost more than the connection.

        It is not known how long it is, or it is long; or the client `expects` to be told before it sends it.
        """
        short = isinstance(self._body, Counted) and self._body.left <= _MOST_DISCARDED
        return not self._body.done and (expects or not short)

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
            self.waiting += len(piece)
        return self._body.rest

    def offer(self, exchange: Exchange) -> None:
        """Give what was held to an exchange that has become ready."""
        pieces, self._pieces = self._pieces, []
        self.waiting = 0
        for piece in pieces:
            exchange.body(piece)
        if self._body.done:
            exchange.body_end()

    def discard(self) -> None:
        """Keep nothing of it, now and from now on."""
        self._unwanted = True
        self._pieces = []
        self.waiting = 0
