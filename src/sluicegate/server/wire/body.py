"""The body of a message: bytes in, its content out, and where it ends. Pure; the same for requests and responses."""

import re
from collections.abc import Sequence
from typing import ClassVar, Final, Protocol, final

from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed

_LONGEST_LINE: Final = 1024  # a chunk's size with its extensions, which nobody uses
_MOST_EXTENSIONS: Final = 16_384  # of all chunks together: what is read and dropped is work that no limit counts
# What an upstream may say behind its content: 64 KiB, as before it, and more lines than any service has to say.
_UPSTREAMS: Final = Limits(field=16_384, fields=1000)

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[ \t]*" + _TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*"
)
_PLAIN: Final = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
_TRAILER: Final = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")


class Body(Protocol):
    """Knows where a body ends."""

    done: bool
    rest: bytes
    """What came after the end."""
    sized: ClassVar[bool]
    """Its length is told beforehand."""

    @property
    def trailers(self) -> Sequence[bytes]:
        """The field lines behind the content, once it is done."""
        ...

    def read(self, data: bytes) -> bytes:
        """Return the content in these bytes. Raises `Malformed`."""
        ...


@final
class Counted:
    """A body with a length."""

    __slots__ = ("done", "left", "length", "rest")
    sized: ClassVar[bool] = True
    trailers: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, length: int) -> None:
        self.length: Final = length
        self.left = length
        self.done = length == 0
        self.rest = b""

    def read(self, data: bytes) -> bytes:
        """Return what belongs to the body."""
        over = len(data) - self.left
        if over < 0:
            self.left = -over
            return data
        content = data
        if over:
            self.rest, content = data[self.left :], data[: self.left]
        self.left, self.done = 0, True
        return content


@final
class UntilClose:
    """A response that ends with its connection (RFC 9112, 6.3, rule 8)."""

    __slots__ = ("done", "rest")
    sized: ClassVar[bool] = False
    trailers: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def read(self, data: bytes) -> bytes:
        """Return all of it."""
        return data


@final
class Chunked:
    """A chunked body (RFC 9112, 7.1). Extensions are checked and dropped.

    Strict on line ends and sizes, because it is here that readers have been led apart: a bare LF, an extension that
    hides one, a size that overflows. What `limits` say of header fields bounds the trailers: many servers make the one
    of the other.
    """

    __slots__ = ("_at_trailers", "_extended", "_left", "_limits", "_line", "_size", "done", "rest", "trailers")
    sized: ClassVar[bool] = False

    def __init__(self, limits: Limits = _UPSTREAMS) -> None:
        self._limits: Final = limits
        self._size = 0
        self._extended = 0
        self._left = 0
        self._line = b""
        self._at_trailers = False
        self.trailers: list[bytes] = []
        self.done = False
        self.rest = b""

    def read(self, data: bytes) -> bytes:
        """Return the content in these bytes, of however many chunks."""
        pieces: list[bytes] = []
        place, size = 0, len(data)
        while place < size:
            left = self._left
            if left > 2:  # noqa: PLR2004 - the chunk's own end
                end = place + left - 2
                pieces.append(data[place:end])
                if data.startswith(b"\r\n", end):
                    place, self._left = end + 2, 0
                else:
                    self._left -= min(end, size) - place
                    place = end
            elif left:
                # the CRLF that belongs to the chunk, where it was cut
                if data[place] != (13 if left == 2 else 10):  # noqa: PLR2004 - CR, then LF
                    raise _bad("A chunk does not end where its size says")
                place += 1
                self._left -= 1
            elif not (self._line or self._at_trailers) and (matched := _PLAIN.match(data, place)) is not None:
                # what nearly all are, read where it stands
                self._begin(int(matched[1], 16))
                place = matched.end()
            else:
                place = self._take_line(data, place)
                if self.done:
                    self.rest = data[place:]
                    break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_line(self, data: bytes, place: int) -> int:
        end = data.find(b"\n", place)
        line = self._line + (data[place:] if end < 0 else data[place : end + 1])
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        longest = self._limits.field if self._at_trailers else _LONGEST_LINE
        # of a bare CR and a line too long the first counts: the answer must not hang on how the line was cut
        if b"\r" in text[:longest]:
            raise _bad("A line between chunks ends in a bare CR")
        if len(text) > longest:
            raise _large("A trailer is too long") if self._at_trailers else _bad("A line between chunks is too long")
        if end < 0:
            self._line = line
            return len(data)
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise _bad("A line between chunks ends in a bare LF")
        if self._at_trailers:
            self._trailer(text)
        else:
            self._start_chunk(text)
        return end + 1

    def _start_chunk(self, line: bytes) -> None:
        matched = _SIZE.fullmatch(line)
        if matched is None:
            raise _bad("A chunk has no size")
        self._extended += len(line) - matched.end(1)
        if self._extended > _MOST_EXTENSIONS:  # CVE-2023-39326, CVE-2024-22019
            raise _bad("The extensions of the chunks are too long together")
        self._begin(int(matched[1], 16))

    def _begin(self, size: int) -> None:
        if size == 0:
            self._size = 0
            self._at_trailers = True
            return
        self._size += size
        if self._limits.body is not None and self._size > self._limits.body:
            raise Malformed(413, "body_size", "A request body is too long")
        self._left = size + 2

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        if _TRAILER.fullmatch(line) is None:
            raise _bad("A trailer is no field")
        name, _, value = line.partition(b":")
        # as it came or as it goes on, with a space and without others, whichever is longer
        self._size += max(len(line), len(name) + 2 + len(value.strip(b" \t"))) + 2
        if self._size > self._limits.head:
            raise _large("The trailers are too long together")
        if len(self.trailers) == self._limits.fields:
            raise Malformed(431, "header_count", "There are too many trailers")
        self.trailers.append(line)


def _large(message: str) -> Malformed:
    return Malformed(431, "header_size", message)


def _bad(message: str) -> Malformed:
    return Malformed(400, "framing", message)
