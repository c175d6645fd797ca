"""Where revocations stand, from the settings: the store that the engine asks, and the one that is written to.

Backends are imported when they are asked for: the base install has no Redis client.
"""

import hmac
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, assert_never

from sluicegate.core.policy import TicketKey
from sluicegate.errors import SettingsError
from sluicegate.ports import EventRelay, Inspectable, Instrument, Ledger, RevocationFeed, StateStore
from sluicegate.settings import Settings
from sluicegate.settings.stores import EmbeddedStore, NoStore, RedisCluster, RedisSentinel, RedisServer, RedisSocket

if TYPE_CHECKING:
    from sluicegate.backends.redis.address import Address
    from sluicegate.backends.redis.tickets import RedisTickets
    from sluicegate.backends.sqlite.events import SqliteEvents
    from sluicegate.backends.sqlite.store import SqliteStore
    from sluicegate.backends.sqlite.tickets import SqliteTickets


class Store(StateStore, Ledger, Inspectable, Protocol):
    """A backend of state, for threads: it answers at once, writes, and says how it is."""

    def close(self) -> None:
        """Release files and connections."""
        ...


class Stores(NamedTuple):
    """What came of the settings; all of it None where there is no store."""

    store: Store | None = None
    """Blocks, writes, and says how it is."""
    asked: StateStore | None = None
    """What the engine asks."""
    inspected: Inspectable | None = None
    """What knows since when the engine's own questions fail."""
    feed: RevocationFeed | None = None
    closers: tuple[Callable[[], None], ...] = ()


def stores_of(
    settings: Settings, *, asynchronous: bool, clock: Callable[[], float], instrument: Instrument | None = None
) -> Stores:
    """Make the store. Nothing is connected or read until the first question.

    Raises `SettingsError` for a certificate that cannot be used.
    """
    where = settings.stateful_jwt.store
    match where:
        case NoStore():
            return Stores()
        case EmbeddedStore():
            from sluicegate.backends.sqlite.store import SqliteStore

            embedded = SqliteStore(settings.state_dir, clock=clock)
            return Stores(embedded, embedded, embedded, _feed(embedded) if asynchronous else None, (embedded.close,))
        case RedisServer() | RedisSocket():
            return _redis(settings, where, asynchronous=asynchronous, instrument=instrument)
        case (
            RedisSentinel() | RedisCluster()
        ):  # `not_yet` says so first; said again, so that no gate is without its store
            problem, remedy = "is not served by this version yet", "name one server: redis://, rediss:// or unix://"
            raise SettingsError((settings.fault("stateful_jwt.redis_addr", problem, remedy),))
        case _ as never:
            assert_never(never)


def ticket_key_of(settings: Settings) -> TicketKey | None:
    """Return what proves tickets, the same on every node; None where none are given out.

    Where neither a secret nor a symmetric key says more, whoever can write to the ledger can make tickets.
    """
    events, tokens = settings.events, settings.stateful_jwt
    if not events.tickets or not any(route.events for route in settings.route):
        return None
    secret = events.ticket_secret.get_secret_value() or tokens.sign_key.get_secret_value()
    return TicketKey(hmac.digest(secret.encode(), b"sluicegate tickets 1", "sha256"))


def tickets_of(settings: Settings) -> "SqliteTickets | RedisTickets | None":
    """Return where tickets are kept; None where none are given out. Nothing is opened until the first."""
    from sluicegate.backends.sqlite.tickets import SqliteTickets

    where = settings.stateful_jwt.store
    if ticket_key_of(settings) is None:
        return None
    if isinstance(where, RedisServer | RedisSocket):
        from sluicegate.backends.redis.tickets import RedisTickets

        return RedisTickets(_address(settings, where))  # which the store has read already, and found no fault
    return SqliteTickets(settings.state_dir)


def event_log_of(settings: Settings) -> "SqliteEvents":
    """Open the history of event streams. Raises `SettingsError` where it cannot be, or another gateway has it."""
    from sluicegate.backends.sqlite.events import SqliteEvents

    try:
        return SqliteEvents(settings.state_dir)
    except BlockingIOError as error:
        problem, remedy = "is another gateway's, which serves events from it", "give this one a directory of its own"
        raise SettingsError((settings.fault("state_dir", problem, remedy),)) from error
    except (OSError, sqlite3.Error) as error:
        problem, remedy = f"cannot hold events.db ({error})", "name a directory that can be written to"
        raise SettingsError((settings.fault("state_dir", problem, remedy),)) from error


def relay_of(settings: Settings, *, instrument: Instrument | None = None) -> EventRelay | None:
    """Make what carries events between nodes; None where there is one node. Connects when it is started."""
    where, tokens, events = settings.stateful_jwt.store, settings.stateful_jwt, settings.events
    if not isinstance(where, RedisServer | RedisSocket):
        return None
    from sluicegate.backends.redis.events import RedisEvents

    return RedisEvents(
        _address(settings, where),
        probe=tokens.blacklist_prefix,
        history=events.history,
        ttl=events.history_ttl_sec,
        largest=events.max_event_bytes,
        instrument=instrument,
    )


def _feed(store: "SqliteStore") -> RevocationFeed:
    from sluicegate.backends.changes import PolledFeed

    return PolledFeed(store, store.watch())


def _redis(
    settings: Settings, where: RedisServer | RedisSocket, *, asynchronous: bool, instrument: Instrument | None
) -> Stores:
    from sluicegate.backends.redis.store import AsyncRedisStore, RedisStore
    from sluicegate.backends.redis.tracking import TrackingFeed, Watched

    tokens = settings.stateful_jwt
    try:
        address = _address(settings, where)
    except SettingsError as error:  # the backend knows the key, and only here is its place in the file known
        placed = (settings.fault(f"stateful_jwt.{it.key}", it.problem, it.remedy) for it in error.faults)
        raise SettingsError(tuple(placed)) from error
    probe = tokens.blacklist_prefix  # asked about at start: a key that an access control list lets us ask about
    store = RedisStore(address, timeout=tokens.timeout, durable_replicas=tokens.durable_replicas, probe=probe)
    if not asynchronous:
        return Stores(store, store, store, None, (store.close,))
    asked = AsyncRedisStore(address, timeout=tokens.timeout, durable_replicas=tokens.durable_replicas, probe=probe)
    feed = TrackingFeed(
        address,
        prefixes=(tokens.blacklist_prefix, tokens.selector_prefix),
        probe=probe,
        silence=tokens.staleness,
        instrument=instrument,
    )
    return Stores(store, asked, Watched(asked, feed), feed, (asked.close, store.close))


def _address(settings: Settings, where: RedisServer | RedisSocket) -> "Address":
    from sluicegate.backends.redis.address import Address, Tls

    login, wanted = where.login, settings.stateful_jwt.tls
    password = login.password.get_secret_value()
    named: dict[str, Any] = {"username": login.username, "password": password, "db": login.db or 0}
    if isinstance(where, RedisSocket):
        return Address(path=where.path, **named)
    tls = None
    if where.tls:
        tls = Tls(
            insecure_skip_verify=wanted.insecure_skip_verify,
            cert_file=wanted.cert_file,
            key_file=wanted.key_file,
            ca_file=wanted.ca_file,
            min_version=wanted.min_version,
        ).context()
    return Address(host=where.host, port=where.port, tls=tls, server_name=wanted.server_name, **named)
