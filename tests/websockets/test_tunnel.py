"""An open WebSocket: bytes both ways as they are, at the pace of the slower side, until its token ends."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.flow import Hits
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable
from sluicegate.server.wire.limits import Limits
from tests.events.gate import Streams, bearer
from tests.server.upstream import Listening
from tests.table.tokens import NOW, mint
from tests.websockets.opening import ASKING, Opened, behind, frame, opened, switching
from tests.wire import BadResponse, connected, request

MASK = b"\x01\x02\x03\x04"
MIB = 1 << 20
BRISK = Limits(write_time=0.5, parting_time=0.4, linger_time=0.4)


def test_frames_pass_as_they_are_in_both_directions() -> None:
    up = frame(b"x", mask=MASK) + frame(bytes(300), mask=MASK) + frame(bytes(70000), mask=MASK)
    down = frame(b"one", opcode=1, final=False) + frame(b"ping", opcode=9) + frame(b"two", opcode=0) + frame(bytes(MIB))
    with opened() as one:
        one.wire.send(up)
        assert one.peer.body(len(up)) == up
        sender = threading.Thread(target=one.peer.send, args=(down,))
        sender.start()
        assert one.wire.read_exactly(len(down)) == down
        sender.join()


@contextmanager
def small(one: Opened) -> Iterator[None]:
    """Have the kernel hold little, so that it shows what the gate holds."""
    for end in (one.wire.socket, one.peer.socket):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        end.settimeout(0.5)
    yield
    for end in (one.wire.socket, one.peer.socket):
        end.settimeout(10)


def passed_on(sender: socket.socket) -> int:
    """Send until nobody takes more; return how much was taken."""
    taken = 0
    try:
        while taken < 256 * MIB:
            taken += sender.send(frame(bytes(65526)))
    except TimeoutError:
        return taken
    raise AssertionError("there is no end to what is taken")


def test_a_client_that_does_not_read_stops_the_upstream() -> None:
    with opened() as one, small(one):
        assert passed_on(one.peer.socket) < 32 * MIB


def test_an_upstream_that_does_not_read_stops_the_client() -> None:
    with opened() as one, small(one):
        assert passed_on(one.wire.socket) < 32 * MIB


def test_a_client_that_never_reads_is_cut_off() -> None:
    with opened(limits=BRISK) as one, small(one):
        with suppress(ConnectionResetError, BrokenPipeError):
            passed_on(one.peer.socket)
        one.hub.gate.empty()
        assert one.hub.hub.live.open == 0


@pytest.mark.parametrize(
    "key", ["BLACKLIST:key:jti-1", "BLACKLIST:sub:alice", "BLACKLIST:sid:s", "BLACKLIST:client:app"]
)
def test_a_revoked_token_closes_it_on_both_sides(key: str) -> None:
    with opened(mint(jti="jti-1", sid="s", azp="app")) as one:
        one.hub.revoke(key)
        assert one.closes() == (1008, "api_key_blacklisted")
        assert one.upstream_closes() == (1008, "api_key_blacklisted")
        assert one.hub.hub.live.open == 0


def test_an_expired_token_closes_it() -> None:
    with opened(mint(exp=NOW + 60)) as one:
        one.hub.clock.now += 61
        assert one.closes() == (1008, "expired")


def test_a_cut_off_spares_a_later_token() -> None:
    with opened(mint(iat=NOW)) as one:
        one.hub.revoke("BLACKLIST:sub:alice", f'{{"not_before": {NOW - 10}, "reason": "logout"}}')
        one.peer.send(frame(b"still here"))
        assert one.wire.read_exactly(12) == frame(b"still here")
        one.hub.revoke("BLACKLIST:sub:alice", f'{{"not_before": {NOW + 10}, "reason": "logout"}}')
        assert one.closes() == (1008, "api_key_blacklisted")


class Between:
    """A store in which a token is revoked between the decision and what is opened by it, and says nothing of it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.asked = 0

    def find(self, keys: tuple[str, ...]) -> Hits:
        self.asked += 1
        hits = self.store.find(keys)
        self.store.put("BLACKLIST:sub:alice", Entry("security"))
        return hits


