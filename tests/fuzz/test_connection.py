"""Any split of the bytes, and any order of what happens meanwhile, gives what the bytes give at once."""

import re
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.fuzz.lines import LIMITS, Line
from tests.server.requests import REFUSED, SERVED

_POST: Final = b"POST /a HTTP/1.1\r\nHost: a.test\r\n"
_BODIES: Final = [
    _POST + b"Content-Length: 5\r\n\r\nhello",
    _POST + b"Content-Length: 60\r\n\r\n" + b"x" * 60,
    _POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n14\r\n" + b"y" * 20 + b"\r\n0\r\nX: y\r\n\r\n",
    _POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
]
_BROKEN: Final = [_POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n"]
_GOOD: Final = [b"GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n", *_BODIES, b"\r\n", *SERVED.values()]
_BAD: Final = [*(raw for raw, status in REFUSED.values() if status not in {414, 431}), *_BROKEN]


class AnySplit(RuleBasedStateMachine):
    """Bytes come in pieces while bodies are opened, requests answered, and the client reads or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(at_once=False)
        self.queued = b""
        self.came = b""
        self.choked = False

    @rule(messages=st.lists(st.sampled_from(_GOOD), min_size=1, max_size=3))
    def a_client_sends(self, messages: list[bytes]) -> None:
        self.queued += b"".join(messages)

    @rule(message=st.sampled_from(_BAD))
    def a_client_sends_what_is_no_request(self, message: bytes) -> None:
        self.queued += message

    @precondition(lambda self: self.queued and not self.line.transport.paused)
    @rule(count=st.integers(1, 90))
    def some_bytes_arrive(self, count: int) -> None:
        piece, self.queued = self.queued[:count], self.queued[count:]
        self.came += piece
        self.line.receive(piece)

    @precondition(lambda self: self.line.under_way is not None)
    @rule()
    def whoever_answers_takes_the_body(self) -> None:
        assert self.line.under_way is not None
        self.line.under_way.open()

    @precondition(lambda self: self.line.under_way is not None and self.line.under_way.ready)
    @rule(full=st.booleans())
    def whoever_answers_is_slow_or_not(self, *, full: bool) -> None:
        self.line.connection.intake.fill(full=full)

    @precondition(lambda self: self.line.under_way is not None and self.line.under_way.whole)
    @rule()
    def whoever_answers_answers(self) -> None:
        assert self.line.under_way is not None
        self.line.under_way.answer()

    @precondition(lambda self: not self.line.transport.closing)
    @rule()
    def the_client_stops_or_goes_on_reading(self) -> None:
        self.choked = not self.choked
        if self.choked:
            self.line.connection.pause_writing()
        else:
            self.line.connection.resume_writing()

    @invariant()
    def nothing_is_held_without_a_bound(self) -> None:
        intake = self.line.connection.intake
        assert len(intake.held) <= 90
        assert intake.upload is None or intake.upload.waiting <= LIMITS.buffer + 90

    def teardown(self) -> None:
        """Let everything come that was sent, and everything be answered; then compare."""
        if self.choked:
            self.line.connection.resume_writing()
        self.line.connection.intake.fill(full=False)
        self.line.settle()
        while self.queued and not self.line.transport.closing:
            before = len(self.queued)
            if not self.line.transport.paused:
                self.some_bytes_arrive(1000)
            self.line.settle()
            assert len(self.queued) < before or not self.line.transport.paused, "nobody goes on"
        self.came += self.queued
        ended = self.line.connection.eof_received() if not self.line.transport.closing else None
        whole = Line(at_once=True)
        whole.receive(self.came)
        whole.settle()
        assert self.line.requests == whole.requests
        assert _answers(self.line) == _answers(whole)
        if ended is not None:
            assert ended == whole.connection.eof_received()


def _answers(line: Line) -> list[bytes]:
    """Return the statuses: what a refusal says may depend on what was seen first."""
    return re.findall(rb"HTTP/1\.1 ([0-9]{3})", line.transport.written)


TestAnySplit = AnySplit.TestCase
TestAnySplit.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
