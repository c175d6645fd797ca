"""Letters between the supervisor and a worker: small, whole, never waited for, with descriptors in the envelope."""

import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, final

import msgspec

from sluicegate.errors import Fault

_LARGEST: Final = 1 << 16
_MOST_DESCRIPTORS: Final = 253  # SCM_MAX_FD, unix(7)

Kind = Literal[
    "prepared", "ready", "retired", "failed", "ask", "report", "open", "adopt", "retire", "stop", "tell", "roster"
]


class Letter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one says to the other.

    A worker says: it is `prepared`, all but accepting; it is `ready`, accepting; it has `retired`, accepts no more and
    holds nothing that another needs; it has `failed`, for these `faults`; it `ask`s how the others are; and its
    `report`. The supervisor says: `open`, accept; `adopt` the clients that come over the socket in the envelope;
    `retire`, and take so many `seconds` for what is in flight; `stop`, likewise; `tell` how you are, for the one of
    this `pid`; and the `roster` of those who are asked.
    """

    kind: Kind
    seconds: float = 0
    number: int = 0
    """Tells one question from another."""
    pid: int = 0
    """Who asks, or who reports."""
    faults: tuple[Fault, ...] = ()
    body: Any = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Letter).decode


@final
class Post:
    """One end of a channel."""

    def __init__(self, end: socket.socket) -> None:
        self._end: Final = end
        end.setblocking(False)  # noqa: FBT003 - the standard library's
        self.is_over = False
        """The other side has gone."""

    @classmethod
    def pair(cls) -> tuple["Post", "Post"]:
        """Return both ends of a new channel. A letter arrives whole or not at all (SOCK_SEQPACKET, unix(7))."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), cls(theirs)

    def fileno(self) -> int:
        """Return the descriptor, to wait on."""
        return self._end.fileno()

    def send(self, letter: Letter, descriptors: Sequence[int] = ()) -> bool:
        """Send a letter; tell whether it left: not where a busy reader has left no room, and not a long one."""
        text = _encode(letter)
        if len(text) > _LARGEST:
            return False
        try:
            socket.send_fds(self._end, [text], list(descriptors))
        except OSError:
            return False
        return True

    def receive(self) -> Iterator[tuple[Letter, list[int]]]:
        """Take what has come."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._end, _LARGEST, _MOST_DESCRIPTORS)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            try:
                letter = _decode(data)  # nothing has come: it is the end
            except msgspec.DecodeError:
                self.is_over = True
                return
            yield letter, descriptors

    def __enter__(self) -> "Post":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of this end."""
        self._end.close()
