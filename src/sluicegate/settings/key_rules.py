"""What no single key can tell about whether tokens can be verified at all, and where they come from."""

from typing import Final
from urllib.parse import urlsplit

from sluicegate.settings.addresses import is_loopback
from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.schema import Settings
from sluicegate.settings.toml_lines import KeyPath

_JWT: Final = "stateful_jwt"
SIGN_KEY: Final[KeyPath] = (_JWT, "sign_key")
_KEY_SETS: Final[tuple[KeyPath, ...]] = ((_JWT, "jwk_url"), (_JWT, "jwk_issuer"))
_SKIP: Final[KeyPath] = (_JWT, "skip_verification")
_WEBHOOK: Final[KeyPath] = ("jwt_verifier", "webhook_url")
_REQUIRED: Final[KeyPath] = ("jwt_verifier", "require_authentication")
_WANTED: Final[tuple[KeyPath, ...]] = (_REQUIRED, ("route",), ("forward_auth",))


def verifier(settings: Settings) -> Findings:
    """Some way to verify, where a token is needed."""
    jwt, webhook = settings.stateful_jwt, settings.jwt_verifier.webhook_url
    has_key = bool(jwt.sign_key or jwt.jwk_url or jwt.jwk_issuer)
    if has_key and jwt.skip_verification:
        yield Finding(
            _SKIP, "is true although there is a key", "take one of them out", (SIGN_KEY, *_KEY_SETS), serious=False
        )
    if has_key or webhook or settings.issuer or jwt.skip_verification:
        return
    if decides(settings):
        yield Finding(
            SIGN_KEY,
            "is missing, so that no token could be verified",
            'give the key (sign_key = "{env.JWT_SECRET}", or a PEM public key), or a webhook that verifies '
            '([jwt_verifier] webhook_url = "https://…")',
            (*_KEY_SETS, _WEBHOOK, _SKIP, ("issuer",), *_WANTED),
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
