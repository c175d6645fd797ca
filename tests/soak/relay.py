"""Two gateways over one Redis that is killed, frozen and cut off: every subscriber's log equals the topic's history."""

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from tests.cli.issuer import Issuer
from tests.cli.sluicegate import Config, Gateway, configure, serving
from tests.events.reading import Dispatched, Reader
from tests.servers.cable import Cable, cable
from tests.servers.redis import Redis, redis_server

TOPICS: Final = 200
PUBLISHERS: Final = 6
"""For each gateway."""

_PAUSE: Final = 0.04
_ACCIDENTS: Final = (1.0, 4.0)
_SETTLED_WITHIN: Final = 90.0
_STUCK: Final = 20.0
"""Seconds without a byte, keepalives included, after which a reader comes back."""

_STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_SETTINGS: Final = """
[events]
subscribe = ["*"]
publish = ["*"]
history = 1000000
history_ttl_sec = 86400
[[route]]
path = "/events/{topic}"
events = true
"""

Logged = tuple[str, str]
"""An event's id and its data."""


def soak(minutes: float) -> None:
    """Shake two gateways for so many minutes. Raises `AssertionError` with what a subscriber got wrong."""
    with TemporaryDirectory(prefix="sg-soak-") as directory:
        shake(Path(directory), seconds=60 * minutes)


def shake(directory: Path, *, seconds: float, workers: int = 1, seed: int = 1) -> "Scene":
    """Shake two gateways of so many workers each, and compare what each subscriber got."""
    with redis_server(append_only=True) as redis, standing(directory, redis, workers) as (gateways, cables, token):
        scene = Scene(gateways, cables, redis, token=token, seed=seed)
        asyncio.run(scene.play(seconds))
        histories = {topic: history(redis, topic) for topic in scene.topics}
        print(f"accidents: {dict(scene.accidents)}, answers to publishers: {dict(scene.answers)}")
        print(
            f"{sum(map(len, histories.values()))} events in {len(histories)} topics, {scene.returns} readers came back"
        )
        scene.compare(histories)
    return scene


@contextmanager
def standing(directory: Path, redis: Redis, workers: int) -> Iterator[tuple[list[Gateway], list[Cable], str]]:
    """Two gateways, each with a cable of its own to Redis, and a token for both."""
    with ExitStack() as stack:
        gateways, cables, secret = [], [], ""
        for name in ("one", "two"):
            line = stack.enter_context(cable(redis.port))
            own = directory / name
            own.mkdir()
            config = configure(own, _SETTINGS, tokens=f'redis_addr = "{line.host}:{line.port}"\ntimeout = "1s"')
            text = config.path.read_text().replace("[admin]", f"workers = {workers}\n[admin]", 1)
            own_key = re.findall(r"sign_key = .*", text)[0]
            config.path.write_text(text.replace(own_key, secret or own_key))
            secret = secret or own_key
            gateways.append(stack.enter_context(serving(config)))
            cables.append(line)
        yield gateways, cables, Issuer(Config(directory / "one" / "sluicegate.toml"))(1, scope="topic:write")
        for gateway in gateways:
            assert "Traceback" not in gateway.process.output()


def history(redis: Redis, topic: str) -> list[Logged]:
    """Read a topic's history from Redis itself."""
    entries = json.loads(redis.cli("--json", "XRANGE", f"sluicegate:events:topic:{topic}", "-", "+"))
    return [
        (event_id, fields["d"] if isinstance(fields, dict) else fields[fields.index("d") + 1])
        for event_id, fields in entries
    ]


@final
class Subscriber:
    """One who reads a topic, now here and now there, and comes back with the last id that it has."""

    def __init__(self, topic: str) -> None:
        self.topic: Final = topic
        self.log: Final[list[Logged]] = []
        self.gaps: Final[list[str]] = []
        self.last = ""
        self.opened: Final = asyncio.Event()

    def took(self, event: Dispatched) -> None:
        """Take note of one event."""
        if event.type == "message":
            self.log.append((event.last_event_id, event.data))
            self.last = event.last_event_id
        else:
            self.gaps.append(event.data)


