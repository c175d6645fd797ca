"""The keys that the operator names, made into keyrings, and those into one verifier."""

import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from sluicegate.core.fetch_keys import KeySource
from sluicegate.core.issuers import Issuer, Issuers
from sluicegate.core.keyring import FixedKeys, Keyring, PublishedKeys
from sluicegate.core.keys import Key, load
from sluicegate.core.policy import ClaimNames
from sluicegate.core.verify import LocalKeys, NoKeys, Unchecked, Verifier
from sluicegate.errors import Fault, KeyFault, SettingsError
from sluicegate.settings import Settings
from sluicegate.settings.stateful_jwt import StatefulJwt
from sluicegate.settings.verifiers import Issuer as IssuerTable

_DEFAULT: Final = "keys"
"""What events call the key set of `[stateful_jwt]`; the others go by their issuer's name."""


@dataclass(frozen=True, slots=True)
class Keyrings:
    """A verifier, what an operator should know of its keys, and those of them that are fetched."""

    verifier: Verifier
    warnings: tuple[str, ...] = ()
    published: tuple[PublishedKeys, ...] = ()
    urls: tuple[str, ...] = ()
    """Where keys, or the documents that name where, are fetched."""


def keyrings_of(settings: Settings, *, chance: Callable[[], float] = random.random) -> Keyrings:
    """Load every key, and make ready to fetch the others; nothing is fetched yet.

    `chance` returns numbers between 0 and 1. Raises `SettingsError` with every key that cannot be used.
    """
    tokens = settings.stateful_jwt
    names = ClaimNames(user=tokens.user_claims, meta=tokens.meta_claims)
    if tokens.skip_verification:
        return Keyrings(Unchecked(names))
    maker = _Maker(settings, chance)
    ring = maker.ring(tokens, "stateful_jwt", name=_DEFAULT, issuer=tokens.jwk_issuer)
    issuers = []
    for index, table in enumerate(settings.issuer):
        for one in table.each:
            found = maker.ring(one, f"issuer.{index}", name=one.name, issuer=one.iss if one.discover else "")
            if found is not None:
                user, meta = one.user_claims or names.user, one.meta_claims or names.meta
                issuers.append(Issuer(one.iss, found, ClaimNames(user=user, meta=meta)))
    if maker.faults:
        raise SettingsError(tuple(dict.fromkeys(maker.faults)))  # tenants share a key, and its fault
    verifier: Verifier = NoKeys()  # settings allow this only with authentication off, or with a webhook
    if issuers:
        other = None if ring is None else Issuer("", ring, names)
        verifier = Issuers(issuers, other=other, cache_size=tokens.verified_cache_size)
    elif ring is not None:
        verifier = LocalKeys(ring, names, cache_size=tokens.verified_cache_size)
    return Keyrings(verifier, tuple(dict.fromkeys(maker.warnings)), tuple(maker.published), tuple(maker.urls))


def has_own_keys(settings: Settings) -> bool:
    """Tell whether `[stateful_jwt]` has keys, which are for the tokens of whoever has no table."""
    tokens = settings.stateful_jwt
    return bool(tokens.sign_key or tokens.jwk_url or tokens.jwk_issuer)


def authorities_of(settings: Settings) -> ssl.SSLContext | None:
    """Return how TLS is spoken to whoever publishes keys; None where nothing is said of it.

    Raises `SettingsError` for a file that cannot be used.
    """
    file = settings.stateful_jwt.jwk_ca_file
    try:
        return None if file is None else ssl.create_default_context(cafile=file)
    except OSError as error:
        problem, remedy = f"cannot be used ({error.strerror or error})", "give a PEM file of certificates"
        raise SettingsError((settings.fault("stateful_jwt.jwk_ca_file", problem, remedy),)) from error


@final
class _Maker:
    """Makes one keyring after another, and collects what is wrong with any of them."""

    def __init__(self, settings: Settings, chance: Callable[[], float]) -> None:
        self._settings: Final = settings
        self._chance: Final = chance
        self.faults: Final[list[Fault]] = []
        self.warnings: Final[list[str]] = []
        self.published: Final[list[PublishedKeys]] = []
        self.urls: Final[list[str]] = []

    def ring(self, table: StatefulJwt | IssuerTable, place: str, *, name: str, issuer: str) -> Keyring | None:
        """Make the keyring of one table, or none where it names no keys. `issuer` is where they are discovered."""
        if table.jwk_url or issuer:
            source = KeySource(name=name, algorithms=table.sign_alg, jwk_url=table.jwk_url, issuer=issuer)
            self.published.append(PublishedKeys(source, chance=self._chance))
            self.urls.append(table.jwk_url or issuer)
            return self.published[-1]
        key = self._key(table, f"{place}.sign_key")
        previous = self._key(table, f"{place}.previous_sign_key")
        if key is None:
            return None
        until = table.previous_sign_key_until
        return FixedKeys(key) if until is None else FixedKeys(key, previous, previous_until=until)

    def _key(self, table: StatefulJwt | IssuerTable, place: str) -> Key | None:
        name = place.rpartition(".")[2]
        text = getattr(table, name).get_secret_value()
        if not text:
            return None
        try:
            key = load(text, table.sign_alg, name=name)
        except KeyFault as fault:
            self.faults.append(self._settings.fault(place, fault.problem, fault.remedy))
            return None
        self.warnings.extend(key.warnings)
        return key
