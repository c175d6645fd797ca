"""`[jwt_verifier]`, the webhook that vouches for tokens, and `[[issuer]]`, keys for each of several issuers."""

import re
from typing import Annotated, Self

from pydantic import BaseModel

from sluicegate.settings.addresses import TENANT, KeySetUrl, WebhookUrl
from sluicegate.settings.flaw import Flaw, shown
from sluicegate.settings.kinds import (
    SECTION,
    Boolean,
    FilePath,
    Secret,
    Several,
    key,
    needed,
    off,
    on,
    table,
    text,
    whole,
)
from sluicegate.settings.names import Algorithms, ClaimName, MetaClaims
from sluicegate.settings.quantities import Moment


class WebhookTls(BaseModel):
    """How TLS is spoken to the webhook."""

    model_config = SECTION

    ca_file: FilePath = key("", "PEM file with the authorities that may vouch for the webhook; empty for the system's.")
    cert_file: FilePath = key("", "PEM file with the client certificate that the webhook asks for.")
    key_file: FilePath = key("", "PEM file with the private key of `cert_file`.")


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
    tls: WebhookTls = table(WebhookTls, "TLS towards the webhook.")


def _check_issuer_name(name: str) -> str:
    # it stands in store keys, before a colon
    if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name.replace(TENANT, "x")) is None:
        raise Flaw(f"is {shown(name)}, which cannot stand in a key", 'use up to 64 letters, digits, "_", "." and "-"')
    return str(name)


def _check_tenant(name: str) -> str:
    # it becomes a part of a URL and of a store key, and must change the meaning of neither
    if re.fullmatch(r"(?!\.)[A-Za-z0-9_.-]{1,64}", name) is None:
        raise Flaw(f"is {shown(name)}, which cannot stand in a URL", 'use up to 64 letters, digits, "_", "." and "-"')
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
    tenants: Annotated[
        tuple[Annotated[str, text("tenant", '"acme"', check=_check_tenant)], ...], Several('["acme", "globex"]')
    ] = key([], "What `{tenant}` in `name`, `iss` and `jwk_url` stands for: this is one issuer for each of them.")
    sign_key: Secret = key("", "Its key, as in `[stateful_jwt]`.")
    previous_sign_key: Secret = key("", "Its key before that one, as in `[stateful_jwt]`.")
    previous_sign_key_until: Moment = key("", "When tokens of `previous_sign_key` stop being good.")
    jwk_url: KeySetUrl = key("", "URL of its JSON Web Key Set, instead of `sign_key`.")
    discover: Boolean = off("Find its key set through OpenID Connect discovery at `iss`, instead of `jwk_url`.")
    sign_alg: Algorithms = key("HS256", "Algorithms of its key, one or a list.")
    audience_whitelist: Annotated[tuple[Annotated[str, text("audience", '"api"')], ...], Several('["api"]')] = key(
        [], "Audiences of which its tokens must name one; [] is that of `[stateful_jwt]`."
    )
    user_claims: Annotated[tuple[ClaimName, ...], Several('["sub"]')] = key(
        [], "Claims that name the user; [] is those of `[stateful_jwt]`."
    )
    meta_claims: MetaClaims = key([], "Claims handed on; [] is those of `[stateful_jwt]`.")

    @property
    def each(self) -> "tuple[Issuer, ...]":
        """The issuers that this table describes: one, or one for each tenant."""
        if not self.tenants:
            return (self,)
        return tuple(self._of(tenant) for tenant in self.tenants)

    def _of(self, tenant: str) -> Self:
        placed = {name: getattr(self, name).replace(TENANT, tenant) for name in ("name", "iss", "jwk_url")}
        return self.model_copy(update=placed | {"tenants": ()})
