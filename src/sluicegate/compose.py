"""From settings to running objects. The only module that knows concrete classes.

Backends are imported when they are asked for: the base install has neither redis nor uvloop.
"""

import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

from msgspec import structs

from sluicegate import settings as configuration
from sluicegate.backends import observe
from sluicegate.core.claims import Identifiers, Verified
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Sources
from sluicegate.core.revocation import KeyLayout
from sluicegate.core.token import Peeked
from sluicegate.core.verify import LocalKeys, NoKeys, Unchecked, Verifier
from sluicegate.drive import run
from sluicegate.engine import Engine
from sluicegate.errors import KeyFault, SettingsError
from sluicegate.ports import Inspectable, Ledger, Observer, StateStore
from sluicegate.revoke import Revoker
from sluicegate.settings import Settings
from sluicegate.settings.stores import EmbeddedStore, NoStore, RedisServer, RedisSocket

LogForm = observe.LogForm
log = observe.event

Clock = Callable[[], float]


class Store(StateStore, Ledger, Inspectable, Protocol):
    """A backend of state, for threads: it answers at once, writes, and says how it is."""

    def close(self) -> None:
        """Release files and connections."""
        ...


@dataclass(frozen=True, slots=True)
class Assembly:
    """A gate put together: what every shape of it needs.

    `store` is the blocking side, None where there is none; the engine of an asynchronous gate may ask another one.
    `warnings` is what the operator should know of the key, beside `settings.warnings`.
    """

    settings: Settings
    engine: Engine
    verifier: Verifier
    store: Store | None
    warnings: tuple[str, ...]
    close: Callable[[], None]

    @property
    def unsafe(self) -> tuple[str, ...]:
        """Stable names of the settings that take protection away."""
        return self.settings.unsafe + (("weak_key",) if self.warnings else ())

    @property
    def bearer_policy(self) -> Policy:
        """The policy for a token by itself, wherever requests carry theirs."""
        by_header = Sources(query=(), header=("Authorization",), cookies=())
        return structs.replace(self.engine.policy, sources=by_header, auth="required")

    @property
    def revoker(self) -> Revoker:
        """Writes revocations. Raises `SettingsError` where there is no store to write them to."""
        if self.store is None:
            problem = 'is "disabled", so there is nowhere to write a revocation'
            remedy = "take the line out for the embedded store, or write the address of Redis"
            raise SettingsError((self.settings.fault("stateful_jwt.redis_addr", problem, remedy),))
        return Revoker(self.store, self.engine.policy, is_genuine=self._is_genuine)

    def _is_genuine(self, peeked: Peeked, identifiers: Identifiers) -> bool:
        proof = self.verifier.prove(peeked, identifiers, time.time())
        return isinstance(run(proof, self.engine.answer), Verified)


def settings_of(path: Path | None) -> Settings:
    """Read a file with this process's environment; None is the defaults.

    Raises `SettingsError` with every fault.
    """
    return configuration.load(path, environ=os.environ)


def from_keywords(keywords: Mapping[str, Any]) -> Settings:
    """Read keyword arguments. A name that is no section or top-level key belongs to `[stateful_jwt]`.

    Raises `SettingsError` with every fault.
    """
    top = {name: value for name, value in keywords.items() if name in Settings.model_fields}
    tokens = {name: value for name, value in keywords.items() if name not in top}
    if tokens:
        top["stateful_jwt"] = {**top.get("stateful_jwt", {}), **tokens}
    return configuration.from_mapping(top, environ=os.environ)


def assemble(
    settings: Settings,
    *,
    asynchronous: bool,
    observer: Observer | None = None,
    clock: Clock = time.time,
) -> Assembly:
    """Build a gate. Nothing is connected or read until the first question.

    Raises `SettingsError` for a key or certificate that cannot be used.
    """
    verifier, warnings = _verifier(settings)
    store, state, closers = _state(settings, asynchronous=asynchronous, clock=clock)
    engine = Engine(policy_of(settings), verifier, state=state, observer=observer, clock=clock)

    def close() -> None:
        for closer in closers:
            closer()

    return Assembly(settings, engine, verifier, store, warnings, close)


@contextmanager
def opened(path: Path | None) -> Iterator[Assembly]:
    """Open a gate that answers at once, for one command, and close it again."""
    assembly = assemble(settings_of(path), asynchronous=False)
    try:
        yield assembly
    finally:
        assembly.close()


