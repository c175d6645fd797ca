"""The blocking store among threads, signals and forks."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import RedisStore
from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable
from tests.backends.redis_peer import Conversation, Peer, peer
from tests.servers.redis import Redis, redis_server

PATIENT = 20.0
KEY = "BLACKLIST:key:4f1c"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as running:
        running.cli("EVAL", "for n = 0, 3998, 2 do redis.call('SET', 'k' .. n, 'reason ' .. n) end", "0")
        yield running


@pytest.fixture
def store(server: Redis) -> Iterator[RedisStore]:
    opened = RedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)
    yield opened
    opened.close()


def at(running: Peer) -> Address:
    return Address(host=running.host, port=running.port)


def clients(server: Redis) -> int:
    """How many connections of ours the server has."""
    return server.cli("CLIENT", "LIST").count("name=sluicegate")


def test_threads_each_get_their_own_answer(store: RedisStore) -> None:
    def ask(number: int) -> Hits:
        return store.find((f"k{number}", f"other {number}"))

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(4_000)))
    assert answers == [{} if number % 2 else {f"k{number}": f"reason {number}"} for number in range(4_000)]


def test_questions_one_after_another_need_one_connection(server: Redis) -> None:
    before = clients(server)
    store = RedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)
    for _ in range(100):
        store.find(("k1",))
    assert clients(server) == before + 1
    store.close()


def test_no_more_connections_are_made_than_allowed_and_who_waits_is_served() -> None:
    held, go = threading.Semaphore(0), threading.Event()

    def hold_back(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            conversation.command()
            held.release()
            go.wait(PATIENT)
            conversation.say(b":0\r\n")

    with peer(hold_back) as slow, ThreadPoolExecutor(6) as pool:
        store = RedisStore(at(slow), timeout=PATIENT, connections=2)
        answers = [pool.submit(store.find, (KEY,)) for _ in range(6)]
        assert held.acquire(timeout=PATIENT)
        assert held.acquire(timeout=PATIENT)
        go.set()
        assert [answer.result() for answer in answers] == [{}] * 6
        assert len(slow.conversations) == 2
        store.close()


def test_who_waits_for_a_connection_waits_no_longer_than_his_time() -> None:
    asked = threading.Event()

    def deaf(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()
        asked.set()
        conversation.listen()

    with peer(deaf) as silent, ThreadPoolExecutor(1) as pool:
        store = RedisStore(at(silent), timeout=0.5, connections=1)
        first = pool.submit(store.find, (KEY,))
        assert asked.wait(PATIENT)
        answers: tuple[Callable[[], object], ...] = (lambda: store.find((KEY,)), first.result)
        for answer in answers:
            with pytest.raises(StateUnavailable, match="did not answer within 500 ms"):
                answer()
        store.close()


class Interruption(Exception):  # noqa: N818 - no error, as KeyboardInterrupt is none
    """Raised by a signal handler, as task queues do for tasks that run too long."""


def test_a_question_that_a_signal_interrupts_leaves_no_answer_behind() -> None:
    asked, late = threading.Event(), threading.Event()
    main = threading.get_ident()

    def answer_late(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            command = conversation.command()
            if conversation.number == 1:
                asked.set()
                late.wait(PATIENT)
                conversation.say(b":0\r\n")
            else:
                conversation.say(b":1\r\n" if command[0] == b"EXISTS" else b"$9\r\ncancelled\r\n")

    def interrupt(*_: object) -> None:
        raise Interruption

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with peer(answer_late) as slow:
            store = RedisStore(at(slow), timeout=PATIENT)

            def knock() -> None:
                asked.wait(PATIENT)
                signal.pthread_kill(main, signal.SIGUSR1)

            thread = threading.Thread(target=knock)
            thread.start()
            with pytest.raises(Interruption):
                store.find(("BLACKLIST:key:free",))
            thread.join()
            late.set()
            for _ in range(3):
                assert store.find((KEY,)) == {KEY: "cancelled"}
            store.close()
    finally:
        signal.signal(signal.SIGUSR1, before)


_FORKS = {
    "os.fork": "pid = os.fork()",
    # as a server written in C does, without telling Python
    "behind Python's back": "import ctypes; pid = ctypes.PyDLL(None).fork()",
}
_FORKED = """
import os, sys, threading
from sluicegate.backends.redis.store import RedisStore
from sluicegate.backends.redis.address import Address
from sluicegate.core.revocation import Entry

host, port = sys.argv[1:]
store = RedisStore(Address(host=host, port=int(port)), timeout=20)
assert store.find(("k1",)) == {{}}
store.put("BLACKLIST:key:parent", Entry("cancelled"))
for _ in range(4):
    {fork}
    if pid == 0:
        break
who = "parent" if pid else str(os.getpid())
def ask(first):
    for number in range(first, first + 300):
        hits = store.find((f"k{{number}}",))
        assert hits == ({{}} if number % 2 else {{f"k{{number}}": f"reason {{number}}"}}), (who, hits)
        store.put(f"BLACKLIST:key:{{who}}:{{number}}", Entry("cancelled"))
threads = [threading.Thread(target=ask, args=(first,)) for first in (0, 1)]
failed = []
threading.excepthook = failed.append
for thread in threads: thread.start()
for thread in threads: thread.join()
if pid == 0:
    sys.stdout.flush()
    os._exit(bool(failed))
statuses = [os.wait()[1] for _ in range(4)]
assert statuses == [0] * 4 and not failed, (statuses, failed)
ask(0)
store.close()
"""


@pytest.mark.parametrize("fork", _FORKS)
def test_no_connection_is_shared_across_a_fork(server: Redis, fork: str) -> None:
    program = _FORKED.format(fork=_FORKS[fork])
    command = [sys.executable, "-W", "error", "-c", program, server.host, str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, env=os.environ)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_store_that_closed_has_no_connection_left(server: Redis) -> None:
    before = clients(server)
    store = RedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.find(("k1",)), range(200)))
    assert clients(server) > before
    store.close()
    while clients(server) > before:
        pass
