"""The small parts that the supervisor is made of."""

import os
import signal
import socket
from pathlib import Path

import pytest

from sluicegate.errors import Fault
from sluicegate.server.workers import cores
from sluicegate.server.workers.post import Letter, Post
from sluicegate.server.workers.slots import open_slot, turn_away, widen
from sluicegate.server.workers.systemd import Notice
from sluicegate.server.workers.watch import Watch


def test_an_address_is_ours_alone_though_several_sockets_share_it() -> None:
    slots = open_slot(("127.0.0.1", 0))
    widen(slots, 3)
    for slot in slots:
        slot.listen()
    address = slots[0].getsockname()
    with pytest.raises(OSError, match="Address already in use"):
        open_slot(address)
    clients = [socket.create_connection(address) for _ in range(90)]
    got = [accepted(slot) for slot in slots]
    assert sum(got) == 90
    assert all(got)
    for each in (*clients, *slots):
        each.close()


def accepted(slot: socket.socket) -> int:
    """Accept whoever waits; return how many."""
    count = 0
    while True:
        try:
            connection, _ = slot.accept()
        except BlockingIOError:
            return count
        connection.close()
        count += 1


def test_who_is_turned_away_waits_and_finds_the_next_gateway() -> None:
    (slot,) = open_slot(("127.0.0.1", 0))
    address = slot.getsockname()
    with socket.create_connection(address) as early, socket.socket() as late:
        turn_away([slot])
        late.setblocking(False)  # noqa: FBT003 - the standard library's
        late.connect_ex(address)
        assert accepted(slot) == 1  # who was connected is served, and nobody else
        assert early.recv(1) == b""
        slot.close()
        (successor,) = open_slot(address[:2])
        late.settimeout(5)
        successor.settimeout(5)
        connection, _ = successor.accept()  # the kernel tried again by itself
        connection.close()
        successor.close()


def test_letters_arrive_whole_with_what_is_in_the_envelope_until_the_other_side_goes() -> None:
    ours, theirs = Post.pair()
    fault = Fault("a.toml", 3, "[http] workers", "is negative", "give 0 or more")
    reading, writing = os.pipe()
    assert ours.send(Letter(kind="failed", faults=(fault,)), [writing])
    assert ours.send(Letter(kind="report", number=7, body={"a": [1]}))
    (first, descriptors), (second, none) = theirs.receive()
    assert (first.faults, second.body, second.number, none) == ((fault,), {"a": [1]}, 7, [])
    os.write(descriptors[0], b"x")
    assert os.read(reading, 1) == b"x"
    assert not ours.send(Letter(kind="report", body="x" * 100_000))
    ours.close()
    assert list(theirs.receive()) == []
    assert theirs.is_over
    assert not theirs.send(Letter(kind="ready"))
    theirs.close()
    for each in (reading, writing, descriptors[0]):
        os.close(each)


def test_a_letter_that_cannot_be_read_ends_the_correspondence() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    post = Post(ours)
    theirs.send(b'{"kind": "nonsense"}')
    assert list(post.receive()) == []
    assert post.is_over
    post.close()
    theirs.close()


def test_a_reader_that_is_busy_holds_up_nobody() -> None:
    ours, theirs = Post.pair()
    sent = 0
    while ours.send(Letter(kind="tell", number=sent)):
        sent += 1
    assert sent == len(list(theirs.receive())) > 10
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    ("group", "quotas", "expected"),
    [
        ("/", {}, []),
        ("/a/b", {"a": "max 100000", "a/b": "max 100000"}, []),
        ("/a/b", {"a": "200000 100000", "a/b": "max 100000"}, [2]),
        ("/a/b", {"a": "400000 100000", "a/b": "150000 100000"}, [2, 4]),
        ("/", {"": "50000 100000"}, [1]),
        ("/", {"": "nonsense"}, []),
    ],
)
def test_a_quota_of_a_control_group_counts_in_whole_cores(
    tmp_path: Path, group: str, quotas: dict[str, str], expected: list[int]
) -> None:
    for name, quota in quotas.items():
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "cpu.max").write_text(f"{quota}\n")
    own = tmp_path / "own"
    own.write_text(f"1:cpu:/other\n0::{group}\n")
    assert cores._quotas(own, tmp_path) == expected  # noqa: SLF001 - the machine that runs this has one group only
    assert 1 <= cores.cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path: Path, *, abstract: bool) -> None:
    place = f"\0sluicegate-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": place.replace("\0", "@")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        notice = Notice(environment)
        notice.ready()
        notice.reloading()
        notice.stopping()
        said = [manager.recv(200) for _ in range(3)]
    assert (said[0], said[2]) == (b"READY=1", b"STOPPING=1")
    assert said[1].startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert environment == {}
    notice.ready()  # the manager has gone, and nobody minds
    Notice({}).ready()


def test_signals_descriptors_and_moments_are_seen_one_after_another() -> None:
    seen: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    watch = Watch({signal.SIGUSR1: lambda: seen.append("signal")})
    one, other = socket.socketpair()
    with one, other:
        watch.after(0.01, lambda: seen.append("late"))
        watch.after(0, lambda: seen.append("soon"))
        os.kill(os.getpid(), signal.SIGUSR1)
        watch.turn()
        assert sorted(seen) == ["signal", "soon"]
        watch.turn()
        assert seen[-1] == "late"
        watch.read(one, lambda: seen.append("read"))
        other.send(b"x")
        watch.turn()
        assert seen[-1] == "read"
        watch.forget(one)
    watch.close()
    assert signal.getsignal(signal.SIGUSR1) is before
