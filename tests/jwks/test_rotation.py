"""Keys are changed while requests pass: none that is valid is refused, and a key that is withdrawn stops working."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final, final

import pytest

from sluicegate import compose
from sluicegate.core.decision import Decision, Reason, Refuse
from sluicegate.core.request import Request
from sluicegate.core.token import digest
from tests.cli.sluicegate import Config, serving
from tests.jwks.issuing import Issuing, issuer
from tests.jwks.published import Published
from tests.servers.certificates import Authority
from tests.table.tokens import EXPIRES
from tests.wire import request

KEYS: Final = tuple(Published(f"k{n}", label=str(n)) for n in range(4))
A_SECOND: Final = 500
"""Requests."""

FASTER: Final = 60
"""The gate's clock: what would take a minute passes in a second, and the network is as it is."""


@final
class Tokens:
    """Tokens of one key: half of them come again and again, the others once."""

    def __init__(self, key: Published, fresh: int = 400) -> None:
        claims = {"sub": "alice", "exp": EXPIRES}
        self.known = [key.token(claims | {"jti": f"{key.kid}-known-{n}"}) for n in range(20)]
        fresh_ones = [key.token(claims | {"jti": f"{key.kid}-{n}"}) for n in range(fresh)]
        pairs = zip(itertools.cycle(self.known), fresh_ones, strict=False)
        self._next = itertools.cycle(token for pair in pairs for token in pair)

    def __next__(self) -> bytes:
        return next(self._next)


@pytest.fixture(scope="module")
def tokens() -> dict[Published, Tokens]:
    return {key: Tokens(key) for key in KEYS}


@pytest.fixture
def https(tmp_path: Path, authority: Authority) -> Iterator[Issuing]:
    with issuer(tmp_path / "issuer", authority.server("issuer")) as issuing:
        issuing.publish(KEYS[0])
        yield issuing


