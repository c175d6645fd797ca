"""Many askers on one event loop: one write a turn, and each gets its own answer, whoever leaves meanwhile."""

import asyncio
import contextvars
import gc
import random
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import aclosing

import pytest
import uvloop

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import AsyncRedisStore
from sluicegate.core.flow import Hits
from sluicegate.drive import run_async
from sluicegate.errors import StateUnavailable
from tests.backends.redis_peer import Conversation, Peer, answering, peer
from tests.servers.redis import Redis, redis_server

PATIENT = 20.0
KEY = "BLACKLIST:key:4f1c"


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as running:
        running.cli("EVAL", "for n = 0, 3998, 2 do redis.call('SET', 'k' .. n, 'reason ' .. n) end", "0")
        yield running


@pytest.fixture
async def store(server: Redis) -> AsyncIterator[AsyncRedisStore]:
    opened = AsyncRedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)
    yield opened
    await opened.aclose()


def at(running: Peer) -> Address:
    return Address(host=running.host, port=running.port)


async def healed(store: AsyncRedisStore) -> Hits:
    """Ask until there is an answer."""
    deadline = asyncio.get_running_loop().time() + PATIENT
    while True:
        try:
            return await store.find((KEY,))
        except StateUnavailable:
            assert asyncio.get_running_loop().time() < deadline


async def test_two_thousand_askers_of_whom_many_leave_each_get_their_own_answer(store: AsyncRedisStore) -> None:
    chance = random.Random(20260101)  # noqa: S311 - a sequence, no secret
    await store.find(("warm",))
    left = []

    async def turns(most: int) -> None:
        for _ in range(chance.randrange(most)):
            await asyncio.sleep(0)

    async def ask(number: int) -> None:
        await turns(8)
        question = store.find((f"k{number}", f"other {number}"))
        if chance.random() < 0.4:
            await turns(4)  # before it is sent, while it is on its way, or when it has been answered
            if question.cancel():
                left.append(number)
                return
        assert await question == ({} if number % 2 else {f"k{number}": f"reason {number}"})

    await asyncio.gather(*map(ask, range(2_000)))
    assert 100 < len(left) < 1_900
    # and nothing is left over for whoever comes now
    for number in range(4):
        assert await store.find((f"k{number}",)) == ({} if number % 2 else {f"k{number}": f"reason {number}"})


async def test_an_asker_who_leaves_takes_his_answer_with_him(store: AsyncRedisStore) -> None:
    await store.find(("warm",))
    for _ in range(50):
        gone = store.find(("k1",))  # would be told "nothing"
        stayed = store.find(("k2",))
        gone.cancel()
        assert await stayed == {"k2": "reason 2"}
        gone = store.find(("k2",))
        await asyncio.sleep(0)  # now it is on its way
        gone.cancel()
        assert await store.find(("k1",)) == {}


async def test_an_asker_who_leaves_while_his_reason_is_read_takes_it_with_him() -> None:
    reading, left = threading.Event(), threading.Event()

    def pause(conversation: Conversation) -> None:
        conversation.greet()
        while True:
            command, key, *_ = conversation.command()
            if command == b"GETRANGE" and key == b"gone":
                reading.set()
                left.wait(PATIENT)
            stands = key != b"free"
            conversation.say(
                b":%d\r\n" % stands
                if command == b"EXISTS"
                else b"$%d\r\n%b\r\n" % (len(key), key)
                if stands
                else b"$-1\r\n"
            )

    with peer(pause) as slow:
        async with aclosing(AsyncRedisStore(at(slow), timeout=PATIENT)) as store:
            gone = store.find(("gone",))
            await asyncio.get_running_loop().run_in_executor(None, reading.wait, PATIENT)
            gone.cancel()
            stayed = asyncio.gather(store.find(("free",)), store.find(("here",)))
            left.set()
            free, here = await stayed
            assert (free, here) == ({}, {"here": "here"})


async def test_what_is_asked_in_one_turn_leaves_in_one_write() -> None:
    with peer(answering(*[b":0\r\n"] * 65)) as counting:
        async with aclosing(AsyncRedisStore(at(counting), timeout=PATIENT)) as store:
            await store.find((KEY,))
            (conversation,) = counting.conversations
            before = len(conversation.chunks)
            assert await asyncio.gather(*(store.find((f"k{number}",)) for number in range(64))) == [{}] * 64
            assert len(conversation.chunks) == before + 1
            assert conversation.chunks[-1].count(b"EXISTS") == 64


async def test_all_that_wait_on_a_connection_that_is_late_are_told_so_and_the_next_one_is_answered() -> None:
    def deaf_once(conversation: Conversation) -> None:
        conversation.greet()
        if conversation.number == 1:
            conversation.listen()
        while True:
            conversation.command()
            conversation.say(b":0\r\n")

    with peer(deaf_once) as deaf:
        async with aclosing(AsyncRedisStore(at(deaf), timeout=0.2)) as store:
            answers = await asyncio.gather(
                *(store.find((f"k{number}",)) for number in range(100)), return_exceptions=True
            )
            assert all(isinstance(answer, StateUnavailable) for answer in answers)
            assert len({id(answer) for answer in answers}) == 100  # nobody shares another's traceback
            assert await healed(store) == {}
            assert len(deaf.conversations) == 2


