"""Clients of every kind, good, bad and unlucky, a few scenes at a time, over and over."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, final

from tests.cli.issuer import Issuer
from tests.soak.behind import BIG, EVENT
from tests.websockets.opening import ASKING, frame

WITHIN: Final = 20.0
_TOPICS: Final = 20
_USERS: Final = 50
_NAMES: Final = 3000
_HALF: Final = 0.5

Wires = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Unexpected(AssertionError):  # noqa: N818 - what happened
    """A client got something else than it should have."""


@final
class Crowd:
    """`revoke` has a key stand in the store that the gateway asks."""

    def __init__(self, address: tuple[str, int], issuer: Issuer, revoke: Callable[[str], None], *, seed: int) -> None:
        self._address: Final = address
        self.issuer: Final = issuer
        self._revoke: Final = revoke
        self._dice: Final = random.Random(seed)  # noqa: S311 - a choice of scenes
        self._warm: Final = [issuer(user) for user in range(_USERS)]
        self._writer: Final = issuer(0, scope="topic:write")
        self.seen: Final[Counter[str]] = Counter()
        """How often each scene was played."""
        self._revoked = 0
        self.pause = 0.0
        """Seconds between two scenes of one player."""
        self.enough = float("inf")
        """Scenes after which it is done."""
        self._scenes: Final[Sequence[Callable[[], Awaitable[None]]]] = (
            self._keeps_asking,
            self._keeps_asking,
            self._is_new,
            self._is_forged,
            self._uploads,
            self._uploads_in_chunks,
            self._downloads,
            self._leaves_within_a_head,
            self._leaves_within_a_body,
            self._leaves_within_an_answer,
            self._finds_its_upstream_broken,
            self._reads_a_topic,
            self._reads_a_topic,
            self._is_revoked,
            self._expires,
            self._reads_a_feed,
            self._publishes,
            self._publishes,
            self._waits,
            self._is_revoked_meanwhile,
            self._speaks,
        )

    async def play(self, players: int, done: asyncio.Event) -> None:
        """Play scenes, so many at a time, until it is done. Raises `Unexpected`, and what networks raise."""
        async with asyncio.TaskGroup() as group:
            for _ in range(players):
                group.create_task(self._player(done))

    async def _player(self, done: asyncio.Event) -> None:
        while not done.is_set():
            scene = self._dice.choice(self._scenes)
            try:
                async with asyncio.timeout(WITHIN):
                    await scene()
            except (OSError, EOFError, ValueError) as error:
                raise Unexpected(f"{scene.__name__}: {error!r}") from error
            self.seen[scene.__name__.lstrip("_")] += 1
            if self.seen.total() >= self.enough:
                done.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), self.pause)

    # requests

    async def _keeps_asking(self) -> None:
        async with self._connected() as wires:
            for _ in range(20):
                await self._asks(wires, "/hello", self._dice.choice(self._warm))

    async def _is_new(self) -> None:
        async with self._connected() as wires:
            await self._asks(wires, "/api/orders", self.issuer(self._dice.randrange(_USERS)), body=b"hello")

    async def _is_forged(self) -> None:
        forged = self.issuer(0)
        async with self._connected() as wires:
            await self._asks(wires, "/api/orders", forged[:-2] + ("AA" if forged[-2:] != "AA" else "BB"), status=401)

    async def _uploads(self) -> None:
        size = self._dice.randrange(300_000)
        async with self._connected() as wires:
            more = f"Content-Length: {size}\r\n"
            await self._asks(wires, "/api/size", more=more, sent=b"x" * size, body=b"%d" % size)

    async def _uploads_in_chunks(self) -> None:
        pieces = [b"y" * self._dice.randrange(1, 60_000) for _ in range(4)]
        sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        async with self._connected() as wires:
            more = "Transfer-Encoding: chunked\r\n"
            await self._asks(wires, "/api/size", more=more, sent=sent, body=b"%d" % sum(map(len, pieces)))

    async def _downloads(self) -> None:
        async with self._connected() as wires:
            await self._asks(wires, "/api/big", body=b"x" * BIG)

    # clients that break off, and upstreams that do

    async def _leaves_within_a_head(self) -> None:
        async with self._connected() as (_, writer):
            writer.write(self._head("GET", "/hello", self._warm[0])[:-10])
            await writer.drain()

    async def _leaves_within_a_body(self) -> None:
        async with self._connected() as (_, writer):
            head = self._head("POST", "/api/size", self._warm[0], "Content-Length: 100000\r\n")
            writer.write(head + b"x" * self._dice.randrange(90_000))
            await writer.drain()

    async def _leaves_within_an_answer(self) -> None:
        async with self._connected() as (reader, writer):
            writer.write(self._head("GET", "/api/big", self._warm[0]))
            await reader.readexactly(1000)

    async def _finds_its_upstream_broken(self) -> None:
        async with self._connected() as wires:
            await self._asks(wires, self._dice.choice(("/api/close", "/api/nonsense")), status=502)
        async with self._connected() as (reader, writer):
            writer.write(self._head("GET", "/api/cut", self._warm[0]))
            with suppress(ConnectionResetError):
                if (await reader.read(1 << 20)).endswith(b"\r\n\r\nhalf of it") and await reader.read():
                    raise Unexpected("more came than the upstream sent")

    # streams

    async def _reads_a_topic(self) -> None:
        topic = self._topic()
        async with self._reading(f"/events/{topic}", self.issuer(1)) as (reader, _):
            for number in range(self._dice.randrange(4)):
                await self._publish(topic, b"event %d" % number)
                await reader.readuntil(b"\n\n")

    async def _is_revoked(self) -> None:
        name = self._next_name()
        path = self._dice.choice((f"/events/{self._topic()}", "/api/feed"))
        async with self._reading(path, self.issuer(2, jti=name)) as (reader, _):
            await asyncio.to_thread(self._revoke, f"BLACKLIST:key:{name}")
            await self._ends(reader, b'"reason":"revoked"')

    async def _expires(self) -> None:
        # long enough that the token is still good when a busy machine comes to send it
        async with self._reading(f"/events/{self._topic()}", self.issuer(3, ttl=8)) as (reader, _):
            await self._ends(reader, b'"reason":"expired"')

    async def _reads_a_feed(self) -> None:
        async with self._reading("/api/feed", self.issuer(4)) as (reader, _):
            await reader.readuntil(EVENT)
            await reader.readuntil(EVENT)

    # what lasts without being a stream

    async def _waits(self) -> None:
        async with self._connected() as wires:
            await self._asks(wires, "/api/slow", body=b"hello")

    async def _is_revoked_meanwhile(self) -> None:
        name = self._next_name()
        more, sent = "Transfer-Encoding: chunked\r\n", b"3\r\nand\r\n"
        path, more, sent = self._dice.choice((("/api/slow", "", b""), ("/api/size", more, sent)))
        async with self._connected() as wires:
            asking = self._asks(wires, path, self.issuer(5, jti=name), more=more, sent=sent, status=401)
            await asyncio.gather(asking, asyncio.to_thread(self._revoke, f"BLACKLIST:key:{name}"))

    async def _speaks(self) -> None:
        name = self._next_name()
        async with self._connected() as (reader, writer):
            asked = "".join(f"{field}: {value}\r\n" for field, value in ASKING)
            writer.write(self._head("GET", "/api/socket", self.issuer(6, jti=name), asked))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise Unexpected(f"a WebSocket is answered with {head[:40]!r}")
            writer.write(frame(b"hello", mask=b"mask"))
            await reader.readexactly(2)
            if self._dice.random() < _HALF:
                await asyncio.to_thread(self._revoke, f"BLACKLIST:key:{name}")
                await self._ends(reader, b"api_key_blacklisted")

    async def _publishes(self) -> None:
        await self._publish(self._topic(), b"x" * self._dice.randrange(2000))

    # what scenes are made of

    def _next_name(self) -> str:
        # a store keeps what has expired for an hour: names come again, so that it does not grow with them
        self._revoked += 1
        return f"revoked-{self._revoked % _NAMES}"

    def _topic(self) -> str:
        return f"topic-{self._dice.randrange(_TOPICS)}"

    def _head(self, method: str, path: str, token: str, more: str = "") -> bytes:
        lines = f"{method} {path} HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        return lines.encode()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Wires]:
        """A connection, which is left in good order or broken off, as it comes."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            yield reader, writer
        finally:
            if self._dice.random() < 0.3:
                writer.transport.abort()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @asynccontextmanager
    async def _reading(self, path: str, token: str) -> AsyncIterator[Wires]:
        async with self._connected() as (reader, writer):
            writer.write(self._head("GET", path, token))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                raise Unexpected(f"a stream of {path} is answered with {head[:40]!r}")
            await reader.readuntil(b"\n\n")
            yield reader, writer

    async def _asks(
        self,
        wires: Wires,
        path: str,
        token: str = "",
        *,
        more: str = "",
        sent: bytes = b"",
        status: int = 200,
        body: bytes = b"",
    ) -> None:
        reader, writer = wires
        writer.write(self._head("POST" if more else "GET", path, token or self._warm[1], more) + sent)
        head = await reader.readuntil(b"\r\n\r\n")
        got = int(head.split(b" ", 2)[1])
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        came = await reader.readexactly(length)
        if got != status or (body and came != body):
            raise Unexpected(f"{path} is answered with {got} and {len(came)} bytes, and should be with {status}")

    async def _publish(self, topic: str, data: bytes) -> None:
        more = f"Content-Type: text/plain\r\nContent-Length: {len(data)}\r\n"
        async with self._connected() as wires:
            await self._asks(wires, f"/events/{topic}", self._writer, more=more, sent=data, status=201)

    async def _ends(self, reader: asyncio.StreamReader, why: bytes) -> None:
        """Read to the end, which says why."""
        rest = await reader.read(-1)
        if why not in rest:
            raise Unexpected(f"a stream ends with {rest[-200:]!r}, and should with {why!r}")
