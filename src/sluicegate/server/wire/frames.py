"""Where WebSocket frames end, and the frame that closes (RFC 6455, 5.2 and 5.5.1). Payloads are never looked at."""

import secrets
from typing import Final, final

_CLOSE: Final = 8
_SHORT, _LONG = 126, 127
_MASKED: Final = 0x80
_LONGEST_REASON: Final = 123  # a control frame holds 125 bytes, two of which are the code


@final
class Frames:
    """Follows the frames of one direction, however their bytes are cut. It costs a few comparisons a frame."""

    __slots__ = ("_begun", "_left", "is_closed")

    def __init__(self) -> None:
        self._left = 0  # bytes of a payload that are still to come
        self._begun = b""  # part of a frame's header
        self.is_closed = False
        """A close frame has begun: nothing may follow it."""

    @property
    def at_boundary(self) -> bool:
        """Tell whether a frame may begin here."""
        return not self._left and not self._begun

    def feed(self, data: bytes) -> None:
        """Take note of some bytes."""
        place = self._left
        if place >= len(data):
            self._left = place - len(data)
            return
        if self._begun:
            data = self._begun + data
        size = len(data)
        last = size - 1
        while place < last:
            second = data[place + 1]
            length = second & 0x7F
            start = place + 6 if second >= _MASKED else place + 2
            if length >= _SHORT:  # the length stands in bytes of its own
                wide = 8 if length == _LONG else 2
                start += wide
                length = int.from_bytes(data[place + 2 : place + 2 + wide])
            if start > size:
                break
            if data[place] & 0x0F == _CLOSE:
                self.is_closed = True
            place = start + length
        self._begun = data[place:]
        self._left = max(0, place - size)

    def rest_of(self, data: bytes) -> bytes:
        """Take note of what of these bytes belongs to the frame that is under way, and return it."""
        place = 0
        while self._begun and place < len(data):
            self.feed(data[place : place + 1])
            place += 1
        end = min(place + self._left, len(data))
        self.feed(data[place:end])
        return data[:end]


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """Write a close frame; what a client sends is masked (RFC 6455, 5.3), what a server sends is not."""
    payload = code.to_bytes(2) + reason.encode("ascii")[:_LONGEST_REASON]
    head = bytes((0x80 | _CLOSE, len(payload) | (_MASKED if masked else 0)))
    if not masked:
        return head + payload
    mask = secrets.token_bytes(4)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