def test_no_revocation_falls_between_the_decision_and_the_tunnel() -> None:
    store = Between()
    with opened(asked=store) as one:
        assert one.answer.status == 101
        assert one.closes() == (1008, "api_key_blacklisted")
        assert store.asked == 2


class Away:
    """A store that answers once."""

    def __init__(self) -> None:
        self.asked = 0

    def find(self, _: tuple[str, ...]) -> Hits:
        self.asked += 1
        if self.asked > 1:
            raise StateUnavailable("gone")
        return {}


@contextmanager
def opened_late(hub: Streams, listening: Listening) -> Iterator[Opened]:
    """Open one whose upstream thinks for so long that the exchange is tied to its token before it answers."""
    with connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", bearer(mint(exp=NOW + 60)), *ASKING))
        peer = listening.accept()
        asked = peer.request()
        while not hub.hub.live.open:
            hub.gate.turn()
        peer.send(switching())
        yield Opened(hub, wire, peer, asked, wire.receive())


def test_one_whose_upstream_took_long_is_tied_once_and_closed_like_any_other() -> None:
    with behind() as (hub, listening), opened_late(hub, listening) as one:
        assert (one.answer.status, hub.hub.live.open) == (101, 1)
        hub.revoke("BLACKLIST:sub:alice")
        assert one.closes() == (1008, "api_key_blacklisted")
        assert hub.hub.live.open == 0


@pytest.mark.parametrize("expires", [True, False])
def test_nothing_is_left_of_one_whose_upstream_took_long_and_others_end_with_their_tokens(expires: bool) -> None:  # noqa: FBT001 - drawn
    with behind() as (hub, listening):
        with opened_late(hub, listening) as one:
            one.peer.send(frame(b"", opcode=8))
            one.peer.close()
            assert one.wire.read_exactly(2)[0] == 0x88
        hub.gate.empty()
        assert hub.hub.live.open == 0
        with hub.reading("public-after", token=mint(exp=NOW + 60, sub="bob")) as stream:
            if expires:
                hub.clock.now += 61
            else:
                hub.revoke("BLACKLIST:sub:alice")
                hub.gate.turn()
                hub.revoke("BLACKLIST:sub:bob")
            assert [kind for kind, _ in stream.rest()] == ["auth"]


@pytest.mark.parametrize("refused", [True, False])
def test_bytes_behind_a_handshake_that_fails_are_no_requests(refused: bool) -> None:  # noqa: FBT001 - drawn
    """They may be frames that came early, and what is in frames is anybody's to choose."""
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", bearer(mint()), *ASKING) + request("/api/2", bearer(mint(sub="bob"))))
        peer = listening.accept()
        peer.request()
        if refused:
            hub.revoke("BLACKLIST:sub:alice")
        else:
            peer.close()
        answer = wire.receive()
        assert (answer.status, answer.header("Connection")) == (401 if refused else 502, "close")
        assert wire.is_closed()


def test_without_the_store_it_is_closed_so_that_the_client_comes_back() -> None:
    with opened(asked=Away()) as one:
        assert one.closes() == (1013, "state_unavailable")


def test_within_a_frame_the_close_frame_waits_for_its_end() -> None:
    large = frame(bytes(200_000))
    with opened(limits=Limits(parting_time=10)) as one:
        one.peer.send(large[:150_000])
        assert one.wire.read_exactly(150_000) == large[:150_000]
        one.revoke()
        one.wire.send(frame(b"too late", mask=MASK))
        one.peer.send(large[150_000:] + frame(b"for nobody any more"))
        assert one.wire.read_exactly(50_010) == large[150_000:]
        assert one.closes() == (1008, "api_key_blacklisted")
        # and what the client went on to say was not passed on
        assert one.upstream_closes() == (1008, "api_key_blacklisted")


def test_a_frame_that_does_not_end_is_not_waited_for() -> None:
    with opened(limits=BRISK) as one:
        one.peer.send(frame(bytes(1000))[:500])
        one.wire.read_exactly(500)
        one.hub.revoke("BLACKLIST:sub:alice")
        with pytest.raises((BadResponse, ConnectionResetError)):
            one.wire.read_exactly(1)
        assert one.peer.is_closed()


def test_between_the_frames_of_a_message_it_may_be_closed() -> None:
    with opened() as one:
        one.peer.send(frame(b"half", final=False))
        one.wire.read_exactly(6)
        one.hub.revoke("BLACKLIST:sub:alice")
        assert one.closes() == (1008, "api_key_blacklisted")


