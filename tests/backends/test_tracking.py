"""What Redis tells of revocations as they are written, and what is asked where it cannot."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Final, final

import pytest

from sluicegate.backends.redis.address import Address
from sluicegate.backends.redis.store import RedisStore
from sluicegate.backends.redis.tracking import TrackingFeed, Watched, distinct
from sluicegate.core.events import Event, Listening
from tests.backends.redis_peer import Conversation, peer
from tests.servers.cable import cable
from tests.servers.redis import Redis, redis_server

PREFIXES: Final = ("BLACKLIST:key:", "BLACKLIST:")
KEY: Final = "BLACKLIST:key:4f1c"
ANY: Final = ""
FOR_EVER: Final = 3600.0


@final
class Noted:
    """An instrument that keeps what it is told."""

    def __init__(self) -> None:
        self.events: Final[list[Event]] = []

    def noted(self, event: Event) -> None:
        """Take note."""
        self.events.append(event)

    def listening(self) -> list[bool]:
        """Say what was told of listening, in order."""
        return [event.is_on for event in self.events if isinstance(event, Listening)]


@final
class Heard:
    """A feed, and what it says."""

    def __init__(self, feed: TrackingFeed, keys: AsyncIterator[str]) -> None:
        self.feed: Final = feed
        self._keys: Final = keys

    async def until(self, is_it: Callable[[str], bool]) -> str:
        """Return the next key that is it."""
        async with asyncio.timeout(20):
            async for key in self._keys:
                if is_it(key):
                    return key
        raise AssertionError("the feed has ended")

    async def key(self) -> str:
        """Return the next single key."""
        return await self.until(bool)

    async def told(self) -> None:
        """Wait until Redis tells, and the feed has said so."""
        await self.until(lambda key: key == ANY and self.feed.is_told)

    async def lost(self) -> None:
        """Wait until the feed is lost, and has said so."""
        await self.until(lambda key: key == ANY and not self.feed.is_told)


@asynccontextmanager
async def hearing(address: Address, prefixes: tuple[str, ...] = PREFIXES, **options: object) -> AsyncIterator[Heard]:
    """Listen for the block. By itself the feed would look at everything only after an hour."""
    chosen = {"silence": 0.4, "look_every": FOR_EVER, "ask_every": FOR_EVER, **options}
    feed = TrackingFeed(address, prefixes=prefixes, probe="BLACKLIST:key:", **chosen)  # type: ignore[arg-type]
    async with aclosing(feed.changes()) as keys:  # type: ignore[type-var]
        yield Heard(feed, keys)


def address_of(redis: Redis) -> Address:
    return Address(host=redis.host, port=redis.port)


async def cli(redis: Redis, *words: str) -> str:
    return await asyncio.to_thread(redis.cli, *words)


async def test_a_key_of_either_prefix_is_told_as_soon_as_it_is_written_and_no_other(redis: Redis) -> None:
    async with hearing(address_of(redis)) as heard:
        await heard.told()
        for key in (KEY, "BLACKLIST:sub:alice", "BLACKLIST:sub:ümlaut"):
            await cli(redis, "SETEX", "other:key", "60", "x")
            await cli(redis, "SETEX", key, "60", "cancelled")
            assert await heard.key() == key


async def test_a_key_that_is_no_string_and_one_of_another_kind_of_write_are_told_too(redis: Redis) -> None:
    async with hearing(address_of(redis)) as heard:
        await heard.told()
        await cli(redis, "SADD", KEY, "a")
        assert await heard.key() == KEY
        await cli(redis, "SET", "elsewhere", "x")
        await cli(redis, "RENAME", "elsewhere", "BLACKLIST:key:renamed")
        assert await heard.key() == "BLACKLIST:key:renamed"


async def test_many_keys_written_at_once_are_all_told(redis: Redis) -> None:
    keys = {f"BLACKLIST:key:{number}" for number in range(2000)}
    async with hearing(address_of(redis)) as heard:
        await heard.told()
        await cli(redis, "MSET", *(word for key in sorted(keys) for word in (key, "x")))
        found = set[str]()
        while found != keys:
            found.add(await heard.key())


async def test_a_flood_of_keys_is_told_as_any_key_and_takes_no_memory(redis: Redis) -> None:
    script = "for n = 1, 30000 do redis.call('SET', 'BLACKLIST:key:' .. n, 'x') end"
    async with hearing(address_of(redis)) as heard:
        await heard.told()
        await cli(redis, "EVAL", script, "0")
        await heard.until(lambda key: key == ANY)


async def test_flushing_is_told_as_any_key(redis: Redis) -> None:
    async with hearing(address_of(redis)) as heard:
        await heard.told()
        await cli(redis, "FLUSHALL")
        await heard.until(lambda key: key == ANY)


async def test_what_redis_does_not_tell_is_asked_about_every_so_often_however_much_it_tells(redis: Redis) -> None:
    """SWAPDB pushes nothing."""
    async with hearing(address_of(redis), look_every=0.3) as heard:
        await heard.told()
        await cli(redis, "-n", "1", "SET", KEY, "x")
        await cli(redis, "SWAPDB", "0", "1")
        writes = [asyncio.create_task(cli(redis, "SET", "BLACKLIST:key:noise", str(n))) for n in range(50)]
        await heard.until(lambda key: key == ANY)
        assert heard.feed.is_told
        await asyncio.gather(*writes)


async def test_a_database_that_was_selected_is_heard_like_any(redis: Redis) -> None:
    async with hearing(Address(host=redis.host, port=redis.port, db=3)) as heard:
        await heard.told()
        await cli(redis, "-n", "3", "SET", KEY, "x")
        assert await heard.key() == KEY


@pytest.mark.parametrize("accident", ["killed", "cut", "client killed", "frozen"])
async def test_a_feed_that_is_lost_says_so_and_says_when_it_is_back(redis: Redis, accident: str) -> None:
    noted = Noted()
    with cable(redis.port) as line:
        async with hearing(Address(host=line.host, port=line.port), instrument=noted) as heard:
            await heard.told()
            match accident:
                case "killed":
                    await asyncio.to_thread(redis.kill)
                case "cut":
                    line.cut()
                case "client killed":
                    await cli(redis, "CLIENT", "KILL", "TYPE", "normal")
                case _:
                    redis.freeze()
            await heard.lost()
            match accident:
                case "killed":
                    await asyncio.to_thread(redis.start)
                case "frozen":
                    redis.thaw()
            line.mend()
            await heard.told()
            await cli(redis, "SET", KEY, "x")
            assert await heard.key() == KEY
            assert noted.listening() == [True, False, True]
            assert heard.feed.trouble == ""


async def test_a_network_that_was_cut_without_a_word_is_noticed_within_the_bound(redis: Redis) -> None:
    with cable(redis.port) as line:
        async with hearing(Address(host=line.host, port=line.port), silence=0.2) as heard:
            await heard.told()
            line.silence()
            await heard.lost()
            assert "has been silent for 0.2 s" in heard.feed.trouble
            await cli(redis, "SET", KEY, "x")
            line.mend()
            await heard.told()


async def test_a_loop_that_was_held_up_is_not_taken_for_a_silent_server(redis: Redis) -> None:
    import time  # noqa: PLC0415 - used for holding the loop up, and for nothing else

    noted = Noted()
    async with hearing(address_of(redis), silence=0.2, instrument=noted) as heard:
        await heard.told()
        for _ in range(3):
            time.sleep(0.3)  # noqa: ASYNC251 - that is the case
            await asyncio.sleep(0)
        await cli(redis, "SET", KEY, "x")
        assert await heard.key() == KEY
        assert noted.listening() == [True]


async def test_while_nobody_tells_everything_is_asked_about_again_and_again(redis: Redis) -> None:
    redis.kill()
    async with hearing(address_of(redis), ask_every=0.05) as heard:
        for _ in range(5):
            assert await heard.until(lambda _: True) == ANY
    redis.start()


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("gate on >secret ~BLACKLIST:* +exists +getrange", "NOPERM"),
        ("gate on >secret ~BLACKLIST:* +exists +getrange +hello", "NOPERM"),
    ],
)
async def test_a_user_who_may_not_be_told_is_polled_for_and_the_operator_hears_why(rule: str, says: str) -> None:
    noted = Noted()
    with redis_server(users=(rule,)) as redis:
        address = Address(host=redis.host, port=redis.port, username="gate", password="secret")
        async with hearing(address, ask_every=0.05, instrument=noted) as heard:
            await heard.until(lambda _: bool(heard.feed.trouble))
            assert says in heard.feed.trouble
            assert "+client|tracking" in heard.feed.trouble
            assert await heard.until(lambda _: True) == ANY
            assert noted.listening() == [False]
            store = RedisStore(address, timeout=1)
            report = await asyncio.to_thread(Watched(store, heard.feed).inspect)
            assert heard.feed.trouble in report.warnings
            store.close()
            # and the right may be given while it runs
            redis.cli("ACL", "SETUSER", "gate", "+hello", "+client|tracking")
            await heard.told()
            assert Watched(store, heard.feed).inspect().warnings != report.warnings


async def test_a_user_who_may_only_ask_and_be_told_needs_no_more() -> None:
    rule = "gate on >secret ~BLACKLIST:* +exists +getrange +hello +client|tracking"
    with redis_server(users=(rule,)) as redis:
        address = Address(host=redis.host, port=redis.port, username="gate", password="secret")
        async with hearing(address) as heard:
            await heard.told()
            await cli(redis, "SET", KEY, "x")
            assert await heard.key() == KEY
            # who is thrown out is told nothing any more, and knows it
            await cli(redis, "ACL", "DELUSER", "gate")
            await heard.lost()


@pytest.mark.parametrize(
    "answer",
    [b"-ERR unknown command 'HELLO'\r\n", b"-NOPROTO unsupported protocol version\r\n", b"HTTP/1.1 400\r\n\r\n"],
)
async def test_a_server_that_knows_no_pushes_is_polled_for(answer: bytes) -> None:
    def script(conversation: Conversation) -> None:
        conversation.greet()
        assert conversation.command() == [b"HELLO", b"3"]
        conversation.say(answer)
        conversation.listen()

    with peer(script) as old:
        async with hearing(Address(host=old.host, port=old.port), ask_every=0.05) as heard:
            await heard.until(lambda _: bool(heard.feed.trouble))
            assert not heard.feed.is_told
            assert await heard.until(lambda _: True) == ANY


@pytest.mark.parametrize(
    "push",
    [
        b">2\r\n$10\r\ninvalidate\r\n*2\r\n$2\r\n\xff\xfe\r\n:7\r\n",
        b">1\r\n$10\r\ninvalidate\r\n",
        b">2\r\n$9\r\nsomething\r\n*1\r\n$1\r\na\r\n",
        b">0\r\n",
    ],
)
async def test_a_push_that_says_nothing_we_know_is_passed_over(push: bytes) -> None:
    def script(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()
        conversation.say(b"%0\r\n")
        conversation.command()
        conversation.say(b"+OK\r\n" + push + b">2\r\n$10\r\ninvalidate\r\n*1\r\n$15\r\nBLACKLIST:key:a\r\n")
        conversation.listen()

    with peer(script) as odd:
        async with hearing(Address(host=odd.host, port=odd.port), silence=10) as heard:
            assert await heard.key() == "BLACKLIST:key:a"


@pytest.mark.parametrize("rubbish", [b":1\r\n:2\r\n", b"hello\r\n", b">2\r\n$10\r\ninvalidate\r\n$999999999\r\n" * 2])
async def test_a_server_that_answers_what_was_not_asked_is_listened_to_no_more(rubbish: bytes) -> None:
    def script(conversation: Conversation) -> None:
        conversation.greet()
        conversation.command()
        conversation.say(b"%0\r\n")
        conversation.command()
        conversation.say(b"+OK\r\n")
        if conversation.number == 1:
            conversation.say(rubbish)
        conversation.listen()

    with peer(script) as odd:
        async with hearing(Address(host=odd.host, port=odd.port), silence=0.5) as heard:
            await heard.until(lambda _: bool(heard.feed.trouble))
            await heard.until(lambda key: key == ANY)


async def test_nobody_who_listens_no_more_leaves_a_connection_behind(redis: Redis) -> None:
    with cable(redis.port) as line:
        async with hearing(Address(host=line.host, port=line.port)) as heard:
            await heard.told()
            assert line.connections == 1
        await asyncio.to_thread(line.empty)


@pytest.mark.parametrize(
    ("prefixes", "kept"),
    [
        (("BLACKLIST:key:", "BLACKLIST:"), ("BLACKLIST:",)),
        (("BLACKLIST:", "BLACKLIST:"), ("BLACKLIST:",)),
        (("a:", "b:"), ("a:", "b:")),
        (("", "BLACKLIST:"), ("",)),
        (("ab", "a", "abc", "b"), ("a", "b")),
    ],
)
async def test_prefixes_that_overlap_are_told_of_once(
    redis: Redis, prefixes: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    """A server refuses prefixes of one connection that overlap."""
    assert sorted(distinct(prefixes)) == sorted(kept)
    async with hearing(address_of(redis), prefixes=prefixes) as heard:
        await heard.told()
        for prefix in prefixes:
            await cli(redis, "SET", f"{prefix}x", "1")
            assert await heard.key() == f"{prefix}x"


def test_no_socket_is_left_by_the_tests_own_cable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, cable(server.getsockname()[1]) as line:
        with socket.create_connection((line.host, line.port)):
            server.accept()[0].close()
        line.snap()
        line.empty()
