"""Where frames end is known however their bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from sluicegate.server.wire.frames import Frames, close_frame
from tests.websockets.opening import frame

SIZES = st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536, 70000])
FRAMES = st.lists(st.tuples(SIZES, st.sampled_from([0, 1, 2, 9, 10]), st.booleans()), max_size=5)


@given(FRAMES, st.data())
def test_a_boundary_is_known_wherever_the_bytes_are_cut(made: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    written = [frame(bytes(size), opcode=opcode, mask=b"mask" if masked else b"") for size, opcode, masked in made]
    stream = b"".join(written)
    ends = {0}
    for one in written:
        ends.add(max(ends) + len(one))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    frames, place = Frames(), 0
    for cut in [*cuts, len(stream)]:
        frames.feed(stream[place:cut])
        place = cut
        assert frames.at_boundary is (place in ends)
    assert not frames.is_closed


@given(SIZES, st.booleans(), st.data())
def test_what_is_left_of_a_frame_is_that_and_no_more(size: int, masked: bool, data: st.DataObject) -> None:  # noqa: FBT001 - drawn
    one = frame(bytes(size), mask=b"mask" if masked else b"")
    stream = one + frame(b"next") * 3
    cut = data.draw(st.integers(0, len(one) - 1) | st.sampled_from([1, 2, min(9, len(one) - 1)]))
    again = data.draw(st.integers(cut, len(one)))
    frames = Frames()
    frames.feed(stream[:cut])
    left = len(one) if cut else 0
    assert frames.rest_of(stream[cut:again]) == stream[cut : min(again, left)]
    if cut:
        assert frames.rest_of(stream[again:]) == stream[again : len(one)]
    assert frames.at_boundary


def test_a_frame_of_a_length_that_nobody_sends_ends_nowhere() -> None:
    frames = Frames()
    frames.feed(b"\x82\x7f" + b"\xff" * 8 + bytes(1000))
    assert not frames.at_boundary
    assert frames.rest_of(bytes(100)) == bytes(100)


def test_a_close_frame_is_known() -> None:
    frames = Frames()
    frames.feed(frame(b"\x03\xe8", opcode=8))
    assert frames.is_closed


@pytest.mark.parametrize("masked", [True, False])
def test_what_is_written_is_a_close_frame_to_others(masked: bool) -> None:  # noqa: FBT001 - drawn
    protocol = Protocol(SERVER if masked else CLIENT)
    protocol.receive_data(close_frame(1008, "api_key_blacklisted", masked=masked))
    (event,) = protocol.events_received()
    assert isinstance(event, Frame)
    assert event.opcode is Opcode.CLOSE
    assert Close.parse(bytes(event.data)) == Close(1008, "api_key_blacklisted")
