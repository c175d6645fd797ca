"""RevenProx's webhook authentication as documented, and the gate's, through two thousand steps of many worlds.

RevenProx: the token of `Authorization` and the topic go to the webhook; a yes opens the stream and is cached for
`cache_ttl_sec`; anything else does not open it. It has no revocation, and its cache knows tokens and no topics.
"""

import json
import random
from collections.abc import Iterator
from typing import Final, final

import msgspec

from sluicegate.core.flow import Call, Reply
from sluicegate.core.topics import topic_id
from tests.table.tokens import NOW, mint
from tests.webhook.world import World, no, yes

TTL: Final = 300.0
TOKENS: Final = tuple(mint(jti=f"key-{number}", sub=f"user-{number}") for number in range(4))
TOPICS: Final = ("news", "sport", "private")
WORLDS: Final = 100
STEPS: Final = 20


@final
class Service(msgspec.Struct):
    """The operator's webhook: whom it lets have what, until when. It only ever takes away."""

    allowed: set[tuple[str, str]]
    until: dict[str, int]
    now: float = float(NOW)

    def opens(self, token: str, topic: str) -> bool:
        """Answer a question."""
        return (token, topic) in self.allowed and self.until[token] > self.now

    def reply(self, call: Call) -> Reply:
        """Answer a call."""
        asked = json.loads(call.body)
        topic = next(name for name in TOPICS if topic_id(name) == asked["topic"])
        if not self.opens(asked["jwt"], topic):
            return no()
        return yes(f"user-{TOKENS.index(asked['jwt'])}", self.until[asked["jwt"]])


@final
class RevenProx:
    """As documented; `mended`, with a cache that knows topics and ends, and with revocation."""

    def __init__(self, service: Service, *, mended: bool) -> None:
        self._service = service
        self._mended = mended
        self._cache: dict[tuple[str, str], float] = {}

    def opens(self, token: str, topic: str, revoked: set[str]) -> bool:
        """Tell whether a stream is opened."""
        now = self._service.now
        if self._mended and token in revoked:
            return False
        key = (token, topic if self._mended else "")
        if self._cache.get(key, 0.0) > now:
            return True
        if not self._service.opens(token, topic):
            return False
        self._cache[key] = min(now + TTL, self._service.until[token]) if self._mended else now + TTL
        return True


def _steps(seed: int) -> Iterator[tuple[bool, bool, bool, str]]:
    """Play one world; yield at each question what RevenProx, the mended one and the gate say."""
    chance = random.Random(seed)  # noqa: S311 - chosen, not secret
    allowed = {(token, topic) for token in TOKENS for topic in TOPICS if chance.random() < 0.6}
    service = Service(allowed, {token: NOW + chance.choice((100, 400, 5000)) for token in TOKENS})
    world = World(service.reply, cache_ttl=TTL, rate=10_000, breaker_threshold=10_000)
    documented, mended = RevenProx(service, mended=False), RevenProx(service, mended=True)
    revoked: set[str] = set()
    for _ in range(STEPS):
        match chance.randrange(6):
            case 0:
                # further than a no is remembered, which RevenProx says nothing about
                world.now = service.now = service.now + chance.choice((10, 60, 310))
            case 1 if allowed:
                allowed.discard(chance.choice(sorted(allowed)))
            case 2 if chance.random() < 0.3:
                token = chance.choice(TOKENS)
                revoked.add(token)
                world.revoked[f"BLACKLIST:key:key-{TOKENS.index(token)}"] = "security"
            case _:
                pass
        token, topic = chance.choice(TOKENS), chance.choice(TOPICS)
        said = world.outcome(token, topic)
        who = f"user-{TOKENS.index(token)}"
        assert said == who or not said.startswith("user-"), said
        yield documented.opens(token, topic, revoked), mended.opens(token, topic, revoked), said == who, said


def test_the_gate_opens_what_revenprox_opens_but_for_topic_end_and_revocation() -> None:
    steps = [step for seed in range(WORLDS) for step in _steps(seed)]
    assert len(steps) == WORLDS * STEPS
    assert [step for step in steps if step[1] != step[2]] == [], "a difference that has no name"
    named = [step for step in steps if step[0] != step[2]]
    assert all(documented and not gate for documented, _, gate, _ in named), "the gate never opens more"
    assert 20 < len(named) < len(steps) / 2
