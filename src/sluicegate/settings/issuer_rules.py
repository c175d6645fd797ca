"""What no single key can tell about the keys of `[stateful_jwt]` and of each `[[issuer]]`."""

from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.settings.addresses import TENANT, is_loopback, split_url
from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.flaw import Flaw
from sluicegate.settings.schema import Settings
from sluicegate.settings.stateful_jwt import StatefulJwt
from sluicegate.settings.toml_lines import KeyPath
from sluicegate.settings.verifiers import Issuer

_ALLOW_HTTP: Final[KeyPath] = ("stateful_jwt", "jwk_allow_http")


class _Holder(NamedTuple):
    """A table that holds keys. `discovery` is its key that finds them, and `at` the URL where they would be found."""

    loc: KeyPath
    table: StatefulJwt | Issuer
    discovery: str
    at: str

    @property
    def key_set(self) -> str:
        """Return the key that names a key set, empty where none does."""
        return "jwk_url" if self.table.jwk_url else self.discovery if self.at else ""

    def key(self, name: str) -> KeyPath:
        return (*self.loc, name)


def _holders(settings: Settings) -> Iterator[_Holder]:
    tokens = settings.stateful_jwt
    yield _Holder(("stateful_jwt",), tokens, "jwk_issuer", tokens.jwk_issuer)
    for index, issuer in enumerate(settings.issuer):
        yield _Holder(("issuer", index), issuer, "discover", issuer.iss if issuer.discover else "")


def one_key(settings: Settings) -> Findings:
    """Exactly one way to hold the key."""
    for holder in _holders(settings):
        table = holder.table
        given = {"sign_key": table.sign_key, "jwk_url": table.jwk_url, holder.discovery: holder.at}
        first, *others = [name for name, value in given.items() if value] or [""]
        more = "; more keys go into [[issuer]] tables" if isinstance(table, StatefulJwt) else ""
        for name in others:
            yield Finding(holder.key(name), f"stands beside {first}", f"keep one of them{more}", (holder.key(first),))
        if not first and isinstance(table, Issuer):
            remedy = "give it a sign_key or a jwk_url, or write discover = true"
            yield Finding(holder.loc, "has no key", remedy, tuple(map(holder.key, given)))


def previous_key(settings: Settings) -> Findings:
    """A key that was replaced is good until a moment, beside the one that replaced it."""
    for holder in _holders(settings):
        table = holder.table
        key, until = holder.key("previous_sign_key"), holder.key("previous_sign_key_until")
        if table.previous_sign_key and not table.sign_key:
            yield Finding(key, "stands without sign_key", "write the new key as sign_key", (holder.key("sign_key"),))
        if table.previous_sign_key and table.previous_sign_key_until is None:
            remedy = "write previous_sign_key_until = 2027-01-31T12:00:00Z, when its last tokens end"
            yield Finding(key, "would be good for ever", remedy, (until,))
        if not table.previous_sign_key and table.previous_sign_key_until is not None:
            yield Finding(until, "stands without previous_sign_key", "take it out", (key,))


def key_set(settings: Settings) -> Findings:
    """A key set holds public keys, and comes over a connection that nobody on the way can change."""
    for holder in _holders(settings):
        name = holder.key_set
        if not name:
            continue
        url = holder.table.jwk_url or holder.at
        algorithms = holder.table.sign_alg
        if ALGORITHMS[algorithms[0]].family == "HMAC":
            yield Finding(
                holder.key("sign_alg"),
                f"is {algorithms[0]}, an algorithm of secrets, where {name} publishes the keys",
                'name the algorithm of the published keys: sign_alg = "RS256"',
                (holder.key(name),),
            )
        parts = urlsplit(url.replace(TENANT, "x"))
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield Finding(
                holder.key(name),
                "fetches keys over http from another machine",
                "use https",
                (_ALLOW_HTTP,),
                serious=not settings.stateful_jwt.jwk_allow_http,
            )


def issuers(settings: Settings) -> Findings:
    """Each issuer has a name and an `iss` of its own, which is where it is discovered."""
    for index, issuer in enumerate(settings.issuer):
        here: KeyPath = ("issuer", index)
        for key in ("name", "iss", "jwk_url"):
            value = getattr(issuer, key)
            if TENANT in value and not issuer.tenants:
                remedy = 'list what it stands for: tenants = ["acme", "globex"]'
                yield Finding((*here, key), f"holds {TENANT}, and there are no tenants", remedy, ((*here, "tenants"),))
            elif issuer.tenants and key != "jwk_url" and TENANT not in value:
                yield Finding(
                    (*here, key), "is the same for every tenant", f"write {TENANT} in it", ((*here, "tenants"),)
                )
        if issuer.discover:
            try:
                split_url(issuer.iss.replace(TENANT, "x"), ("https", "http"), example='"https://auth.example.com"')
            except Flaw as flaw:
                yield Finding((*here, "iss"), f"{flaw.problem}, and is discovered", flaw.remedy, ((*here, "discover"),))
    yield from _repetitions(settings)


def _repetitions(settings: Settings) -> Findings:
    seen: dict[tuple[str, str], int] = {}
    for index, issuer in enumerate(settings.issuer):
        found = dict.fromkeys((key, getattr(one, key)) for one in issuer.each for key in ("name", "iss"))
        for key in dict.fromkeys(key for key, value in found if seen.get((key, value), index) != index):
            earlier = next(seen[key, value] for name, value in found if name == key and (key, value) in seen)
            yield Finding(
                ("issuer", index, key),
                f"is that of [[issuer]] #{earlier + 1} too",
                "give each issuer its own",
                (("issuer", earlier, key),),
            )
        for pair in found:
            seen.setdefault(pair, index)
