"""What no single key can tell about keys, algorithms and the places that tokens come from."""

from typing import Final
from urllib.parse import urlsplit

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.settings.addresses import is_loopback
from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.schema import Settings
from sluicegate.settings.toml_lines import KeyPath

_JWT: Final = "stateful_jwt"
SIGN_KEY: Final[KeyPath] = (_JWT, "sign_key")
_JWK_URL: Final[KeyPath] = (_JWT, "jwk_url")
_SKIP: Final[KeyPath] = (_JWT, "skip_verification")
_WEBHOOK: Final[KeyPath] = ("jwt_verifier", "webhook_url")
_REQUIRED: Final[KeyPath] = ("jwt_verifier", "require_authentication")
_WANTED: Final[tuple[KeyPath, ...]] = (_REQUIRED, ("route",), ("forward_auth",))


def verifier(settings: Settings) -> Findings:
    """Exactly one way to hold the key, and some way to verify where a token is needed."""
    jwt, webhook = settings.stateful_jwt, settings.jwt_verifier.webhook_url
    if jwt.sign_key and jwt.jwk_url:
        yield Finding(
            _JWK_URL, "stands beside sign_key", "keep one of them; more keys go into [[issuer]] tables", (SIGN_KEY,)
        )
    if (jwt.sign_key or jwt.jwk_url) and jwt.skip_verification:
        yield Finding(
            _SKIP, "is true although there is a key", "take one of them out", (SIGN_KEY, _JWK_URL), serious=False
        )
    if jwt.sign_key or jwt.jwk_url or webhook or settings.issuer or jwt.skip_verification:
        return
    if decides(settings):
        yield Finding(
            SIGN_KEY,
            "is missing, so that no token could be verified",
            'give the key (sign_key = "{env.JWT_SECRET}", or a PEM public key), or a webhook that verifies '
            '([jwt_verifier] webhook_url = "https://…")',
            (_JWK_URL, _WEBHOOK, _SKIP, ("issuer",), *_WANTED),
        )


def key_set(settings: Settings) -> Findings:
    """A key set holds public keys, so a secret's algorithm beside it can only be a slip."""
    jwt = settings.stateful_jwt
    tables = [((_JWT,), jwt.jwk_url, jwt.sign_alg)] + [
        (("issuer", index), issuer.jwk_url, issuer.sign_alg) for index, issuer in enumerate(settings.issuer)
    ]
    for table, url, algorithms in tables:
        if url and ALGORITHMS[algorithms[0]].family == "HMAC":
            yield Finding(
                (*table, "sign_alg"),
                f"is {algorithms[0]}, an algorithm of secrets, where jwk_url publishes the keys",
                'name the algorithm of the published keys: sign_alg = "RS256"',
                ((*table, "jwk_url"),),
            )


def issuers(settings: Settings) -> Findings:
    """Each issuer has one key or key set, and a name and `iss` of its own."""
    names: dict[str, int] = {}
    claims: dict[str, int] = {}
    for index, issuer in enumerate(settings.issuer):
        here: KeyPath = ("issuer", index)
        ways: tuple[KeyPath, ...] = ((*here, "sign_key"), (*here, "jwk_url"))
        if issuer.sign_key and issuer.jwk_url:
            yield Finding(ways[1], "stands beside sign_key", "keep one of them", (ways[0],))
        if not issuer.sign_key and not issuer.jwk_url:
            yield Finding(here, "has no key", "give it a sign_key or a jwk_url", ways)
        for key, value, seen in (("name", issuer.name, names), ("iss", issuer.iss, claims)):
            earlier = seen.setdefault(value, index)
            if earlier != index:
                yield Finding(
                    (*here, key),
                    f"is that of [[issuer]] #{earlier + 1} too",
                    "give each issuer its own",
                    (("issuer", earlier, key),),
                )


def sources(settings: Settings) -> Findings:
    """Somewhere a token may come in, where one is needed."""
    jwt = settings.stateful_jwt
    if not (jwt.from_query or jwt.from_header or jwt.from_cookies) and decides(settings):
        yield Finding(
            (_JWT, "from_header"),
            "is empty, and so are from_query and from_cookies: no token could come in",
            'name one place at least: from_header = ["Authorization"]',
            ((_JWT, "from_query"), (_JWT, "from_cookies"), *_WANTED),
        )


def webhook(settings: Settings) -> Findings:
    """The webhook is sent whole tokens."""
    url = urlsplit(settings.jwt_verifier.webhook_url)
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield Finding(
            _WEBHOOK,
            "sends tokens over http to another machine",
            "use https, or a network that only you read",
            serious=False,
        )


def decides(settings: Settings) -> bool:
    """Tell whether any request would need a good token. Without routes the gate stands in somebody else's program."""
    if not settings.jwt_verifier.require_authentication:
        return False
    return (
        not settings.route or settings.forward_auth is not None or any(route.auth != "none" for route in settings.route)
    )
