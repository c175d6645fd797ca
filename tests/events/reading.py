"""A reader of event streams, written from the WHATWG text (HTML, 9.2.6) and from nothing of ours."""

from dataclasses import dataclass, field
from typing import Final, final


@dataclass(frozen=True, slots=True)
class Dispatched:
    """An event as a page gets it."""

    type: str
    data: str
    last_event_id: str


@final
@dataclass(slots=True)
class Reader:
    """Takes bytes, however they are cut, and dispatches events."""

    events: list[Dispatched] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    retry: int | None = None
    last_event_id: str = ""
    _pending: bytes = b""
    _begun: bool = False
    _type: str = ""
    _data: str = ""

    def feed(self, stream: bytes) -> list[Dispatched]:
        """Take some bytes; return what they dispatched. A CR at the very end waits: an LF may follow it."""
        already = len(self.events)
        self._pending += stream
        if not self._begun and len(self._pending) >= 3:
            self._pending = self._pending.removeprefix(b"\xef\xbb\xbf")
            self._begun = True
        while (cut := _line_end(self._pending)) is not None:
            end, after = cut
            self._line(self._pending[:end].decode("utf-8", "replace"))
            self._pending = self._pending[after:]
        return self.events[already:]

    def _line(self, line: str) -> None:
        if line == "":
            self._dispatch()
        elif line.startswith(":"):
            self.comments.append(line[1:].removeprefix(" "))
        else:
            name, colon, value = line.partition(":")
            self._field(name, value.removeprefix(" ") if colon else "")

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self.last_event_id = value
        elif name == "retry" and value and all(digit in _DIGITS for digit in value):
            self.retry = int(value)

    def _dispatch(self) -> None:
        data, self._data = self._data, ""
        kind, self._type = self._type, ""
        if data == "":
            return
        self.events.append(Dispatched(kind or "message", data.removesuffix("\n"), self.last_event_id))


_DIGITS: Final = frozenset("0123456789")


def _line_end(data: bytes) -> tuple[int, int] | None:
    for place, byte in enumerate(data):
        if byte == 0x0A:
            return place, place + 1
        if byte == 0x0D:
            if place + 1 == len(data):
                return None
            return place, place + 2 if data[place + 1] == 0x0A else place + 1
    return None


def read(stream: bytes) -> Reader:
    """Read a whole stream."""
    reader = Reader()
    reader.feed(stream)
    return reader
