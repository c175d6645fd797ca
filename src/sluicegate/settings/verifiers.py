"""`[jwt_verifier]`, the webhook that vouches for tokens, and `[[issuer]]`, keys for each of several issuers."""

import re
from typing import Annotated

from pydantic import BaseModel

from sluicegate.settings.addresses import KeySetUrl, WebhookUrl
from sluicegate.settings.flaw import Flaw, shown
from sluicegate.settings.kinds import SECTION, Boolean, Secret, Several, key, needed, on, text, whole
from sluicegate.settings.names import Algorithms, ClaimName, MetaClaims


class JwtVerifier(BaseModel):
    """The webhook. The names are RevenProx's."""

    model_config = SECTION

    webhook_url: WebhookUrl = key("", "URL that is asked whether a token is good; empty asks nobody.")
    timeout_ms: Annotated[int, whole(1, 60_000)] = key(5000, "Milliseconds that one call of the webhook may take.")
    retry_attempts: Annotated[int, whole(0, 10)] = key(
        3, "Calls after a first one that failed, waiting 100, 200, 300 milliseconds and so on."
    )
    cache_ttl_sec: Annotated[int, whole(0)] = key(
        300, "Seconds that a yes is remembered, never past the token's own end; 0 remembers none."
    )
    cache_max_size: Annotated[int, whole(1, 10_000_000)] = key(
        10_000, "Answers remembered; past it, the one longest unused is dropped."
    )
    circuit_breaker_threshold: Annotated[int, whole(1)] = key(
        10, "Failures in a row after which the webhook is left alone."
    )
    circuit_breaker_timeout_sec: Annotated[int, whole(1)] = key(
        60, "Seconds that the webhook is left alone before one request tries it again."
    )
    rate_limit_per_sec: Annotated[int, whole(1)] = key(1000, "Calls of the webhook in a second; past it, 503.")
    require_authentication: Boolean = on(
        "Refuse requests without a good token; false lets everybody in: unsafe, shown at start and in `/health`."
    )
    negative_cache_ttl_sec: Annotated[int, whole(0)] = key(5, "Seconds that a no is remembered; 0 remembers none.")
    stale_if_error_sec: Annotated[int, whole(0)] = key(
        0, "Seconds past its end that a remembered yes still counts while the webhook is out of reach."
    )
    secret: Secret = key("", "Secret that signs each call, so that the webhook can tell who asks.")


def _check_issuer_name(name: str) -> str:
    # it stands in store keys, before a colon
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) is None:
        raise Flaw(f"is {shown(name)}, which cannot stand in a key", 'use up to 64 letters, digits, "_", "." and "-"')
    return str(name)


class Issuer(BaseModel):
    """One issuer, with keys and rules of its own. A token's `iss` may select one, never introduce one."""

    model_config = SECTION

    name: Annotated[str, text("name", '"main"', check=_check_issuer_name)] = needed(
        "Short name that `sub:`, `sid:` and `client:` selectors carry."
    )
    iss: Annotated[str, text("issuer", '"https://auth.example.com"')] = needed(
        "The `iss` of its tokens, compared exactly."
    )
    sign_key: Secret = key("", "Its key, as in `[stateful_jwt]`.")
    jwk_url: KeySetUrl = key("", "URL of its JSON Web Key Set, instead of `sign_key`.")
    sign_alg: Algorithms = key("HS256", "Algorithms of its key, one or a list.")
    audience_whitelist: Annotated[tuple[Annotated[str, text("audience", '"api"')], ...], Several('["api"]')] = key(
        [], "Audiences of which its tokens must name one; [] is that of `[stateful_jwt]`."
    )
    user_claims: Annotated[tuple[ClaimName, ...], Several('["sub"]')] = key(
        [], "Claims that name the user; [] is those of `[stateful_jwt]`."
    )
    meta_claims: MetaClaims = key([], "Claims handed on; [] is those of `[stateful_jwt]`.")
