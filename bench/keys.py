"""What keys behind a URL cost a valid request, and what a flood of unknown `kid`s does to it.

    python -m bench keys

One engine on uvloop, with the keys of an issuer that hangs: 5,000 requests with 5,000 unknown `kid`s wait for one
fetch while valid ones are decided. Beside it, in turns, the same engine without the flood, and one whose key is a
`sign_key`. Figures are processor time of this process.
"""

import argparse
import asyncio
import base64
import json
import statistics
import time
from collections.abc import Sequence
from typing import Final

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.report import record
from sluicegate.backends.memory import MemoryStore
from sluicegate.backends.scheduler import LoopScheduler
from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.core.fetch_keys import KeySource
from sluicegate.core.flow import Call, Reply
from sluicegate.core.keyring import PublishedKeys
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.signing import mint, private_signer
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine

ROUNDS: Final = 9
FLOOD: Final = 5_000
WARM: Final = 20_000
COLD: Final = 500
FETCHES: Final = 2
"""The first keys, and one for all of the flood."""

PRIVATE: Final = ec.generate_private_key(ec.SECP256R1())
PEM: Final = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
PUBLIC: Final = PRIVATE.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
SIGN: Final = private_signer(PEM, "ES256")


class Hanging:
    """An issuer that answers once, and then says nothing until it is let go."""

    def __init__(self) -> None:
        self.fetches = 0
        self.let_go = asyncio.Event()

    async def fetch(self, _call: Call) -> Reply:
        """Answer one fetch."""
        self.fetches += 1
        if self.fetches > 1:
            await self.let_go.wait()
        numbers = PRIVATE.public_key().public_numbers()
        x, y = (base64.urlsafe_b64encode(it.to_bytes(32)).rstrip(b"=").decode() for it in (numbers.x, numbers.y))
        jwk = {"kty": "EC", "crv": "P-256", "kid": "k1", "x": x, "y": y}
        return Reply(200, (), json.dumps({"keys": [jwk]}).encode())


def request(number: int, kid: str = "k1") -> Request:
    """Make a request with a token of about 400 bytes."""
    claims = {
        "iss": "https://auth.example.com",
        "sub": f"user_{number}",
        "aud": ["https://api.example.com"],
        "exp": 4102444800,
        "jti": f"{number:032x}",
        "scope": "read write",
        "name": "A user whose name makes the token as long as tokens are",
    }
    token = mint(claims, SIGN, algorithm="ES256", kid=kid)
    return Request(headers=((b"host", b"api.example.com"), (b"authorization", b"Bearer " + token.encode())))


def cost(engine: Engine, requests: Sequence[Request], *, times: int = 1) -> float:
    """Return microseconds of processor time that one decision takes; each is made at once, and admits."""
    began = time.process_time_ns()
    for _ in range(times):
        for one in requests:
            if not isinstance(engine.begin(one), Admit):
                raise SystemExit("a valid request was refused, or had to wait")
    return (time.process_time_ns() - began) / (times * len(requests)) / 1000


async def measure(flood: Sequence[Request], valid: Sequence[Request], *, warm: int) -> dict[str, float]:
    """Measure one round."""
    issuer = Hanging()
    ring = PublishedKeys(KeySource(name="keys", algorithms=("ES256",), jwk_url="https://i/k"), chance=lambda: 0.5)
    published = Engine(
        Policy(), LocalKeys(ring, ClaimNames()), state=MemoryStore(), fetcher=issuer, scheduler=LoopScheduler()
    )
    own = Engine(Policy(), LocalKeys(load(PUBLIC.decode(), ["ES256"]), ClaimNames()), state=MemoryStore())
    await published.decide_async(valid[0])
    half = len(valid) // 2
    found = {
        "sign_key, cold": cost(own, valid[:half]),
        "key set, cold": cost(published, valid[1:half]),
        "sign_key, warm": cost(own, valid[:10], times=warm // 10),
        "key set, warm": cost(published, valid[1:11], times=warm // 10),
    }
    began = time.process_time_ns()
    waiting = [asyncio.ensure_future(published.decide_async(one)) for one in flood]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    found["one of the flood, until it waits"] = (time.process_time_ns() - began) / len(flood) / 1000
    found["key set, cold, 5,000 waiting"] = cost(published, valid[half:])
    found["key set, warm, 5,000 waiting"] = cost(published, valid[1:11], times=warm // 10)
    issuer.let_go.set()
    refused = {one.reason for one in await asyncio.gather(*waiting) if isinstance(one, Refuse)}
    if refused != {Reason.UNKNOWN_KEY} or issuer.fetches != FETCHES:
        raise SystemExit(f"{refused} after {issuer.fetches} fetches")
    began = time.process_time_ns()
    for one in flood:
        published.begin(one)
    found["one of the flood, within the cool-down"] = (time.process_time_ns() - began) / len(flood) / 1000
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    rounds = ROUNDS // 3 if parser.parse_args().quick else ROUNDS
    flood = [request(number, kid=f"junk-{number}") for number in range(FLOOD)]
    valid = [request(number) for number in range(COLD)]
    found = [uvloop.run(measure(flood, valid, warm=WARM)) for _ in range(rounds)]
    print(f"\nmicroseconds of processor time a decision, ES256; medians of {rounds} rounds\n")
    for name in found[0]:
        cost = statistics.median(one[name] for one in found)
        print(f"{name:40}{cost:9.2f}")
        record("With published keys, ES256", name, cost, "µs of CPU")


if __name__ == "__main__":
    main()
