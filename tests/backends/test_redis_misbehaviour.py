"""A peer that answers as no Redis should: it all ends in `StateUnavailable`, in time, and never in "not revoked"."""

import socket
import time
from collections.abc import Iterator

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.errors import StateUnavailable
from tests.backends.redis_askers import KINDS, Asker, Opener, opener
from tests.backends.redis_peer import Conversation, Peer, answering, peer
from tests.servers.ports import LOOPBACK

TIMEOUT = 0.2
WITHIN = 20.0
KEY = "BLACKLIST:key:4f1c"
OTHER = "BLACKLIST:sub:alice"


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Iterator[Opener]:
    with opener(request.param) as open_one:
        yield open_one


def at(running: Peer) -> Address:
    return Address(host=running.host, port=running.port)


def fails(asker: Asker, *keys: str) -> str:
    began = time.monotonic()
    with pytest.raises(StateUnavailable) as failure:
        asker.ask(*keys or (KEY,))
    assert time.monotonic() - began < 10 * TIMEOUT
    return str(failure.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"-MOVED 3999 127.0.0.1:6381\r\n",
        b"-ASK 3999 127.0.0.1:6381\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
        b"-BUSY Redis is busy running a script.\r\n",
        b"-ERR unknown command 'EXISTS'\r\n",
        b"-\r\n",
        b"-ERR \xff\xfe\x00 \x1b[2J\r\n",
        b"#f\r\n",
        b"#t\r\n",
        b"_\r\n",
        b",0\r\n",
        b"(0\r\n",
        b"$-1\r\n",
        b"$1\r\n0\r\n",
        b"+0\r\n",
        b"+OK\r\n",
        b":-1\r\n",
        b":3\r\n",
        b":9223372036854775807\r\n",
        b":99999999999999999999999\r\n",
        b":\r\n",
        b":0",
        b":0\r",
        b": 0\r\n",
        b":0x0\r\n",
        b":0\n",
        b"*0\r\n",
        b"*1\r\n:0\r\n",
        b"*2000000000\r\n",
        b"*4294967295\r\n",
        b"%1\r\n:0\r\n:0\r\n",
        b">1\r\n:0\r\n",
        b"$999999999999\r\n0",
        b"$-2\r\n",
        b"0\r\n",
        b"\r\n",
        b"\x00",
        b"\xff" * 100,
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
    ],
)
def test_no_strange_answer_says_that_nothing_stands(opened: Opener, answer: bytes) -> None:
    with peer(answering(*[answer] * 3)) as strange:
        asker = opened(at(strange), timeout=TIMEOUT)
        for _ in range(3):
            message = fails(asker, KEY, OTHER)
            assert message.startswith(f"redis at {LOOPBACK}:{strange.port} ")
            assert message.isprintable()
            assert len(message) < 400


@pytest.mark.parametrize(
    "answers",
    [
        (b":1\r\n", b":1\r\n"),
        (b":1\r\n", b":1\r\n$9\r\ncancel"),
        (b":1\r\n", b":1\r\n:5\r\n"),
        (b":1\r\n", b":1\r\n*1\r\n$1\r\na\r\n"),
        (b":1\r\n", b"$1\r\na\r\n-WRONGTYPE of another kind\r\n"),
        (b":1\r\n", b"-LOADING Redis is loading\r\n-LOADING Redis is loading\r\n"),
        (b":1\r\n", b":2\r\n-WRONGTYPE of another kind\r\n"),
        (b":1\r\n", b":1\r\n$600000000\r\n" + b"x" * 3_000_000),
        (b":1\r\n",),
    ],
    ids=range(9),
)
def test_a_reason_that_never_comes_whole_is_no_answer(opened: Opener, answers: tuple[bytes, ...]) -> None:
    with peer(answering(*answers)) as strange:
        fails(opened(at(strange), timeout=TIMEOUT))


def test_what_stood_and_is_gone_when_it_is_read_does_not_stand(opened: Opener) -> None:
    with peer(answering(b":1\r\n", b":0\r\n", b"$0\r\n\r\n")) as real:
        assert opened(at(real), timeout=WITHIN).ask(KEY) == {}