@settings(max_examples=25)
@given(st.integers(0, 70_010))
def test_wherever_it_ends_the_client_reads_whole_frames(place: int) -> None:
    """Two frames of the upstream's, the revocation somewhere within, and a strict reader of frames."""
    stream = frame(b"first") + frame(bytes(70_000))
    with ONE.again() as one:
        one.peer.send(stream[:place])
        assert one.wire.read_exactly(place) == stream[:place]
        one.revoke()
        one.peer.send(stream[place:])
        rest = one.wire.read_to_end()
        whole = {0: b"", **{end: stream[place:end] for end in (7, len(stream))}}
        ends = min(end for end in whole if end >= place)
        assert rest == stream[place:ends] + frame(b"\x03\xf0api_key_blacklisted", opcode=8)


class One:
    """A new WebSocket each time."""

    @contextmanager
    def again(self) -> Iterator[Opened]:
        with opened(limits=Limits(parting_time=10)) as one:
            yield one


ONE = One()


def test_after_the_upstreams_close_frame_nothing_follows() -> None:
    closing = frame(b"\x03\xe8", opcode=8)
    with opened() as one:
        one.peer.send(closing)
        assert one.wire.read_exactly(len(closing)) == closing
        one.hub.revoke("BLACKLIST:sub:alice")
        assert one.wire.is_closed()


def test_a_client_that_does_not_read_is_broken_off_when_revoked() -> None:
    with opened() as one, small(one):
        passed_on(one.peer.socket)
        one.revoke()
        one.hub.gate.empty()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            passed_on(one.peer.socket)


def test_a_client_that_half_closes_still_gets_what_the_upstream_has_to_say() -> None:
    with opened() as one:
        one.wire.send(frame(b"last", mask=MASK))
        one.wire.finish()
        assert one.peer.body(10) == frame(b"last", mask=MASK)
        assert one.peer.is_closed()
        one.peer.send(frame(b"farewell"))
        one.peer.close()
        assert one.wire.read_exactly(10) == frame(b"farewell")
        assert one.wire.is_closed()


def test_a_client_that_is_gone_takes_the_upstream_along() -> None:
    with opened() as one:
        one.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        one.wire.socket.close()
        assert one.peer.is_closed()
        assert one.hub.hub.live.open == 0


@pytest.mark.parametrize("cut", [True, False])
def test_an_upstream_that_breaks_off_breaks_the_client_off(cut: bool) -> None:  # noqa: FBT001 - drawn
    with opened() as one:
        if cut:
            one.peer.send(frame(b"half a frame")[:5])
            one.wire.read_exactly(5)
            one.peer.close()
        else:
            one.peer.reset()
        with pytest.raises(ConnectionResetError):
            one.wire.socket.recv(1)


def test_one_on_which_nothing_moves_is_closed() -> None:
    with opened(limits=Limits(idle=0.3)) as one:
        assert one.closes() == (1001, "idle")
        assert one.upstream_closes() == (1001, "idle")


def test_a_gateway_that_stops_says_so() -> None:
    with opened() as one:
        stopped = one.hub.gate.stopping(5)
        assert one.closes() == (1001, "stopping")
        one.wire.socket.close()
        stopped()


def test_without_a_token_nothing_ends_it_but_its_ends() -> None:
    with behind(policy={"auth": "optional"}) as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/ws", *ASKING))
        peer = listening.accept()
        peer.serve(switching())
        assert wire.receive().status == 101
        assert hub.hub.live.open == 0
        peer.send(frame(b"hello"))
        assert wire.read_exactly(7) == frame(b"hello")
        peer.close()
        assert wire.is_closed()


def test_on_one_connection_a_websocket_may_follow_requests() -> None:
    with behind() as (hub, listening), connected(hub.gate.address) as wire:
        wire.send(request("/api/first", bearer(mint())))
        peer = listening.accept()
        peer.serve()
        assert wire.receive().status == 200
        wire.send(request("/api/ws", bearer(mint()), *ASKING))
        peer.serve(switching())
        assert wire.receive().status == 101
        peer.send(frame(b"hello"))
        assert wire.read_exactly(7) == frame(b"hello")