def policy_of(settings: Settings) -> Policy:
    """Return the operator's choices as a decision compares them."""
    tokens = settings.stateful_jwt
    return Policy(
        sources=Sources(query=tokens.from_query, header=tokens.from_header, cookies=tokens.from_cookies),
        layout=KeyLayout(blacklist_prefix=tokens.blacklist_prefix, selector_prefix=tokens.selector_prefix),
        state="none" if isinstance(tokens.store, NoStore) else "admit" if tokens.fail_open else "refuse",
        auth="required" if settings.jwt_verifier.require_authentication else "off",
        multiple_tokens=tokens.multiple_tokens,
        require_jti=tokens.require_jti,
        require_exp=tokens.require_exp,
        leeway=tokens.leeway,
        issuers=frozenset(tokens.issuer_whitelist),
        audiences=frozenset(tokens.audience_whitelist),
    )


def _verifier(settings: Settings) -> tuple[Verifier, tuple[str, ...]]:
    tokens = settings.stateful_jwt
    names = ClaimNames(user=tokens.user_claims, meta=tokens.meta_claims)
    if tokens.skip_verification:
        return Unchecked(names), ()
    if not tokens.sign_key.get_secret_value():
        return NoKeys(), ()  # settings allow this only with authentication off
    try:
        key = load(tokens.sign_key.get_secret_value(), tokens.sign_alg)
    except KeyFault as fault:
        raise SettingsError((settings.fault("stateful_jwt.sign_key", fault.problem, fault.remedy),)) from fault
    return LocalKeys(key, names, cache_size=tokens.verified_cache_size), key.warnings


def _state(
    settings: Settings, *, asynchronous: bool, clock: Clock
) -> tuple[Store | None, StateStore | None, list[Callable[[], None]]]:
    """Return the blocking store, the one that the engine asks, and what closes them."""
    where = settings.stateful_jwt.store
    match where:
        case NoStore():
            return None, None, []
        case EmbeddedStore():
            from sluicegate.backends.sqlite import SqliteStore

            embedded = SqliteStore(settings.state_dir, clock=clock)
            return embedded, embedded, [embedded.close]
        case RedisServer() | RedisSocket():
            return _redis(settings, where, asynchronous=asynchronous)
        case _:
            # settings answer the rest with a fault: not served by this version
            raise NotImplementedError(type(where).__name__)


def _redis(
    settings: Settings, where: RedisServer | RedisSocket, *, asynchronous: bool
) -> tuple[Store, StateStore, list[Callable[[], None]]]:
    from sluicegate.backends.redis import AsyncRedisStore, RedisStore
    from sluicegate.backends.redis_address import Address

    tokens, login = settings.stateful_jwt, where.login
    password = login.password.get_secret_value()
    named: dict[str, Any] = {"username": login.username, "password": password, "db": login.db or 0}
    if isinstance(where, RedisSocket):
        address = Address(path=where.path, **named)
    else:
        tls = _tls(settings) if where.tls else None
        address = Address(host=where.host, port=where.port, tls=tls, server_name=tokens.tls.server_name, **named)
    store = RedisStore(address, timeout=tokens.timeout, durable_replicas=tokens.durable_replicas)
    if not asynchronous:
        return store, store, [store.close]
    asked = AsyncRedisStore(address, timeout=tokens.timeout)
    return store, asked, [asked.close, store.close]


def _tls(settings: Settings) -> ssl.SSLContext:
    from sluicegate.backends.redis_address import Tls

    wanted = settings.stateful_jwt.tls
    try:
        return Tls(
            insecure_skip_verify=wanted.insecure_skip_verify,
            cert_file=wanted.cert_file,
            key_file=wanted.key_file,
            ca_file=wanted.ca_file,
            min_version=wanted.min_version,
        ).context()
    except SettingsError as error:  # the backend knows the key, and only here is its place in the file known
        placed = (settings.fault(f"stateful_jwt.{it.key}", it.problem, it.remedy) for it in error.faults)
        raise SettingsError(tuple(placed)) from error


def log_to(settings: Settings, *, form: LogForm, stream: TextIO | None = None) -> Observer:
    """Send the log to `stream` (standard error), and return the observer that writes decisions to it."""
    observe.configure(settings.log_level, form=form, stream=stream)
    return observe.LogObserver(log_blocked=settings.stateful_jwt.log_blocked)
