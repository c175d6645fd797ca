"""How one Redis or Valkey is: whether it answers, and whether it may forget a revocation."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final

from sluicegate.backends.redis.outage import CONNECT_WITHIN, Outage
from sluicegate.backends.redis.pool import Pool
from sluicegate.backends.redis.wire import ARRAYS, Reply, Wire, is_error, pack, quoted, text
from sluicegate.errors import StateUnavailable
from sluicegate.ports import StoreReport

_INFO_BYTES: Final = 1 << 20
_OLDEST: Final = 6
_SETTINGS: Final = ("save", "appendfsync", "timeout")


def report(wire: Wire, outage: Outage, *, probe: str, durable_replicas: int) -> StoreReport:
    """Ask the server, on a connection of its own that is closed again; takes a second at most.

    `probe` is a key that the question may name: an access control list may allow no other. `outage` is that of the
    store, for since when. Never raises for a server that does not answer.
    """
    name = f"redis at {wire.address}"
    deadline = time.monotonic() + CONNECT_WITHIN
    with closing(Pool(wire, Outage(), size=1, timeout=CONNECT_WITHIN, kinds=ARRAYS, bound=_INFO_BYTES)) as pool:
        try:
            wire.count(pool.exchange(wire.question((probe,)), 1, deadline)[0], (probe,))
            info, *settings = pool.exchange(_questions(), 1 + len(_SETTINGS), deadline)
        except StateUnavailable as failure:
            outage.question_failed()
            return StoreReport(kind=name, reachable=False, since=outage.since, warnings=(str(failure), *_login(wire)))
    facts = _facts(info)
    known = dict(zip(_SETTINGS, map(_setting, settings), strict=True))
    product = next((it for it in ("valkey", "redis") if f"{it}_version" in facts), "redis")
    version = facts.get(f"{product}_version", "")
    return StoreReport(
        kind=f"{product} {version} at {wire.address}" if version else name,
        reachable=True,
        since=outage.since,
        warnings=(
            *_login(wire),
            *_unchecked(info, settings),
            *_version(facts),
            *_eviction(facts),
            *_persistence(facts, known, durable_replicas),
            *_replication(facts, durable_replicas),
            *_idle(known),
        ),
    )


def _questions() -> bytes:
    # one CONFIG GET each: Redis 6 takes one name at a time
    return pack("INFO") + b"".join(pack("CONFIG", "GET", setting) for setting in _SETTINGS)


def _facts(info: Reply) -> Mapping[str, str]:
    """Read the lines of INFO, `name:value`."""
    lines = text(info).splitlines() if isinstance(info, bytes) else []
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def _setting(reply: Reply) -> str | None:
    match reply:
        case [bytes(), bytes() as value]:
            return text(value)
    return None


def _login(wire: Wire) -> Iterator[str]:
    if not wire.address.is_verified:
        yield (
            "tls.insecure_skip_verify is on: whoever is between here and Redis can say that nothing is revoked; take "
            "it out, and name the authority in tls.ca_file"
        )


def _unchecked(info: Reply, settings: Sequence[Reply]) -> Iterator[str]:
    """Managed services and access control lists may forbid either."""
    if isinstance(info, bytes) and all(_setting(reply) is not None for reply in settings):
        return
    refused = next((f" ({quoted(reply)})" for reply in (info, *settings) if is_error(reply)), "")
    yield (
        f"not all of the server's settings could be read{refused}: see to it yourself that maxmemory-policy is "
        "noeviction and that the data survives a restart, or allow INFO and CONFIG GET"
    )


def _version(facts: Mapping[str, str]) -> Iterator[str]:
    # Valkey gives a redis_version too: that of the Redis which it is compatible with
    version = facts.get("redis_version", "")
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < _OLDEST:
        yield f"Redis {version} is older than any that was tried: use Redis {_OLDEST} or newer, or Valkey"
    if facts.get("redis_mode") == "cluster":
        yield (
            "this is one node of a cluster: it refuses every question about a key of another node, and then the state "
            "is unknown; use a server that holds all keys"
        )


def _eviction(facts: Mapping[str, str]) -> Iterator[str]:
    policy, limit = facts.get("maxmemory_policy", "noeviction"), facts.get("maxmemory", "0")
    if policy != "noeviction":
        what = "a revocation that has a time to live" if policy.startswith("volatile-") else "any revocation"
        when = "as soon as a maxmemory is set and reached" if limit == "0" else f"when its {limit} bytes are full"
        yield f"maxmemory-policy is {policy}: the server drops {what} without an error {when}; set it to noeviction"


def _persistence(facts: Mapping[str, str], known: Mapping[str, str | None], durable_replicas: int) -> Iterator[str]:
    synced, saved = known["appendfsync"], known["save"]
    match facts.get("aof_enabled"):
        case "1" if synced in {"everysec", "no"} and not durable_replicas:
            lost = "the last second" if synced == "everysec" else "the last half minute"
            yield (
                f"appendfsync is {synced}: a power cut loses the revocations of {lost}; set it to always, or "
                "durable_replicas to 1"
            )
        case "0" if saved == "":
            yield "persistence is off: a restart forgets every revocation; set appendonly yes"
        case "0" if saved is not None:
            yield (
                f"only snapshots are kept (save {saved}): a crash forgets the revocations since the last one; set "
                "appendonly yes"
            )


def _replication(facts: Mapping[str, str], durable_replicas: int) -> Iterator[str]:
    if facts.get("role") == "slave":
        yield (
            f"this is a replica of {facts.get('master_host')}: a revocation is seen here only when it arrives, and "
            "none can be written; name the primary in redis_addr"
        )
        return
    connected = facts.get("connected_slaves", "")
    if not connected.isdecimal():
        return
    if int(connected) < durable_replicas:
        yield (
            f"durable_replicas is {durable_replicas} and {connected} are connected: no revocation can be "
            "acknowledged; connect more replicas, or lower it"
        )
    elif int(connected) and not durable_replicas:
        yield (
            f"replicas are connected ({connected}) and durable_replicas is 0: a failover loses revocations that no "
            "replica had yet; set it to 1"
        )


def _idle(known: Mapping[str, str | None]) -> Iterator[str]:
    seconds = known["timeout"]
    if seconds not in {None, "0"}:
        yield (
            f"the server closes connections after {seconds} s without a question, and the next question waits for a "
            "new one; set its timeout to 0"
        )
