"""The same status, body and identity from every shape of the gate, row for row."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from sluicegate import Reason
from tests.table.row import Row, as_headers
from tests.table.rows import ROWS
from tests.table.shapes import SHAPES, Send, Shape

PAIRS = [
    pytest.param(shape, row, id=f"{shape.name}: {row.name}")
    for shape in SHAPES
    for row in ROWS
    if row.gate in shape.gates
]


class Started:
    """The shape under test, started for its first row and ended when another one's turn comes."""

    def __init__(self) -> None:
        self._shape: Shape | None = None
        self._stack = ExitStack()
        self._send: Send | None = None

    def __call__(self, shape: Shape) -> Send:
        """Return what sends rows to this shape."""
        if self._shape is not shape:
            self.close()
            self._shape = shape
            self._send = self._stack.enter_context(shape.start())
        # the first row says why; the others need not wait for it again
        assert self._send is not None, f"{shape.name} did not start"
        return self._send

    def close(self) -> None:
        """End what is running."""
        self._send = None
        self._stack.close()


@pytest.fixture(scope="module")
def started() -> Iterator[Started]:
    """One server at a time."""
    with closing(Started()) as started:
        yield started


@pytest.mark.parametrize(("shape", "row"), PAIRS)
def test_every_shape_answers_alike(shape: Shape, row: Row, started: Started) -> None:
    send = started(shape)
    got = send(row)
    unlike = row.unlike.get(shape.name)
    if unlike is not None:
        assert (got.status, got.identity, got.spoofed) == (unlike.status, None, ()), unlike.why
        return
    assert (got.status, got.body) == (row.status, row.body)
    assert got.identity == (row.identity if shape.shows == "identity" else as_headers(row.identity))
    assert got.spoofed == ()
    assert got.challenge == row.challenge
    assert got.error_type == ("api_key_blacklisted" if row.reason == "revoked" else None)
    assert (got.retry_after is not None) == (row.status in {429, 500, 503})
    assert got.request_id


def test_every_reason_is_in_the_table_but_that_of_tickets_which_only_event_streams_take() -> None:
    assert set(Reason) - {row.reason for row in ROWS} == {Reason.TICKET}