async def paced(number: int) -> AsyncIterator[int]:
    """Count to a number, as many a second as there are requests; late ones are made up for."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for n in range(number):
        await asyncio.sleep(max(0.0, began + n / A_SECOND - loop.time()))
        yield n


def reason(decision: Decision) -> Reason | None:
    return decision.reason if isinstance(decision, Refuse) else None


async def test_not_one_valid_request_is_refused_while_keys_rotate_and_rotate(
    https: Issuing, authority: Authority, tokens: dict[Published, Tokens]
) -> None:
    began, zero = time.time(), time.monotonic()

    def clock() -> float:
        return began + (time.monotonic() - zero) * FASTER

    settings = {"jwk_url": https.jwk_url, "sign_alg": "ES256", "jwk_ca_file": str(authority.ca_file)}
    assembly = compose.assemble(
        compose.from_keywords(settings | {"redis_addr": "disabled"}),
        asynchronous=True,
        clock=clock,
    )

    async def decide(token: bytes) -> Reason | None:
        request = Request(headers=((b"authorization", b"Bearer " + token),))
        return reason(await assembly.engine.decide_async(request))

    outcomes: list[asyncio.Task[Reason | None]] = []
    fetched: list[int] = []
    for old, new in itertools.pairwise(KEYS):
        https.publish(old, new, max_age=60)
        # an issuer publishes a key before it signs with it; the cool-down passes meanwhile, at this pace
        for signer in (old, new):
            outcomes += [asyncio.ensure_future(decide(next(tokens[signer]))) async for _ in paced(400)]
        https.publish(new, name=f"without {old.kid}", max_age=60)
        gone = tokens[old].known[0]
        async for _ in paced(10_000):
            outcomes.append(asyncio.ensure_future(decide(next(tokens[new]))))
            if assembly.verifier.recall(digest(gone), Request(), clock()) is None and await decide(gone) is not None:
                break
        fetched.append(https.fetched(f"without {old.kid}"))
        assert await decide(gone) is Reason.UNKNOWN_KEY
    assert Counter(await asyncio.gather(*outcomes)) == {None: len(outcomes)}
    assert len(outcomes) > len(fetched) * 800
    # the first that did not list the key ended it; asking for it, unknown as it was then, may have been a second one
    assert set(fetched) <= {1, 2}
    assembly.close()


def test_keys_are_kept_while_nobody_asks_for_anything(https: Issuing, authority: Authority) -> None:
    """Or a key that was withdrawn in the night would open the gate once more in the morning."""
    settings = {"jwk_url": https.jwk_url, "sign_alg": "ES256", "jwk_ca_file": str(authority.ca_file)}
    assembly = compose.assemble(
        compose.from_keywords(settings | {"redis_addr": "disabled"}),
        asynchronous=True,
        clock=lambda: time.time() + 250 * (time.monotonic() - zero),
    )
    zero = time.monotonic()

    async def kept() -> None:
        keeping = asyncio.ensure_future(assembly.keep_keys())
        async with asyncio.timeout(40):
            async for _ in paced(20_000):
                if https.requests() > 1:
                    break
        keeping.cancel()

    asyncio.run(kept())
    assembly.close()
    assert https.requests() == 2


def configuration(directory: Path, issuing: Issuing, authority: Authority) -> Config:
    path = directory / "sluicegate.toml"
    path.write_text(
        f'state_dir = "{directory / "state"}"\n'
        '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n'
        f'[stateful_jwt]\njwk_url = "{issuing.jwk_url}"\nsign_alg = "ES256"\njwk_ca_file = "{authority.ca_file}"\n'
        '[[route]]\npath = "/hello"\nrespond = "Hello {http.auth.user.id}!"\n'
    )
    return Config(path)


@final
class Client:
    """Many keep-alive connections to a gateway."""

    def __init__(self, address: tuple[str, int], connections: int = 16) -> None:
        self._address: Final = address
        self._idle: Final[asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = asyncio.Queue()
        self._connections: Final = connections

    async def __aenter__(self) -> "Client":
        for _ in range(self._connections):
            self._idle.put_nowait(await asyncio.open_connection(*self._address))
        return self

    async def __aexit__(self, *_: object) -> None:
        while not self._idle.empty():
            writer = self._idle.get_nowait()[1]
            writer.close()
            await writer.wait_closed()

    async def status(self, token: bytes) -> int:
        """Send a token, and return the status that comes back."""
        reader, writer = await self._idle.get()
        writer.write(request("/hello", ("Authorization", f"Bearer {token.decode()}")))
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        self._idle.put_nowait((reader, writer))
        return int(head.split(b" ", 2)[1])


async def loaded(client: Client, number: int, token: Callable[[], bytes]) -> Counter[int]:
    """Send so many requests at their pace, and count what comes back."""
    tasks = [asyncio.ensure_future(client.status(token())) async for _ in paced(number)]
    return Counter(await asyncio.gather(*tasks))


@pytest.mark.timeout(120)
async def test_a_gateway_under_load_follows_its_issuer(
    tmp_path: Path, https: Issuing, authority: Authority, tokens: dict[Published, Tokens]
) -> None:
    old, new = KEYS[:2]
    with serving(configuration(tmp_path, https, authority)) as gateway:
        async with Client(gateway.address) as client:
            assert await loaded(client, 300, lambda: next(tokens[old])) == {200: 300}
            https.publish(new)  # nobody knows it yet, and the old one is gone
            assert await loaded(client, 500, lambda: next(tokens[new])) == {200: 500}
            gone = await loaded(client, 50, lambda: next(tokens[old]))
            assert gone == {401: 50}
        assert https.requests() == 2


@pytest.mark.timeout(120)
async def test_thousands_of_unknown_kids_cause_one_fetch_and_valid_requests_pass(
    tmp_path: Path, https: Issuing, authority: Authority, tokens: dict[Published, Tokens]
) -> None:
    key = KEYS[0]
    known = key.token({"sub": "alice", "exp": EXPIRES, "jti": "j"})
    signature = known.rpartition(b".")[2]
    junk = itertools.count()

    def unknown() -> bytes:
        # a signature costs the attacker nothing: it is never looked at
        header = Published(f"junk-{next(junk)}").token({"sub": "mallory", "jti": "j"})
        return header.rpartition(b".")[0] + b"." + signature

    with serving(configuration(tmp_path, https, authority)) as gateway:
        async with Client(gateway.address, 32) as client:
            assert await client.status(known) == 200
            flood, valid = await asyncio.gather(
                loaded(client, 5000, unknown), loaded(client, 2000, lambda: next(tokens[key]))
            )
            assert flood == {401: 5000}
            assert valid == {200: 2000}
        assert https.requests() == 2
