"""Bodies from bytes: the same content however they are cut, and an end that everybody sees in the same place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.server.wire.body import Chunked, Counted, UntilClose
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed

GOOD = {
    "empty": (b"0\r\n\r\n", b""),
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "two chunks": (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
    "hexadecimal in both cases": (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    "leading zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "line ends in the content": (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r"),
    "extension": (b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello"),
    "extensions with white space": (b"5 ; a = b ;c\r\nhello\r\n0\r\n\r\n", b"hello"),
    "quoted extension": (b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "trailers": (b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", b"hello"),
}

BAD = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "no hexadecimal": b"g\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "underscore": b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "sixteen digits": b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    "bare LF behind a size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF behind a chunk": b"5\r\nhello\n0\r\n\r\n",
    "bare CR behind a size": b"5\rhello\r\n0\r\n\r\n",
    "bare LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "extension without a name": b"5;\r\nhello\r\n0\r\n\r\n",
    "open quotes": b'5;a="b\r\nhello\r\n0\r\n\r\n',
    "control character in an extension": b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
    "long extension": b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
    "chunk longer than its size": b"5\r\nhello!\r\n0\r\n\r\n",
    "chunk shorter than its size": b"6\r\nhello\r\n0\r\n\r\n",
    "trailer without a colon": b"0\r\nX\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nX : y\r\n\r\n",
    "folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
    "bare LF behind a trailer": b"0\r\nX: y\n\r\n",
    "bare LF at the end": b"0\r\n\n",
    "many trailers": b"0\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
}


def decode(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Decode pieces; return content, what came after, and whether it ended."""
    body, content, rest = Chunked(), b"", b""
    for piece in pieces:
        if body.done:
            rest += piece
        else:
            content += body.read(piece)
            rest = body.rest
    return content, rest, body.done


@pytest.mark.parametrize(("raw", "content"), GOOD.values(), ids=GOOD)
def test_every_cut_gives_the_same_content_and_end(raw: bytes, content: bytes) -> None:
    assert decode(raw + b"GET /") == (content, b"GET /", True)
    for cut in range(1, len(raw)):
        assert decode(raw[:cut], raw[cut:] + b"GET /") == (content, b"GET /", True), raw[:cut]
    assert decode(*(raw[place : place + 1] for place in range(len(raw)))) == (content, b"", True)


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_every_cut_of_a_bad_body_is_refused(raw: bytes) -> None:
    for cut in range(0, len(raw), 1 + len(raw) // 100):
        with pytest.raises(Malformed):
            decode(raw[:cut], raw[cut:])


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_what_was_written_in_chunks_is_read_however_it_is_cut(chunks: list[bytes], data: st.DataObject) -> None:
    raw = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert decode(*pieces) == (b"".join(chunks), b"", True)


PARTS = [
    b"1\r\n",
    b"5;a\r\n",
    b"0\r\n",
    b"5",
    b"x",
    b"hello",
    b"\r\n",
    b"\r",
    b"\n",
    b"X: y\r\n",
    b"X:\r\n",
    b"1\r\nx\r\n",
]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join))
def test_a_body_that_comes_whole_is_read_as_one_that_comes_byte_by_byte(raw: bytes) -> None:
    """The first is read where it stands, and the second put together."""

    def outcome(pieces: list[bytes]) -> object:
        body, content = Chunked(Limits(body=8, field=8, fields=2)), b""
        try:
            for place, piece in enumerate(pieces):
                content += body.read(piece)
                if body.done:
                    return content, body.trailers, body.rest + b"".join(pieces[place + 1 :])
        except Malformed as malformed:
            return malformed.status, malformed.reason
        return content

    assert outcome([raw]) == outcome([raw[place : place + 1] for place in range(len(raw))])


SMALL = Limits(field=64, fields=20)

TRAILERS = {
    "lines": (b"X:\r\n" * 20, b"X:\r\n"),
    "bytes of a line": (b"X: " + b"y" * 61, b"y\r\n"),
    "bytes of a line with white space": (b"X:" + b" " * 62, b" \r\n"),
    "bytes together": ((b"X: " + b"y" * 59 + b"\r\n") * 4, b"X:\r\n"),
    "bytes together, as they go on": ((b"X:" + b"y" * 59 + b"\r\n") * 4, b"X:\r\n"),
    "bytes together, as they came": ((b"X:" + b" " * 60 + b"\r\n") * 4, b"X:\r\n"),
}
"""As much as may be, and what makes it too much."""


def end(*pieces: bytes, limits: Limits) -> int | list[bytes]:
    """Read the end of a body; return its trailers, or the status with which it is refused."""
    body = Chunked(limits)
    try:
        for piece in pieces:
            body.read(piece)
    except Malformed as malformed:
        return malformed.status
    assert body.done
    return body.trailers


@pytest.mark.parametrize(("most", "more"), TRAILERS.values(), ids=TRAILERS)
def test_trailers_have_the_bounds_of_header_fields_wherever_they_are_cut(most: bytes, more: bytes) -> None:
    good = b"0\r\n" + most.removesuffix(b"\r\n") + b"\r\n\r\n"
    bad = b"0\r\n" + most + more + b"\r\n"
    for cut in range(len(good)):
        assert end(good[:cut], good[cut:], limits=SMALL) == most.removesuffix(b"\r\n").split(b"\r\n")
    for cut in range(len(bad)):
        assert end(bad[:cut], bad[cut:], limits=SMALL) == 431, bad[:cut]


def test_a_trailer_that_never_ends_is_refused_while_it_comes() -> None:
    body = Chunked(SMALL)
    body.read(b"0\r\nX: " + b"y" * 61)
    body.read(b"\r")
    with pytest.raises(Malformed) as refused:
        Chunked(SMALL).read(b"0\r\nX: " + b"y" * 62)
    assert (refused.value.status, refused.value.reason) == (431, "header_size")


@pytest.mark.parametrize(
    ("trailers", "passes"),
    [
        (b"X: " + b"y" * 16_381 + b"\r\n", True),
        (b"X: " + b"y" * 16_382 + b"\r\n", False),
        (b"X:\r\n" * 1000, True),
        (b"X:\r\n" * 1001, False),
        ((b"X: " + b"y" * 1019 + b"\r\n") * 64, True),
        ((b"X: " + b"y" * 1019 + b"\r\n") * 64 + b"X:\r\n", False),
    ],
)
def test_an_upstream_may_say_more_behind_its_body_and_not_without_end(trailers: bytes, passes: bool) -> None:  # noqa: FBT001
    body = Chunked()
    if passes:
        body.read(b"0\r\n" + trailers + b"\r\n")
        assert body.done
    else:
        with pytest.raises(Malformed):
            body.read(b"0\r\n" + trailers + b"\r\n")


def test_a_chunked_body_past_the_bound_is_refused_before_its_content_comes() -> None:
    body = Chunked(Limits(body=9))
    assert body.read(b"5\r\nhello\r\n") == b"hello"
    with pytest.raises(Malformed) as refused:
        body.read(b"5\r\n")
    assert refused.value.status == 413


def test_a_counted_body_ends_where_its_length_says() -> None:
    body = Counted(5)
    assert (body.read(b"hel"), body.done) == (b"hel", False)
    assert (body.read(b"loGET /"), body.done, body.rest) == (b"lo", True, b"GET /")


def test_a_body_until_the_close_never_ends_by_itself() -> None:
    body = UntilClose()
    assert body.read(b"anything") == b"anything"
    assert not body.done
