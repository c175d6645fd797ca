"""What is said and how answers are read, without a socket; and when it is worth dialling again, without a clock."""

from collections.abc import Sequence
from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.outage import LONGEST_PAUSE, Outage
from sluicegate.backends.redis.wire import ARRAYS, MAX_REPLY_BYTES, Replies, Reply, Wire, is_error
from sluicegate.errors import StateUnavailable

KEY = "BLACKLIST:key:4f1c"
WIRE = Wire(Address(host="redis"))

scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda number: (b":%d\r\n" % number, number)),
    st.binary(max_size=40).map(lambda value: (b"$%d\r\n%b\r\n" % (len(value), value), value)),
    st.just((b"$-1\r\n", None)),
    st.just((b"+OK\r\n", b"OK")),
)


@given(st.lists(scalars, max_size=12), st.data())
def test_replies_are_the_same_however_their_bytes_are_split(
    replies: list[tuple[bytes, object]], data: st.DataObject
) -> None:
    wire = b"".join(raw for raw, _ in replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    reader = Replies(WIRE)
    read: list[object] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        if start < end:
            read += reader.feed(wire[start:end])
    assert read == [value for _, value in replies]


@given(st.binary(min_size=1, max_size=200), st.integers(1, 5))
def test_no_bytes_make_a_reader_fail_in_another_way(data: bytes, size: int) -> None:
    for kinds in (b"+-:$", ARRAYS):
        reader = Replies(WIRE, kinds=kinds)
        try:
            for start in range(0, len(data), size):
                reader.feed(data[start : start + size])
        except StateUnavailable:
            continue


@given(st.lists(st.one_of(st.integers(), st.binary(), st.none(), st.booleans(), st.floats(), st.lists(st.integers()))))
def test_only_a_whole_number_within_bounds_counts_keys(replies: list[Any]) -> None:
    for reply in replies:
        if type(reply) is int and 0 <= reply <= 2:
            assert WIRE.count(reply, (KEY, "other")) == reply
        else:
            with pytest.raises(StateUnavailable):
                WIRE.count(reply, (KEY, "other"))


def test_one_reply_may_grow_to_its_bound_and_no_further() -> None:
    value = b"x" * (MAX_REPLY_BYTES - 100)
    reader = Replies(WIRE)
    assert reader.feed(b"$%d\r\n" % len(value)) == []
    assert reader.feed(value) == []
    assert reader.feed(b"\r\n:1\r\n") == [value, 1]
    reader = Replies(WIRE)
    reader.feed(b"$600000000\r\n")
    for _ in range(MAX_REPLY_BYTES // 65536 - 1):
        reader.feed(b"x" * 65536)
    with pytest.raises(StateUnavailable, match="sent a reply of more than"):
        reader.feed(b"x" * 65536)


def test_many_replies_in_one_piece_have_no_bound() -> None:
    assert Replies(WIRE).feed(b":0\r\n" * MAX_REPLY_BYTES) == [0] * MAX_REPLY_BYTES


@pytest.mark.parametrize(
    ("address", "commands"),
    [
        (Address(host="redis"), [["CLIENT", "SETNAME", "sluicegate"]]),
        (Address(host="redis", password="p"), [["AUTH", "p"], ["CLIENT", "SETNAME", "sluicegate"]]),
        (Address(host="redis", username="u", password="p"), [["AUTH", "u", "p"], ["CLIENT", "SETNAME", "sluicegate"]]),
        (Address(host="redis", username="u"), [["AUTH", "u", ""], ["CLIENT", "SETNAME", "sluicegate"]]),
        (
            Address(host="redis", password="p\r\n$1\r\né", db=7),
            [["AUTH", "p\r\n$1\r\né"], ["SELECT", "7"], ["CLIENT", "SETNAME", "sluicegate"]],
        ),
    ],
)
def test_the_handshake_is_one_write_and_says_nothing_that_is_not_needed(
    address: Address, commands: list[Sequence[str]]
) -> None:
    reader = hiredis.Reader(encoding="utf-8")
    wire = Wire(address)
    reader.feed(wire.greeting)
    assert [reader.gets() for _ in range(wire.greeting_replies)] == commands
    assert reader.gets() is False


def _error(text: str) -> hiredis.ReplyError:
    return hiredis.ReplyError(text)


@pytest.mark.parametrize(
    "reply",
    [
        _error("NOPERM this user has no permissions to run the 'client|setname' command"),
        _error("ERR unknown command 'CLIENT', with args beginning with: 'SETNAME'"),
        _error("ERR Unknown subcommand or wrong number of arguments for 'SETNAME'"),
    ],
)
def test_a_name_that_may_not_be_given_is_done_without(reply: hiredis.ReplyError) -> None:
    WIRE.admitted([reply])
    login = Wire(Address(host="redis", password="s3cret", db=1))
    refused: list[list[Reply]] = [[reply, b"OK", b"OK"], [b"OK", reply, b"OK"]]
    for replies in refused:
        with pytest.raises(StateUnavailable):
            login.admitted(replies)


@pytest.mark.parametrize(
    "reply",
    [
        _error("NOAUTH Authentication required."),
        _error("ERR max number of clients reached"),
        _error("DENIED Redis is running in protected mode"),
        b"PONG",
        None,
        1,
        True,
    ],
)
def test_whoever_is_not_let_in_is_not_connected(reply: Reply) -> None:
    with pytest.raises(StateUnavailable):
        WIRE.admitted([reply])


def test_an_error_is_quoted_without_what_a_terminal_would_obey_and_bounded() -> None:
    with pytest.raises(StateUnavailable) as failure:
        WIRE.count(_error("ERR \x1b[2J\r\n\u202e" + "x" * 10_000), (KEY,))
    message = str(failure.value)
    assert message.isprintable()
    assert len(message) < 300


def test_an_error_of_no_kind_is_never_one_of_some() -> None:
    assert is_error(_error("ERR"))
    assert not is_error(b"ERR")


class Steps:
    """A clock that is set by hand."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_to_a_second_and_begin_anew_after_a_success() -> None:
    outage = Outage()
    assert not outage.is_resting(0.0)
    lasted = []
    for began in range(100, 110):
        outage.dial_failed("why", began=began)
        lasted.append(next(ms for ms in range(1, 2_000) if not outage.is_resting(began + ms / 1000)) / 1000)
    assert all(0.02 <= pause <= LONGEST_PAUSE for pause in lasted)
    assert lasted[0] <= 0.051
    assert lasted[-1] >= LONGEST_PAUSE / 2
    outage.dialled()
    outage.dial_failed("why", began=200.0)
    assert not outage.is_resting(200.051)


def test_an_attempt_that_hung_for_longer_than_the_pause_is_followed_by_the_next_at_once() -> None:
    outage = Outage()
    for began in range(10):
        outage.dial_failed("why", began=began)
    assert not outage.is_resting(9.0 + LONGEST_PAUSE)


def _since(outage: Outage) -> float | None:
    return outage.since


def test_an_outage_begins_with_the_first_question_that_failed() -> None:
    clock = Steps()
    outage = Outage(clock)
    assert _since(outage) is None
    outage.question_failed()
    clock.now += 60
    outage.question_failed()
    assert _since(outage) == 1_700_000_000.0
    outage.question_answered()
    assert _since(outage) is None