def test_a_store_that_goes_away_once_it_has_said_that_something_stands_says_so(opened: Opener) -> None:
    """Or a gate that admits while its store is away would admit a token that it was told is revoked."""

    def say_that_it_stands(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()
        conversation.say(b":1\r\n")
        conversation.listen()

    with peer(say_that_it_stands) as half:
        (answer,) = opened(at(half), timeout=TIMEOUT).ask_many((KEY,))
        assert isinstance(answer, StateUnavailable)
        assert answer.stands


def test_an_answer_that_comes_byte_by_byte_is_bounded_as_a_whole(opened: Opener) -> None:
    def trickle(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            conversation.command()
            conversation.say(b":" + b"0" * 1000 + b"\r\n", every=0.03)

    with peer(trickle) as slow:
        asker = opened(at(slow), timeout=TIMEOUT)
        assert "did not answer within 200 ms" in fails(asker)
        fails(asker)


def test_a_handshake_that_comes_byte_by_byte_is_bounded_as_a_whole(opened: Opener) -> None:
    def trickle(conversation: Conversation) -> None:
        conversation.command()
        conversation.say(b"+" + b"O" * 1000 + b"\r\n", every=0.03)

    with peer(trickle) as slow:
        asker = opened(at(slow), timeout=TIMEOUT)
        for _ in range(3):
            fails(asker)


def test_a_slow_answer_in_time_is_an_answer(opened: Opener) -> None:
    def trickle(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            conversation.command()
            conversation.say(b":0\r\n", every=0.01)

    with peer(trickle) as slow:
        asker = opened(at(slow), timeout=WITHIN)
        assert asker.ask(KEY) == {}
        assert asker.ask(KEY) == {}


def test_a_peer_that_never_accepts_is_out_of_reach(opened: Opener) -> None:
    with socket.create_server((LOOPBACK, 0), backlog=16) as silent:
        asker = opened(Address(host=LOOPBACK, port=silent.getsockname()[1]), timeout=TIMEOUT)
        for _ in range(5):
            fails(asker)


def test_a_peer_that_accepts_no_more_connections_is_out_of_reach(opened: Opener) -> None:
    # the kernel's queue holds one: further ones get no answer to their SYN
    with (
        socket.create_server((LOOPBACK, 0), backlog=0) as full,
        socket.create_connection(full.getsockname()),
        socket.socket() as second,
    ):
        second.settimeout(0)
        second.connect_ex(full.getsockname())
        asker = opened(Address(host=LOOPBACK, port=full.getsockname()[1]), timeout=TIMEOUT)
        fails(asker)


def test_a_peer_that_closes_after_it_accepted_is_not_dialled_in_a_frenzy(opened: Opener) -> None:
    with peer(lambda _: None) as closing:
        asker = opened(at(closing), timeout=TIMEOUT)
        deadline = time.monotonic() + 1.0
        asked = 0
        while time.monotonic() < deadline:
            fails(asker)
            asked += 1
        # pauses of 25 ms at least, then 50, 100 …
        assert 1 < len(closing.conversations) < 12
        assert asked > 10 * len(closing.conversations)


def test_questions_that_wait_for_a_connection_share_one_attempt(opened: Opener) -> None:
    def mute(conversation: Conversation) -> None:
        conversation.listen()

    with peer(mute) as silent:
        asker = opened(at(silent), timeout=TIMEOUT)
        answers = asker.ask_many(*[(KEY,)] * 40)
        assert all(isinstance(answer, StateUnavailable) for answer in answers)
        assert len(silent.conversations) == 1


def test_a_peer_that_says_more_than_it_lets_in_is_not_connected(opened: Opener) -> None:
    def say_too_much(conversation: Conversation) -> None:
        conversation.command()
        conversation.say(b"+OK\r\n:0\r\n")
        conversation.listen()

    def let_in_and_hang_up(conversation: Conversation) -> None:
        conversation.greet()

    for script in (say_too_much, let_in_and_hang_up):
        with peer(script) as strange:
            asker = opened(at(strange), timeout=TIMEOUT)
            for _ in range(5):
                fails(asker)


def test_what_was_cut_off_is_asked_once_more(opened: Opener) -> None:
    def cut_off_first(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            command = conversation.command()
            if conversation.number == 1:
                return
            conversation.say(b":1\r\n" if command[0] == b"EXISTS" else b"$9\r\ncancelled\r\n")

    with peer(cut_off_first) as recycled:
        assert opened(at(recycled), timeout=WITHIN).ask(KEY) == {KEY: "cancelled"}
        assert len(recycled.conversations) == 2


def test_what_was_cut_off_while_its_reason_was_read_is_asked_once_more(opened: Opener) -> None:
    def cut_off_first(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            command = conversation.command()
            if conversation.number == 1 and command[0] == b"GETRANGE":
                return
            conversation.say(b":1\r\n" if command[0] == b"EXISTS" else b"$9\r\ncancelled\r\n")

    with peer(cut_off_first) as recycled:
        assert opened(at(recycled), timeout=WITHIN).ask(KEY) == {KEY: "cancelled"}


def test_what_is_cut_off_again_and_again_is_given_up(opened: Opener) -> None:
    def cut_off(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()

    with peer(cut_off) as broken:
        asker = opened(at(broken), timeout=TIMEOUT)
        fails(asker)
        assert len(broken.conversations) == 2


def test_an_answer_that_nobody_asked_for_answers_no_later_question(opened: Opener) -> None:
    def say_too_much(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()
        conversation.say(b":0\r\n:0\r\n" if conversation.number == 1 else b":1\r\n")
        conversation.command()
        conversation.command()
        conversation.say(b":1\r\n$9\r\ncancelled\r\n")
        conversation.listen()

    with peer(say_too_much) as garrulous:
        asker = opened(at(garrulous), timeout=WITHIN)
        try:
            first = asker.ask(KEY)
        except StateUnavailable:
            first = {}
        assert first == {}
        assert asker.ask(KEY) == {KEY: "cancelled"}


def test_a_peer_that_repeats_the_password_is_not_quoted(opened: Opener) -> None:
    def repeat(conversation: Conversation) -> None:
        words = conversation.command()
        conversation.say(b"-ERR unknown command 'AUTH', with args beginning with: '%b'\r\n+OK\r\n" % words[-1])
        conversation.listen()

    def shout(conversation: Conversation) -> None:
        words = conversation.command()
        conversation.say(b"-%b is wrong\r\n+OK\r\n" % words[-1])
        conversation.listen()

    for script in (repeat, shout):
        with peer(script) as telltale:
            address = Address(host=telltale.host, port=telltale.port, password="HUNTER2")
            message = fails(opened(address, timeout=TIMEOUT))
            assert "refused the user name or password" in message
            assert "HUNTER2" not in message


def test_a_login_that_ends_while_connected_is_tried_anew(opened: Opener) -> None:
    def forget_us(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()
        conversation.say(b"-NOAUTH Authentication required.\r\n" if conversation.number == 1 else b":0\r\n")
        conversation.listen()

    with peer(forget_us) as forgetful:
        asker = opened(at(forgetful), timeout=TIMEOUT)
        assert "NOAUTH" in fails(asker)
        assert asker.ask(KEY) == {}


def test_a_handshake_that_takes_longer_than_a_question_may_is_finished_all_the_same(opened: Opener) -> None:
    def slow_to_let_in(conversation: Conversation) -> None:
        conversation.command()
        conversation.say(b"+OK\r\n", every=0.08)  # 0.4 s in all, where a question may take 0.2 s
        while True:
            conversation.command()
            conversation.say(b":0\r\n")

    with peer(slow_to_let_in) as far:
        asker = opened(at(far), timeout=TIMEOUT)
        fails(asker)
        deadline = time.monotonic() + WITHIN
        while True:
            try:
                assert asker.ask(KEY) == {}
                break
            except StateUnavailable:
                assert time.monotonic() < deadline
        assert len(far.conversations) == 1