async def test_at_the_bound_the_next_question_fails_at_once() -> None:
    answers, go = [b":0\r\n"] * 11, threading.Event()

    def hold_back(conversation: Conversation) -> None:
        conversation.greet()
        for answer in answers:
            conversation.command()
            go.wait(PATIENT)
            conversation.say(answer)
        conversation.listen()

    with peer(hold_back) as holding:
        async with aclosing(AsyncRedisStore(at(holding), timeout=PATIENT, limit=10)) as store:
            dialling = [store.find((f"k{number}",)) for number in range(12)]
            with pytest.raises(StateUnavailable, match="owes 10 answers already"):
                await dialling[10]
            await asyncio.to_thread(holding.heard, 2)
            with pytest.raises(StateUnavailable, match="owes 10 answers already"):
                await store.find((KEY,))
            go.set()
            assert await asyncio.gather(*dialling[:10]) == [{}] * 10
            assert await store.find((KEY,)) == {}
            dialling[11].exception()


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_loop_that_was_held_up_still_takes_the_answers_that_come_then(server: Redis, turns: int) -> None:
    async with aclosing(AsyncRedisStore(Address(host=server.host, port=server.port), timeout=0.4)) as store:
        await healed(store)
        pending = store.find(("k1",))
        for _ in range(turns):
            await asyncio.sleep(0)
        # as a request that computes for too long would
        threading.Event().wait(1.0)
        assert await pending == {}


async def test_a_false_among_numbers_is_no_number() -> None:
    with peer(answering(b":0\r\n", b"", b":0\r\n#f\r\n")) as strange:
        async with aclosing(AsyncRedisStore(at(strange), timeout=PATIENT)) as store:
            await store.find((KEY,))
            first, second = await asyncio.gather(store.find((KEY,)), store.find((KEY,)), return_exceptions=True)
            assert first == {}
            assert isinstance(second, StateUnavailable)


async def test_an_answer_is_awaited_by_whoever_drives_the_decision(store: AsyncRedisStore) -> None:
    def flow() -> Generator[tuple[str, ...], Hits, Hits]:
        return (yield ("k2",))

    assert await run_async(flow(), store.find) == {"k2": "reason 2"}


async def test_a_question_about_nothing_costs_no_connection() -> None:
    with peer(lambda _: None) as unused:
        async with aclosing(AsyncRedisStore(at(unused), timeout=PATIENT)) as store:
            assert await store.find(()) == {}
            assert unused.conversations == []


async def test_closing_fails_what_is_asked_and_what_will_be(server: Redis) -> None:
    with peer(answering()) as deaf:
        async with aclosing(AsyncRedisStore(at(deaf), timeout=PATIENT)) as store:
            pending = store.find((KEY,))
            await asyncio.to_thread(deaf.heard, 2)
            await store.aclose()
            for question in (pending, store.find((KEY,))):
                with pytest.raises(StateUnavailable, match="closed"):
                    await question
    async with aclosing(AsyncRedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)) as store:
        dialling = store.find((KEY,))
        await store.aclose()
        with pytest.raises(StateUnavailable, match="closed"):
            await dialling


def test_closing_from_another_thread_fails_what_waits() -> None:
    with peer(answering()) as deaf:
        store = AsyncRedisStore(at(deaf), timeout=PATIENT)

        async def ask() -> None:
            pending = store.find((KEY,))
            await asyncio.to_thread(store.close)
            with pytest.raises(StateUnavailable, match="closed"):
                await pending
            with pytest.raises(StateUnavailable, match="closed"):
                await store.find((KEY,))
            await store.aclose()

        asyncio.run(ask())
        store.close()  # of a loop that is closed too


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_one_store_serves_one_loop_after_another(
    server: Redis, runner: Callable[[Coroutine[None, None, None]], None]
) -> None:
    store = AsyncRedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)

    async def ask() -> None:
        assert await store.find(("k2",)) == {"k2": "reason 2"}
        await store.aclose()

    for _ in range(3):
        runner(ask())


def test_one_store_serves_loops_in_several_threads(server: Redis) -> None:
    store = AsyncRedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)
    faults: list[BaseException] = []

    async def ask() -> None:
        for number in range(500):
            assert await store.find((f"k{number}",)) == ({} if number % 2 else {f"k{number}": f"reason {number}"})
        await store.aclose()

    def run() -> None:
        try:
            asyncio.run(ask())
        except BaseException as fault:
            faults.append(fault)
            raise

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


async def test_a_connection_does_not_keep_the_requests_that_used_it(server: Redis) -> None:
    class Request:
        pass

    current: contextvars.ContextVar[Request] = contextvars.ContextVar("current")
    async with aclosing(AsyncRedisStore(Address(host=server.host, port=server.port), timeout=PATIENT)) as store:

        async def handle(key: str) -> weakref.ref[Request]:
            request = Request()
            current.set(request)
            await store.find((key,))
            return weakref.ref(request)

        # the first one dials, the second starts a timer, the third has its reason read
        requests = [await asyncio.create_task(handle(key)) for key in ("k1", "k1", "k2")]
        await store.find(("k1",))
        gc.collect()
        assert [request() for request in requests] == [None] * 3
