"""What no single key can tell about the revocation store and the listeners."""

from typing import Final

from sluicegate.core.revocation import KeyLayout, Kind
from sluicegate.settings.addresses import Bind
from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.schema import Settings
from sluicegate.settings.stateful_jwt import StoreTls
from sluicegate.settings.stores import EmbeddedStore, NoStore, RedisCluster, RedisSocket
from sluicegate.settings.toml_lines import KeyPath

_JWT: Final = "stateful_jwt"
_ADDRESS: Final[KeyPath] = (_JWT, "redis_addr")
_EVERY_INTERFACE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to


def prefixes(settings: Settings) -> Findings:
    """No `jti` may spell the key of a selector of another kind."""
    jwt = settings.stateful_jwt
    layout = KeyLayout(blacklist_prefix=jwt.blacklist_prefix, selector_prefix=jwt.selector_prefix)
    for kind in Kind:
        if kind is not Kind.JTI and jwt.blacklist_prefix.startswith(layout.prefix(kind)):
            yield Finding(
                (_JWT, "blacklist_prefix"),
                f'begins with "{jwt.selector_prefix}{kind}:", so that revoking a jti could revoke a {kind}',
                'choose one that no selector begins with: "BLACKLIST:key:"',
                ((_JWT, "selector_prefix"),),
            )


def redis_only(settings: Settings) -> Findings:
    """What only Redis can do is not asked of another store."""
    jwt = settings.stateful_jwt
    if isinstance(jwt.redis_addr, EmbeddedStore):
        # with a login and no address, revocations would go where no one else looks
        given = {
            "redis_username": bool(jwt.redis_username),
            "redis_password": bool(jwt.redis_password),
            "redis_db": jwt.redis_db != 0,
        }
        for key in (key for key, is_given in given.items() if is_given):
            yield Finding(
                (_JWT, key),
                "is given, and redis_addr names no Redis",
                'give redis_addr = "127.0.0.1:6379" too',
                (_ADDRESS,),
            )
    if isinstance(jwt.redis_addr, EmbeddedStore | NoStore):
        if jwt.consistency == "tracked":
            yield Finding(
                (_JWT, "consistency"),
                "is something that only Redis can do",
                'write "strict", or give redis_addr',
                (_ADDRESS,),
            )
        if jwt.durable_replicas:
            yield Finding(
                (_JWT, "durable_replicas"),
                "is something that only Redis can do",
                "write 0, or give redis_addr",
                (_ADDRESS,),
            )


def login(settings: Settings) -> Findings:
    """The address and the keys beside it name one user, password and database."""
    jwt = settings.stateful_jwt
    address = jwt.redis_addr
    if isinstance(address, EmbeddedStore | NoStore):
        return
    url = address.login
    differing = {
        "redis_username": url.username and jwt.redis_username and url.username != jwt.redis_username,
        "redis_password": url.password and jwt.redis_password and url.password != jwt.redis_password,
        "redis_db": url.db is not None and "redis_db" in jwt.model_fields_set and url.db != jwt.redis_db,
    }
    for key in (key for key, differs in differing.items() if differs):
        yield Finding((_JWT, key), "differs from what redis_addr says", "keep one of them", (_ADDRESS,))
    if isinstance(address, RedisCluster) and jwt.redis_db:
        yield Finding((_JWT, "redis_db"), "is not 0, and a cluster has only database 0", "write 0", (_ADDRESS,))


def store_tls(settings: Settings) -> Findings:
    """TLS is either meant or not."""
    jwt = settings.stateful_jwt
    tls, address = jwt.tls, jwt.redis_addr
    here: KeyPath = (_JWT, "tls")
    if isinstance(address, EmbeddedStore | NoStore):
        return
    if isinstance(address, RedisSocket):
        if tls.enabled:
            yield Finding((*here, "enabled"), "is true, and a Unix socket has no TLS", "write false", (_ADDRESS,))
        return
    if tls.enabled or address.tls:
        return
    default = StoreTls()
    unused = [name for name in StoreTls.model_fields if getattr(tls, name) != getattr(default, name)]
    if unused:
        yield Finding(
            here,
            f"sets {', '.join(unused)}, but TLS is off: Redis is spoken to in the clear",
            "write enabled = true",
            (_ADDRESS,),
            serious=False,
        )


def certificates(settings: Settings) -> Findings:
    """A certificate and its private key come together."""
    for section in (_JWT, "http", "jwt_verifier"):
        here, tls = (section, "tls"), getattr(settings, section).tls
        ways = ((*here, "cert_file"), (*here, "key_file"))
        if (tls.cert_file is None) != (tls.key_file is None):
            missing = 0 if tls.cert_file is None else 1
            yield Finding(
                ways[missing],
                "is missing beside the other",
                "give both cert_file and key_file, or neither",
                (ways[1 - missing],),
            )


def operators(settings: Settings) -> Findings:
    """The operators' listener is for operators."""
    where, public = settings.admin.bind_address, settings.http.bind_address
    here: KeyPath = ("admin", "bind_address")
    if not settings.admin.token and not where.is_loopback:
        yield Finding(
            here,
            "can be reached from other machines, and there is no token",
            'give token = "{env.SLUICEGATE_ADMIN_TOKEN}", or bind to 127.0.0.1',
            (("admin", "token"),),
        )
    if _collide(where, public):
        yield Finding(here, "is the public listener's address", "choose another port", (("http", "bind_address"),))


def _collide(one: Bind, other: Bind) -> bool:
    if one.port != other.port or one.port == 0:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or bool(hosts & _EVERY_INTERFACE)


def announcers(settings: Settings) -> Findings:
    """Who may say who its client is, is named."""
    if settings.http.proxy_protocol is True and not settings.http.trusted_proxies:
        yield Finding(
            ("http", "proxy_protocol"),
            "is true, and trusted_proxies names nobody who could send such a header",
            'name the networks of your proxies: proxy_protocol = ["10.0.0.0/8"]',
            (("http", "trusted_proxies"),),
        )


def trust(settings: Settings) -> Findings:
    """Believing everybody's `X-Forwarded-For` means that anybody can write any address into the log."""
    for network in settings.http.trusted_proxies:
        if network.prefixlen == 0:
            yield Finding(
                ("http", "trusted_proxies"),
                f"believes everybody ({network})",
                "name the networks of your proxies",
                serious=False,
            )
