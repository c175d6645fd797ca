"""The wire format: whatever is published comes out of a reader as that, and as nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.sse.event import InvalidEvent, chunk, comment, encode, published_name, retry, text_of, unwrapped
from tests.events.reading import Dispatched, Reader, read

# what could end a line, a field or an event early stands in here more often than chance would have it
_PIECES = st.sampled_from(["\r", "\n", "\r\n", "data:", "data: x", "id: 9", "event: auth", ":", " ", "", "\ufeff", "é"])
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
DATA = st.lists(st.one_of(_PIECES, _TEXT), max_size=8).map("".join)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=20)


def normal(text: str) -> str:
    """Line ends as a reader has them: it knows of one kind only."""
    return re.sub("\r\n|\r", "\n", text)


@given(data=DATA, event=NAME, event_id=NAME)
def test_an_event_is_read_as_it_was_written_and_nothing_else_is_read(data: str, event: str, event_id: str) -> None:
    reader = read(b"retry: 1\n\n" + encode(data, event=event, event_id=event_id))
    assert reader.events == [Dispatched(event or "message", normal(data), event_id)]
    assert (reader.comments, reader.retry) == ([], 1)


@given(events=st.lists(st.tuples(NAME, DATA), max_size=5), size=st.integers(1, 7))
def test_a_stream_reads_the_same_however_it_is_cut(events: list[tuple[str, str]], size: int) -> None:
    stream = b"".join(encode(data, event=name, event_id=str(at)) for at, (name, data) in enumerate(events))
    reader = Reader()
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
    assert [(one.type, one.data) for one in reader.events] == [
        (name or "message", normal(data)) for name, data in events
    ]


@pytest.mark.parametrize("broken", ["a\nb", "a\rb", "\n", "a\0b", "id\r\ndata: forged"])
def test_a_name_or_id_that_would_end_its_line_is_refused(broken: str) -> None:
    with pytest.raises(InvalidEvent):
        encode("x", event=broken)
    with pytest.raises(InvalidEvent):
        encode("x", event_id=broken)
    with pytest.raises(InvalidEvent):
        comment(broken)
    with pytest.raises(InvalidEvent):
        published_name(broken)


@pytest.mark.parametrize("data", ["a\0b", "\ud800"])
def test_data_that_no_reader_would_get_whole_is_refused(data: str) -> None:
    with pytest.raises(InvalidEvent):
        encode(data)


def test_half_a_character_in_a_name_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        encode("x", event="\udc80")


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"ok\xe9"])
def test_bytes_that_are_not_utf_8_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidEvent):
        text_of(raw)


@pytest.mark.parametrize("name", ["auth", "gap", "x" * 257])
def test_nobody_publishes_in_the_voice_of_the_hub(name: str) -> None:
    with pytest.raises(InvalidEvent):
        published_name(name)


def test_a_message_never_shows_what_was_refused() -> None:
    with pytest.raises(InvalidEvent) as caught:
        encode("x", event="secret\nevent: auth")
    assert "secret" not in str(caught.value)


def test_comments_and_retry_dispatch_nothing() -> None:
    reader = read(comment("keepalive") + retry(250))
    assert (reader.events, reader.comments, reader.retry) == ([], ["keepalive"], 250)


def test_an_event_with_retry_sets_it() -> None:
    assert read(encode("x", retry=7)).retry == 7


@given(data=st.binary(min_size=1, max_size=300))
def test_a_chunk_holds_what_was_put_into_it(data: bytes) -> None:
    wrapped = chunk(data)
    size, _, rest = wrapped.partition(b"\r\n")
    assert rest == data + b"\r\n"
    assert int(size, 16) == len(data)
    assert unwrapped(wrapped) == data