@final
class Scene:
    """Readers, publishers and accidents."""

    def __init__(
        self, gateways: Sequence[Gateway], cables: Sequence[Cable], redis: Redis, *, token: str, seed: int
    ) -> None:
        self._gateways: Final = gateways
        self._cables: Final = cables
        self._redis: Final = redis
        self._bearer: Final = f"Authorization: Bearer {token}\r\n"
        self._chance: Final = random.Random(seed)  # noqa: S311 - the same accidents again
        self.topics: Final = [f"topic-{number}" for number in range(TOPICS)]
        self._readers: Final = [Subscriber(topic) for topic in self.topics for _ in gateways]
        self._acknowledged: Final[dict[str, set[Logged]]] = {topic: set() for topic in self.topics}
        self.accidents: Final[Counter[str]] = Counter()
        self.answers: Final[Counter[int]] = Counter()
        self.returns = 0
        self._over = False

    async def play(self, seconds: float) -> None:
        """Read, publish and break things for so long; then mend all, and let everybody catch up."""
        reading = [asyncio.create_task(self._read(reader, number)) for number, reader in enumerate(self._readers)]
        async with asyncio.timeout(_SETTLED_WITHIN):
            for reader in self._readers:
                await reader.opened.wait()
        ends = time.monotonic() + seconds
        publishing = [asyncio.create_task(self._publish(number)) for number in range(PUBLISHERS * len(self._gateways))]
        while time.monotonic() < ends:
            await asyncio.sleep(self._chance.uniform(*_ACCIDENTS))
            await self._break()
        self._over = True
        await asyncio.gather(*publishing)
        last = {
            topic: found[-1][0] if (found := await asyncio.to_thread(history, self._redis, topic)) else ""
            for topic in self.topics
        }
        patience = time.monotonic() + _SETTLED_WITHIN
        while any(reader.last != last[reader.topic] for reader in self._readers) and time.monotonic() < patience:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def compare(self, histories: dict[str, list[Logged]]) -> None:
        """Hold every log to its topic's history. Raises `AssertionError`."""
        wrong = []
        for reader in self._readers:
            wanted = histories[reader.topic]
            if reader.log != wanted or reader.gaps:
                lacking = [one for one in wanted if one not in set(reader.log)]
                twice = [one for one, count in Counter(reader.log).items() if count > 1]
                wrong.append(f"{reader.topic}: lacks {lacking[:3]}, twice {twice[:3]}, told of {reader.gaps[:3]}")
        assert not wrong, f"{len(wrong)} of {len(self._readers)} logs differ: {wrong[:5]}"
        lost = {topic: found for topic, told in self._acknowledged.items() if (found := told - set(histories[topic]))}
        assert not lost, f"acknowledged and not kept: {lost}"
        assert sum(map(len, histories.values())), "nothing was published"

    async def _break(self) -> None:
        kind = self._chance.choice(("restart", "snap", "silence", "cut", "kill clients", "freeze", "readers"))
        self.accidents[kind] += 1
        line, redis = self._chance.choice(self._cables), self._redis
        match kind:
            case "restart":
                await asyncio.to_thread(redis.kill)
                await asyncio.sleep(self._chance.uniform(0, 1))
                await asyncio.to_thread(redis.start)
            case "snap":
                await asyncio.to_thread(line.snap)
            case "silence" | "cut":
                await asyncio.to_thread(line.silence if kind == "silence" else line.cut)
                await asyncio.sleep(self._chance.uniform(0, 3))
                await asyncio.to_thread(line.mend)
            case "kill clients":
                await asyncio.to_thread(redis.cli, "CLIENT", "KILL", "TYPE", self._chance.choice(("normal", "pubsub")))
            case "freeze":
                redis.freeze()
                await asyncio.sleep(self._chance.uniform(0, 3))
                redis.thaw()
            case _:
                self.returns += 1
                for reader in self._chance.sample(self._readers, 50):
                    reader.opened.clear()

    async def _read(self, reader: Subscriber, number: int) -> None:
        while True:
            gateway = self._gateways[number % 2] if not reader.log else self._chance.choice(self._gateways)
            with suppress(OSError, EOFError, TimeoutError):
                async with aclosing(self._events(gateway, reader)) as events:  # type: ignore[type-var]
                    async for event in events:
                        reader.took(event)
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))

    async def _events(self, gateway: Gateway, reader: Subscriber) -> AsyncIterator[Dispatched]:
        """Read one stream to its end, or until the reader is sent elsewhere."""
        came, writer = await asyncio.open_connection(*gateway.address)
        try:
            last = f"Last-Event-ID: {reader.last}\r\n" if reader.last else ""
            writer.write(f"GET /events/{reader.topic} HTTP/1.1\r\nHost: gate\r\n{self._bearer}{last}\r\n".encode())
            head = await asyncio.wait_for(came.readuntil(b"\r\n\r\n"), _STUCK)
            if not head.startswith(b"HTTP/1.1 200"):
                return
            reader.opened.set()
            parsed = Reader()
            while size := int(await asyncio.wait_for(came.readline(), 60) or b"0", 16):
                piece = await came.readexactly(size + 2)
                for event in parsed.feed(piece[:-2]):
                    yield event
                if not reader.opened.is_set():
                    return
        finally:
            writer.transport.abort()

    async def _publish(self, number: int) -> None:
        gateway = self._gateways[number % len(self._gateways)]
        count = 0
        while not self._over:
            count += 1
            topic, data = self._chance.choice(self.topics), f"{number}-{count}"
            with suppress(OSError, EOFError, TimeoutError):
                status, body = await asyncio.wait_for(self._post(gateway, topic, data), _STUCK)
                self.answers[status] += 1
                if status == 201:
                    self._acknowledged[topic].add((json.loads(body)["id"], data))
            await asyncio.sleep(self._chance.uniform(0, 2 * _PAUSE))

    async def _post(self, gateway: Gateway, topic: str, data: str) -> tuple[int, bytes]:
        came, writer = await asyncio.open_connection(*gateway.address)
        try:
            writer.write(
                f"POST /events/{topic} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{self._bearer}"
                f"Content-Type: text/plain\r\nContent-Length: {len(data)}\r\n\r\n{data}".encode()
            )
            answer = await came.read()
            matched = _STATUS.match(answer)
            return int(matched[1]) if matched else 0, answer.partition(b"\r\n\r\n")[2]
        finally:
            writer.transport.abort()
