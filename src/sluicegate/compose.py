"""From settings to running objects. The only module that knows concrete classes.

Backends are imported when they are asked for: the base install has neither redis nor uvloop.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from msgspec import structs

from sluicegate import settings as configuration
from sluicegate.backends.log import access, decisions
from sluicegate.backends.log.happenings import LogInstrument
from sluicegate.core.claims import Identifiers, Verified
from sluicegate.core.keyring import KeyReport, PublishedKeys
from sluicegate.core.policy import Policy, Sources
from sluicegate.core.revocation import KeyLayout
from sluicegate.core.token import Peeked
from sluicegate.core.verify import Verifier
from sluicegate.drive import run
from sluicegate.engine import Engine
from sluicegate.errors import SettingsError
from sluicegate.keyrings import authorities_of, has_own_keys, keyrings_of
from sluicegate.ports import Inspectable, Instrument, Observer, RevocationFeed, Scheduler, StateStore
from sluicegate.revoke import Revoker
from sluicegate.settings import Settings
from sluicegate.settings.stores import NoStore
from sluicegate.stores import Store, stores_of, tickets_of
from sluicegate.webhooks import not_installed, requires_jti, tls_of, webhook_of

if TYPE_CHECKING:
    from sluicegate.backends.http.call import Trust
    from sluicegate.backends.http.loop import LoopFetcher
    from sluicegate.backends.http.threads import ThreadFetcher

LogForm = decisions.LogForm
log = decisions.event

AccessLog = access.AccessLog

Clock = Callable[[], float]

_LOOK = 5.0
"""Seconds between two looks at whether keys should be fetched again, which lasts a minute at least."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """A gate put together: what every shape of it needs.

    `store` is the blocking side, None where there is none; the engine of an asynchronous gate may ask another one, and
    `inspected` is the one whose questions count. Its `inspect` blocks.
    `feed` tells, inside an event loop, what comes to stand in the store. `prover` answers at once whatever the verifier
    asks, for threads beside an event loop. `warnings` is what the operator should know of the key, beside
    `settings.warnings`.
    """

    settings: Settings
    engine: Engine
    verifier: Verifier
    prover: Engine
    store: Store | None
    inspected: Inspectable | None
    feed: RevocationFeed | None
    published: tuple[PublishedKeys, ...]
    warnings: tuple[str, ...]
    close: Callable[[], None]

    def start(self) -> None:
        """Begin to fetch published keys, and do not wait: a request that comes before they are there does.

        An asynchronous gate is started inside its event loop. One that is not started fetches at its first request,
        and again behind the first that comes when it is time.
        """
        for keys in self.published:
            run(keys.refresh(), self.engine.answer)

    async def keep_keys(self) -> None:
        """Fetch published keys whenever it is time, also while nobody asks for anything. Ends by being cancelled."""
        while self.published:
            self.start()
            await asyncio.sleep(_LOOK)

    def try_keys(self) -> tuple[KeyReport, ...]:
        """Fetch published keys, and say how they are. Blocks until they are there, or are known not to be."""
        for keys in self.published:
            run(keys.fetch(), self.prover.answer)
        return tuple(keys.report(time.time()) for keys in self.published)

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
        return isinstance(run(proof, self.prover.answer), Verified)


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
    instrument: Instrument | None = None,
    clock: Clock = time.time,
) -> Assembly:
    """Build a gate. Nothing is connected or read until the first question.

    Raises `SettingsError` for a key or certificate that cannot be used.
    """
    keys = keyrings_of(settings)
    policy = policy_of(settings)
    store, state, inspected, feed, closers = stores_of(
        settings, asynchronous=asynchronous, clock=clock, instrument=instrument
    )
    closing = list(closers)
    tickets = tickets_of(settings)
    if tickets is not None:
        closing.append(tickets.close)
    ports: dict[str, Any] = {"observer": observer, "instrument": instrument, "clock": clock, "tickets": tickets}

    webhook = webhook_of(settings, keys.verifier)
    verifier = webhook or keys.verifier

    def made(state: StateStore | None, *, asynchronous: bool) -> Engine:
        if not keys.published and webhook is None:
            return Engine(policy, verifier, state=state, **ports)
        try:
            fetcher, scheduler = _far(_trust(settings, keys.urls), asynchronous=asynchronous)
        except ModuleNotFoundError as missing:
            raise not_installed(settings, missing) from missing
        closing.append(fetcher.close)
        return Engine(policy, verifier, state=state, fetcher=fetcher, scheduler=scheduler, **ports)

    engine = made(state, asynchronous=asynchronous)
    prover = made(store, asynchronous=False) if asynchronous else engine

    def close() -> None:
        for closer in closing:
            closer()

    return Assembly(settings, engine, verifier, prover, store, inspected, feed, keys.published, keys.warnings, close)


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
    tokens, issuers = settings.stateful_jwt, settings.issuers
    # who is discovered vouches for his own tokens only, and an issuer that has a table is as good as listed
    listed = frozenset(tokens.issuer_whitelist) or frozenset({tokens.jwk_issuer} - {""})
    return Policy(
        sources=Sources(query=tokens.from_query, header=tokens.from_header, cookies=tokens.from_cookies),
        layout=KeyLayout(
            blacklist_prefix=tokens.blacklist_prefix,
            selector_prefix=tokens.selector_prefix,
            issuers={one.iss: one.name for one in issuers},
            unnamed=has_own_keys(settings),
        ),
        state="none" if isinstance(tokens.store, NoStore) else "admit" if tokens.fail_open else "refuse",
        auth="required" if settings.jwt_verifier.require_authentication else "off",
        multiple_tokens=tokens.multiple_tokens,
        require_jti=requires_jti(settings),
        require_exp=tokens.require_exp,
        leeway=tokens.leeway,
        issuers=listed | {one.iss for one in issuers} if listed else listed,
        audiences=frozenset(tokens.audience_whitelist),
        audiences_of={one.iss: frozenset(one.audience_whitelist) for one in issuers if one.audience_whitelist},
    )


def _far(trust: "Trust", *, asynchronous: bool) -> tuple["LoopFetcher | ThreadFetcher", Scheduler]:
    """Return what fetches, and what waits, for an event loop or for threads."""
    from sluicegate.backends.http.loop import LoopFetcher
    from sluicegate.backends.http.threads import ThreadFetcher
    from sluicegate.backends.scheduler import LoopScheduler, ThreadScheduler

    return (LoopFetcher(trust), LoopScheduler()) if asynchronous else (ThreadFetcher(trust), ThreadScheduler())


def _trust(settings: Settings, key_urls: Iterable[str]) -> "Trust":
    """Return whom the gate may call, and how it knows them."""
    from sluicegate.backends.http.call import Trust, target_of, with_alpn

    origins = [target_of(url).origin for url in key_urls]
    authorities = authorities_of(settings)
    contexts = {} if authorities is None else dict.fromkeys(origins, with_alpn(authorities))
    plain = {origin for origin in origins if settings.stateful_jwt.jwk_allow_http and origin.scheme == "http"}
    if settings.jwt_verifier.webhook_url:
        webhook = target_of(settings.jwt_verifier.webhook_url).origin
        plain |= {webhook} if webhook.scheme == "http" else set()  # the settings have warned of it
        if (tls := tls_of(settings)) is not None:
            contexts[webhook] = with_alpn(tls)
    return Trust(contexts, frozenset(plain))


def events_to_log() -> Instrument:
    """Return what writes what happens on the way to verdicts to the log."""
    return LogInstrument()


def log_to(
    settings: Settings, *, form: LogForm, stream: TextIO | None = None, source: Mapping[str, Any] | None = None
) -> Observer:
    """Send the log to `stream` (standard error), and return the observer that writes decisions to it.

    `source` is what every line ends with: who of several processes says it.
    """
    decisions.configure(settings.log_level, form=form, stream=stream, source=source)
    return decisions.LogObserver(log_blocked=settings.stateful_jwt.log_blocked)


def access_log_of(settings: Settings, source: Mapping[str, Any]) -> AccessLog | None:
    """Open the access log; None where there is to be none. Raises `SettingsError` for a file that cannot be written to.

    `source` is what every line ends with: who of several processes says it.
    """
    place = settings.http.access_log
    if place is None:
        return None

    def note(why: str) -> None:
        log(logging.WARNING, "lines of the access log are lost", why=why)

    try:
        return AccessLog(place, source={"proxy_id": settings.proxy_id, **source}, note=note)
    except OSError as error:
        problem = f"cannot be written to ({error.strerror or type(error).__name__})"
        remedy = "name a file in a directory that this user may write to"
        raise SettingsError((settings.fault("http.access_log", problem, remedy),)) from error
