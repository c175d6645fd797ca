"""`[stateful_jwt]`: which tokens are good, and where revocations stand. The names are the Caddy plugin's."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel

from sluicegate.settings.addresses import IssuerUrl, KeySetUrl
from sluicegate.settings.kinds import (
    SECTION,
    Boolean,
    FilePath,
    OptionalSecret,
    Secret,
    Several,
    key,
    off,
    on,
    table,
    text,
    whole,
    words,
)
from sluicegate.settings.names import Algorithms, ClaimName, CookieName, MetaClaims, QueryName, TokenHeaders
from sluicegate.settings.quantities import Moment, duration
from sluicegate.settings.stores import EmbeddedStore, NoStore, RedisLogin, RedisSocket, Store, StoreAddress

_NAMES = '["https://auth.example.com"]'
_Prefix = Annotated[str, text("key prefix", '"BLACKLIST:key:"')]


class StoreTls(BaseModel):
    """How TLS is spoken to Redis."""

    model_config = SECTION

    enabled: Boolean = off("Speak TLS to Redis; a `rediss://` address does so too.")
    insecure_skip_verify: Boolean = off("Accept any certificate: unsafe, shown at start and in `/health`.")
    server_name: Annotated[str, text("host name", '"redis.example.com"', empty=True, unset=True)] = key(
        "", "Name that the server's certificate must carry; empty for the host of `redis_addr`."
    )
    cert_file: FilePath = key("", "PEM file with the client certificate that Redis asks for.")
    key_file: FilePath = key("", "PEM file with the private key of `cert_file`.")
    ca_file: FilePath = key("", "PEM file with the authorities that may vouch for Redis; empty for the system's.")
    min_version: Annotated[Literal["1.2", "1.3"], words("1.2", "1.3")] = key("1.2", "Oldest version of TLS to speak.")


class StatefulJwt(BaseModel):
    """Tokens and their state."""

    model_config = SECTION

    redis_addr: StoreAddress = key(
        "",
        'Where revocations stand: "" is the embedded store, "disabled" none, otherwise Redis: host:port, `redis://`, '
        "`rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`.",
    )
    redis_username: Annotated[str, text("user name", '"gate"', empty=True, unset=True)] = key(
        "", "User of Redis' access control list; empty for its default user."
    )
    redis_password: OptionalSecret = key("", "Password for Redis.")
    redis_db: Annotated[int, whole(0, 1_000_000)] = key(0, "Number of the Redis database.")
    blacklist_prefix: _Prefix = key("BLACKLIST:key:", "What stands before a `jti` in the store's keys.")
    selector_prefix: _Prefix = key(
        "BLACKLIST:", "What stands before `sub:`, `sid:`, `client:`, `kid:`, `iss:` and `token:` in the store's keys."
    )
    timeout: Annotated[float, duration("1ms", "1m", example="50ms")] = key(
        "50ms", "How long one question to the store may take in all, socket reads included."
    )
    fail_open: Boolean = off("Admit genuine tokens while the store is out of reach, instead of answering 500.")
    log_blocked: Boolean = off("Log each refused request, with its reason and never with its token.")
    consistency: Annotated[Literal["strict", "tracked"], words("strict", "tracked")] = key(
        "strict", "Ask Redis at every decision, or keep a filter that Redis itself keeps up to date."
    )
    staleness: Annotated[float, duration("1ms", "1m", example="250ms")] = key(
        "250ms",
        "How long Redis may be silent before it counts as lost: then open streams are asked about again and again, and "
        "a tracked filter does not answer any more.",
    )
    fail_snapshot: Annotated[float, duration("0s", "1d", example="30s")] = key(
        "0s", "How long the last known state may answer while the store is out of reach."
    )
    durable_replicas: Annotated[int, whole(0, 100)] = key(
        0, "Redis replicas that must hold a revocation before it is acknowledged."
    )
    tls: StoreTls = table(StoreTls, "TLS towards Redis.")

    sign_key: Secret = key(
        "", "Key that tokens are verified with: base64 for HMAC and raw Ed25519, or a PEM public key or certificate."
    )
    previous_sign_key: Secret = key(
        "", "Key before that one, good until `previous_sign_key_until`: for changing secrets."
    )
    previous_sign_key_until: Moment = key("", "When tokens of `previous_sign_key` stop being good.")
    jwk_url: KeySetUrl = key("", "URL of a JSON Web Key Set, instead of `sign_key`.")
    jwk_issuer: IssuerUrl = key("", "Issuer whose OpenID Connect discovery names the key set, instead of `jwk_url`.")
    jwk_ca_file: FilePath = key(
        "", "PEM file with the authorities that may vouch for whoever publishes keys; empty for the system's."
    )
    jwk_allow_http: Boolean = off(
        "Fetch keys over http from other machines too: unsafe, shown at start and in `/health`."
    )
    sign_alg: Algorithms = key("HS256", "Algorithms of the key, one or a list; the token never chooses.")
    skip_verification: Boolean = off("Believe any token unverified: unsafe, shown at start and in `/health`.")
    from_query: Annotated[tuple[QueryName, ...], Several('["access_token"]')] = key(
        ["api_key", "access_token", "token"], "Query parameters that may hold a token; [] is none."
    )
    from_header: TokenHeaders = key(
        ["Authorization", "X-API-Key", "X-Api-Token"], "Headers that may hold a token; [] is none."
    )
    from_cookies: Annotated[tuple[CookieName, ...], Several('["session_token"]')] = key(
        ["session_token"], "Cookies that may hold a token; [] is none."
    )
    user_claims: Annotated[tuple[ClaimName, ...], Several('["sub"]', empty=False)] = key(
        ["sub"], "Claims that name the user; the first that is not empty counts."
    )
    meta_claims: MetaClaims = key(
        [], 'Claims handed on with the identity: "tier", "role->user_role", "org.id->organization", or a table.'
    )
    issuer_whitelist: Annotated[tuple[Annotated[str, text("issuer", _NAMES)], ...], Several(_NAMES)] = key(
        [], "Issuers (`iss`) whose tokens are good; [] is any that the key vouches for."
    )
    audience_whitelist: Annotated[tuple[Annotated[str, text("audience", _NAMES)], ...], Several(_NAMES)] = key(
        [], "Audiences (`aud`) of which a token must name one; [] is any."
    )
    leeway: Annotated[float, duration("0s", "5m", example="30s")] = key(
        "0s", "How far clocks may differ where `exp`, `nbf` and `iat` are compared; at most 5 minutes."
    )
    require_exp: Boolean = off("Refuse tokens that never expire.")
    require_jti: Boolean = on("Refuse tokens without a `jti`, which only their hash could revoke.")
    multiple_tokens: Annotated[Literal["first_valid", "refuse"], words("first_valid", "refuse")] = key(
        "first_valid", "What to do with different tokens in one request: take the first good one, or answer 401."
    )
    verified_cache_size: Annotated[int, whole(0, 10_000_000)] = key(
        100_000, "Verified tokens remembered, by hash and never past their `exp`; 0 remembers none."
    )

    @property
    def store(self) -> Store:
        """The store to open, with the login and the TLS that stand in keys of their own."""
        address = self.redis_addr
        if isinstance(address, EmbeddedStore | NoStore):
            return address
        url = address.login
        login = RedisLogin(
            username=url.username or self.redis_username,
            password=url.password or self.redis_password,
            db=self.redis_db if url.db is None else url.db,
        )
        if isinstance(address, RedisSocket):
            return replace(address, login=login)
        return replace(address, login=login, tls=address.tls or self.tls.enabled)
