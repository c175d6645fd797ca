from typing import NamedTuple

import pytest

from sluicegate.settings.stores import EmbeddedStore, RedisSocket
from tests.settings.reading import KEY, fault, faults, read

ROUTE = '[[route]]\npath = "/"\nrespond = ""\n'


class Case(NamedTuple):
    """A file that breaks one rule: at which key, and what is said."""

    text: str
    key: str
    says: str


BROKEN = {
    "a key is needed": Case(
        '[stateful_jwt]\nsign_alg = "RS256"\n',
        "[stateful_jwt] sign_key",
        'a webhook that verifies ([jwt_verifier] webhook_url = "https://…")',
    ),
    "one source has to be left": Case(
        KEY + "from_query = []\nfrom_header = []\nfrom_cookies = []\n",
        "[stateful_jwt] from_header",
        "no token could come in",
    ),
    "secrets and public keys do not mix": Case(
        KEY + 'sign_alg = ["HS256", "RS256"]\n', "[stateful_jwt] sign_alg", "HS256"
    ),
    "an algorithm stands once": Case(KEY + 'sign_alg = ["HS256", "HS256"]\n', "[stateful_jwt] sign_alg", "repeats"),
    "an unknown algorithm": Case(KEY + 'sign_alg = "HS265"\n', "[stateful_jwt] sign_alg", 'did you mean "HS256"?'),
    "a jti spells no subject's key": Case(
        KEY + 'blacklist_prefix = "BLACKLIST:sub:x:"\n',
        "[stateful_jwt] blacklist_prefix",
        "revoking a jti could revoke a sub",
    ),
    "a jti spells no other prefix's key": Case(
        KEY + 'selector_prefix = "S:"\nblacklist_prefix = "S:token:"\n', "[stateful_jwt] blacklist_prefix", "a token"
    ),
    "a login needs an address": Case(KEY + 'redis_password = "p"\n', "[stateful_jwt] redis_password", "names no Redis"),
    "two users": Case(
        KEY + 'redis_addr = "redis://a:p@h"\nredis_username = "b"\n', "[stateful_jwt] redis_username", "differs"
    ),
    "two passwords": Case(
        KEY + 'redis_addr = "redis://:p@h"\nredis_password = "q"\n', "[stateful_jwt] redis_password", "differs"
    ),
    "two databases": Case(KEY + 'redis_addr = "redis://h/1"\nredis_db = 2\n', "[stateful_jwt] redis_db", "differs"),
    "replicas need Redis": Case(KEY + "durable_replicas = 1\n", "[stateful_jwt] durable_replicas", "only Redis"),
    "a socket has no TLS": Case(
        KEY + 'redis_addr = "unix:///r.sock"\ntls = { enabled = true }\n', "[stateful_jwt] tls.enabled", "no TLS"
    ),
    "a certificate has its key": Case(
        KEY + 'redis_addr = "rediss://h"\ntls = { cert_file = "a" }\n',
        "[stateful_jwt] tls.key_file",
        "beside the other",
    ),
    "a private key has its certificate": Case(
        KEY + '[http.tls]\nkey_file = "a"\n', "[http] tls.cert_file", "beside the other"
    ),
    "operators off loopback need a token": Case(
        KEY + '[admin]\nbind_address = "0.0.0.0:9090"\n', "[admin] bind_address", "no token"
    ),
    "operators on a name need a token": Case(
        KEY + '[admin]\nbind_address = "gate:9090"\n', "[admin] bind_address", "no token"
    ),
    "operators on every interface need a token": Case(
        KEY + '[admin]\nbind_address = ":9090"\n', "[admin] bind_address", "no token"
    ),
    "two listeners, one address": Case(
        KEY + '[http]\nbind_address = "0.0.0.0:9090"\n', "[admin] bind_address", "the public listener's address"
    ),
    "a route does something": Case(KEY + '[[route]]\npath = "/"\n', "[[route]] #1", "says nothing"),
    "a route does one thing": Case(
        KEY + '[[route]]\npath = "/"\nrespond = ""\nupstream = "http://h"\n',
        "[[route]] #1",
        "upstream, respond at once",
    ),
    "a requirement needs a token": Case(
        KEY + ROUTE + 'auth = "none"\nrequire = { scopes = ["a"] }\n', "[[route]] #1 require", "looks for none"
    ),
    "an unknown placeholder": Case(
        KEY + 'meta_claims = ["tier"]\n[[route]]\npath = "/"\nrespond = "{http.auth.user.teir}"\n',
        "[[route]] #1 respond",
        "did you mean {http.auth.user.tier}?",
    ),
    "a placeholder of another server": Case(
        KEY + '[[route]]\npath = "/"\nupstream = "http://h"\nheader_up = { X-A = "{http.request.host}" }\n',
        "[[route]] #1 header_up.X-A",
        "which nothing fills",
    ),
    "a user claim is no placeholder": Case(
        KEY + 'user_claims = ["username"]\n[[route]]\npath = "/"\nrespond = "{http.auth.user.username}"\n',
        "[[route]] #1 respond",
        "the user's claim is {http.auth.user.id}",
    ),
    "a header in two spellings": Case(
        KEY + '[[route]]\npath = "/"\nupstream = "http://h"\nheader_up = { X-A = "1", x_a = "2" }\n',
        "[[route]] #1 header_up",
        "different spellings",
    ),
    "a claim under the gate's own name": Case(
        KEY + 'meta_claims = { name = "Authenticated" }\n', "[stateful_jwt] meta_claims.name", "the gate's own"
    ),
    "two claims under one name": Case(
        KEY + 'meta_claims = ["a->x_y", "b->X-Y"]\n', "[stateful_jwt] meta_claims", "one name"
    ),
    "a star beside an origin": Case(
        KEY + '[http]\ncors_allowed_origins = ["*", "https://a.example"]\n',
        "[http] cors_allowed_origins",
        "beside other",
    ),
    "a claim under a name without a letter": Case(
        KEY + 'meta_claims = ["a->_"]\n', "[stateful_jwt] meta_claims item 1", "no placeholder"
    ),
    "a claim in the header of the issuer": Case(
        KEY + 'meta_claims = ["a->Issuer"]\n', "[stateful_jwt] meta_claims item 1", "the gate's own"
    ),
    "a claim in the header of the id": Case(
        KEY + 'meta_claims = ["a->_id"]\n', "[stateful_jwt] meta_claims item 1", "the gate's own"
    ),
    "two claims in one header": Case(KEY + 'meta_claims = ["a__b", "a.b"]\n', "[stateful_jwt] meta_claims", "one name"),
    "replicas need a store at all": Case(
        KEY + 'redis_addr = "disabled"\ndurable_replicas = 1\n', "[stateful_jwt] durable_replicas", "only Redis"
    ),
    "a header in two cases": Case(KEY + 'from_header = ["X-A", "x-a"]\n', "[stateful_jwt] from_header", "repeats"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_what_breaks_a_rule_is_exactly_one_fault_at_its_key(case: Case) -> None:
    found = fault(case.text)
    assert found.key == case.key
    assert case.says in str(found)


KEPT = {
    "no token is needed": "[jwt_verifier]\nrequire_authentication = false\n",
    "every route is open": ROUTE + 'auth = "none"\n',
    "signatures are not checked": "[stateful_jwt]\nskip_verification = true\n",
    "no source, and nothing to guard": KEY
    + "from_query = []\nfrom_header = []\nfrom_cookies = []\n"
    + ROUTE
    + 'auth = "none"\n',
    "a jti may share the selectors' prefix": KEY + 'blacklist_prefix = "BLACKLIST:"\n',
    "one user named twice": KEY
    + 'redis_addr = "redis://a:p@h/1"\nredis_username = "a"\nredis_password = "p"\nredis_db = 1\n',
    "operators on IPv6 loopback": KEY + '[admin]\nbind_address = "[::1]:9090"\n',
    "operators off loopback with a token": KEY + '[admin]\nbind_address = ":9090"\ntoken = "t"\n',
    "two listeners on free ports": KEY
    + '[http]\nbind_address = "127.0.0.1:0"\n[admin]\nbind_address = "127.0.0.1:0"\n',
    "every name that an identity has": KEY
    + 'meta_claims = ["org.id"]\n[[route]]\npath = "/"\nrespond = "'
    + " ".join(
        f"{{http.auth.user.{name}}}"
        for name in ("id", "jti", "authenticated", "issuer", "scopes", "expires_at", "org.id")
    )
    + ' {\\"json\\": {}}"\n',
    "forward-auth alone": KEY + "[forward_auth]\n",
    "claims in place of what a token says anyway": KEY + 'meta_claims = ["iss->issuer", "scopes"]\n',
    "the Caddy plugin's stateless pattern": KEY + 'redis_addr = "disabled"\nfail_open = true\ntimeout = "100ms"\n',
    "the Caddy plugin's claims": KEY
    + 'meta_claims = ["role->user_role", "permissions->access_permissions", "tier", "scope"]\n',
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_what_keeps_the_rules_stands_without_a_warning(text: str) -> None:
    assert read(text).warnings == ()


DOUBTFUL = {
    "a route behind a wider one": Case(
        KEY + '[[route]]\npath = "/a/*"\nrespond = ""\n[[route]]\npath = "/a/{b}"\nrespond = ""\n',
        "[[route]] #2 path",
        "never reached",
    ),
    "everybody is believed": Case(
        KEY + '[http]\ntrusted_proxies = ["0.0.0.0/0"]\n', "[http] trusted_proxies", "everybody"
    ),
    "TLS is described and off": Case(
        KEY + 'redis_addr = "h:1"\ntls = { ca_file = "a" }\n', "[stateful_jwt] tls", "TLS is off"
    ),
    "a key that nothing uses": Case(
        KEY + "skip_verification = true\n", "[stateful_jwt] skip_verification", "there is a key"
    ),
    "a requirement that anonymous callers pass": Case(
        KEY + ROUTE + 'auth = "optional"\nrequire = { scopes = ["a"] }\n', "[[route]] #1 require", "admits without one"
    ),
    "a route behind forward-auth": Case(
        KEY + '[forward_auth]\n[[route]]\npath = "/auth"\nrespond = ""\n', "[[route]] #1 path", "[forward_auth] answers"
    ),
    "headers that go nowhere": Case(
        KEY + ROUTE + 'header_up = { X-A = "1" }\n', "[[route]] #1 header_up", "does nothing"
    ),
}


@pytest.mark.parametrize("case", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_probably_not_meant_stands_with_one_warning(case: Case) -> None:
    warnings = read(case.text).warnings
    assert [warning.key for warning in warnings] == [case.key]
    assert case.says in str(warnings[0])
    assert warnings[0].line


@pytest.mark.parametrize(
    ("text", "unsafe"),
    [
        (KEY, ()),
        ("[stateful_jwt]\nskip_verification = true\n", ("skip_verification",)),
        ("[jwt_verifier]\nrequire_authentication = false\n", ("authentication_off",)),
        (KEY + 'redis_addr = "rediss://h"\ntls = { insecure_skip_verify = true }\n', ("insecure_skip_verify",)),
    ],
)
def test_settings_that_take_protection_away_have_stable_names(text: str, unsafe: tuple[str, ...]) -> None:
    assert read(text).unsafe == unsafe


def test_a_rule_says_nothing_of_a_key_that_is_faulty_itself() -> None:
    text = (
        '[stateful_jwt]\nsign_key = 1\nselector_prefix = ""\nblacklist_prefix = "BLACKLIST:sub:"\n'
        "[[route]]\nupstream = 1\n"
    )
    assert [(found.line, found.key) for found in faults(text)] == [
        (2, "[stateful_jwt] sign_key"),
        (3, "[stateful_jwt] selector_prefix"),
        (5, "[[route]] #1 path"),
        (6, "[[route]] #1 upstream"),
    ]


def test_the_keys_beside_redis_addr_and_the_url_make_one_login() -> None:
    store = read(
        KEY + 'redis_addr = "redis://h"\nredis_username = "u"\nredis_password = "p"\nredis_db = 2\n'
    ).stateful_jwt.store
    login = getattr(store, "login")  # noqa: B009 - any of several stores
    assert (login.username, login.password.get_secret_value(), login.db) == ("u", "p", 2)
    store = read(KEY + 'redis_addr = "rediss://v:q@h/5"\n').stateful_jwt.store
    login = getattr(store, "login")  # noqa: B009 - any of several stores
    assert (login.username, login.password.get_secret_value(), login.db) == ("v", "q", 5)


def test_the_other_stores_need_no_login() -> None:
    assert read(KEY).stateful_jwt.store == EmbeddedStore()
    store = read(KEY + 'redis_addr = "unix:///r.sock"\nredis_db = 3\n').stateful_jwt.store
    assert isinstance(store, RedisSocket)
    assert store.login.db == 3


@pytest.mark.parametrize(("address", "tls"), [("h:1", False), ("rediss://h", True), ("redis://h", False)])
def test_tls_is_spoken_where_the_address_or_the_key_says_so(address: str, *, tls: bool) -> None:
    text = KEY + f'redis_addr = "{address}"\n'
    assert getattr(read(text).stateful_jwt.store, "tls") is tls  # noqa: B009 - any of several stores
    assert getattr(read(text + "tls = { enabled = true }\n").stateful_jwt.store, "tls") is True  # noqa: B009 - likewise


def test_who_announces_clients_is_named() -> None:
    found = fault(KEY + "[http]\nproxy_protocol = true\n")
    assert found.key == "[http] proxy_protocol"
    assert read(KEY + '[http]\nproxy_protocol = true\ntrusted_proxies = ["10.0.0.1"]\n').warnings == ()
    assert read(KEY + "[http]\nproxy_protocol = []\n").http.proxy_protocol == ()
    assert "inside a network" in fault(KEY + '[http]\nproxy_protocol = ["10.0.0.1/8"]\n').problem
