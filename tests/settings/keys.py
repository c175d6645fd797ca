"""Every key: its default, a value that is read, and one that is not. Data; `test_keys` is about it."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from sluicegate.settings.addresses import Bind, Upstream
from sluicegate.settings.schema import host_name
from sluicegate.settings.stores import EmbeddedStore, RedisServer


class Key(NamedTuple):
    """`good` and `bad` are TOML; `read` is what `good` becomes; `says` is part of what is said of `bad`."""

    section: str
    name: str
    default: Any
    good: str
    read: Any
    bad: str
    says: str


_NUMBER = "is a string where an integer belongs"
_SWITCH = "is a string where a boolean belongs"
_LIST = "is an integer where a list belongs"
_TEXT = "is an integer where a string belongs"
_RANGE = "out of range"
_CHOICE = "is no choice here"

_ROWS: Final[tuple[tuple[Any, ...], ...]] = (
    ("", "proxy_id", host_name(), '"gate-1"', "gate-1", '""', "is empty"),
    ("", "log_level", "info", '"warn"', "warning", '"loud"', _CHOICE),
    ("", "metrics_enabled", True, "false", False, '"yes"', _SWITCH),
    ("", "state_dir", Path("/home/op/.local/state/sluicegate"), '"state"', Path("/etc/gate/state"), '""', "is empty"),
    (
        "http",
        "bind_address",
        Bind("127.0.0.1", 8080),
        '"[::1]:0"',
        Bind("::1", 0),
        '"8080"',
        "is no address to listen on",
    ),
    ("http", "workers", 1, "0", 0, "-1", _RANGE),
    ("http", "max_connections", 100_000, "2_000_000", 2_000_000, "0", _RANGE),
    ("http", "connection_timeout_sec", 300, "60", 60, "0", _RANGE),
    ("http", "keepalive_interval_sec", 30, "15", 15, "0", _RANGE),
    ("http", "max_message_queue_size", 1000, "1", 1, "0", _RANGE),
    ("http", "backpressure_policy", "disconnect", '"block"', "block", '"drop"', _CHOICE),
    ("http", "max_request_line_size", 8192, "4096", 4096, '"8192"', _NUMBER),
    ("http", "max_header_size", 8192, "16384", 16384, "0", _RANGE),
    ("http", "max_headers", 100, "50", 50, "100.0", "is a float where an integer belongs"),
    ("http", "max_body_size", None, '"10MiB"', 10 * 2**20, '"10 parsecs"', "is no size"),
    ("http", "rate_limit_per_ip", 0, "100", 100, "true", "is a boolean where an integer belongs"),
    ("http", "rate_limit_window_sec", 60, "1", 1, "0", _RANGE),
    ("http", "cors_allowed_origins", (), '"*"', ("*",), '["https://a.example/x"]', "more than an origin"),
    (
        "http",
        "trusted_proxies",
        (),
        '["10.0.0.1"]',
        (ip_network("10.0.0.1/32"),),
        '["10.0.0.1/8"]',
        "inside a network",
    ),
    ("http.tls", "cert_file", None, '"a.pem"', Path("/etc/gate/a.pem"), "1", _TEXT),
    ("http.tls", "key_file", None, '"/b.pem"', Path("/b.pem"), "1", _TEXT),
    (
        "stateful_jwt",
        "redis_addr",
        EmbeddedStore(),
        '"r:6379"',
        RedisServer("r", 6379),
        '"r"',
        "is no address of a store",
    ),
    ("stateful_jwt", "redis_username", "", '"gate"', "gate", "1", _TEXT),
    ("stateful_jwt", "redis_password", SecretStr(""), '"p"', SecretStr("p"), "1", _TEXT),
    ("stateful_jwt", "redis_db", 0, "3", 3, '"3"', _NUMBER),
    ("stateful_jwt", "blacklist_prefix", "BLACKLIST:key:", '"R:"', "R:", '""', "is empty"),
    ("stateful_jwt", "selector_prefix", "BLACKLIST:", '"S:"', "S:", '"S\\n"', "holds a control character"),
    ("stateful_jwt", "timeout", 0.05, '"1m"', 60.0, "50", "is a bare number where a duration belongs"),
    ("stateful_jwt", "fail_open", False, "true", True, '"true"', _SWITCH),
    ("stateful_jwt", "log_blocked", False, "true", True, "1", "is an integer where a boolean belongs"),
    ("stateful_jwt", "consistency", "strict", '"tracked"', "tracked", '"eventual"', _CHOICE),
    ("stateful_jwt", "staleness", 0.25, '"100ms"', 0.1, '"0s"', _RANGE),
    ("stateful_jwt", "fail_snapshot", 0.0, '"1m30s"', 90.0, '"-1s"', _RANGE),
    ("stateful_jwt", "durable_replicas", 0, "2", 2, "-2", _RANGE),
    ("stateful_jwt.tls", "enabled", False, "true", True, '"on"', _SWITCH),
    ("stateful_jwt.tls", "insecure_skip_verify", False, "true", True, "0", "is an integer where a boolean belongs"),
    ("stateful_jwt.tls", "server_name", "", '"r.example"', "r.example", "1", _TEXT),
    (
        "stateful_jwt.tls",
        "cert_file",
        None,
        '"c.pem"',
        Path("/etc/gate/c.pem"),
        "[]",
        "is an array where a string belongs",
    ),
    (
        "stateful_jwt.tls",
        "key_file",
        None,
        '"k.pem"',
        Path("/etc/gate/k.pem"),
        "{}",
        "is a table where a string belongs",
    ),
    ("stateful_jwt.tls", "ca_file", None, '"ca.pem"', Path("/etc/gate/ca.pem"), "1", _TEXT),
    ("stateful_jwt.tls", "min_version", "1.2", '"1.3"', "1.3", '"1.0"', _CHOICE),
    ("stateful_jwt", "sign_key", SecretStr(""), '"c2Vj"', SecretStr("c2Vj"), "1", _TEXT),
    (
        "stateful_jwt",
        "jwk_url",
        "",
        '"https://a.example/k"',
        "https://a.example/k",
        '"http://a.example/k"',
        "over http",
    ),
    (
        "stateful_jwt",
        "sign_alg",
        ("HS256",),
        '["RS256", "PS256"]',
        ("RS256", "PS256"),
        '"nOnE"',
        "lets anybody write tokens",
    ),
    ("stateful_jwt", "skip_verification", False, "true", True, '"no"', _SWITCH),
    ("stateful_jwt", "from_query", ("api_key", "access_token", "token"), "[]", (), "0", _LIST),
    (
        "stateful_jwt",
        "from_header",
        ("Authorization", "X-API-Key", "X-Api-Token"),
        "[]",
        (),
        '["Host"]',
        "no token can come in",
    ),
    ("stateful_jwt", "from_cookies", ("session_token",), '["sid"]', ("sid",), '["a b"]', "no name that HTTP allows"),
    ("stateful_jwt", "user_claims", ("sub",), '["sub", "uid"]', ("sub", "uid"), "[]", "is an empty list"),
    ("stateful_jwt", "meta_claims", (), '["a.b->c"]', (("a.b", "c"),), '["x->jti"]', "the gate's own"),
    ("stateful_jwt", "issuer_whitelist", (), '["https://i"]', ("https://i",), '[""]', "is empty"),
    ("stateful_jwt", "audience_whitelist", (), '["api"]', ("api",), '["a", "a"]', "repeats item 1 as item 2"),
    ("stateful_jwt", "leeway", 0.0, '"5m"', 300.0, '"5m1s"', 'give "0s" to "5m"'),
    ("stateful_jwt", "require_exp", False, "true", True, "1", "is an integer where a boolean belongs"),
    ("stateful_jwt", "require_jti", True, "false", False, "0", "is an integer where a boolean belongs"),
    ("stateful_jwt", "multiple_tokens", "first_valid", '"refuse"', "refuse", '"any"', _CHOICE),
    ("stateful_jwt", "verified_cache_size", 100_000, "0", 0, "-1", _RANGE),
    (
        "jwt_verifier",
        "webhook_url",
        "",
        '"https://a.example/v"',
        "https://a.example/v",
        '"a.example/v"',
        "does not begin with",
    ),
    ("jwt_verifier", "timeout_ms", 5000, "1000", 1000, '"5s"', _NUMBER),
    ("jwt_verifier", "retry_attempts", 3, "0", 0, "-1", _RANGE),
    ("jwt_verifier", "cache_ttl_sec", 300, "0", 0, '"5m"', _NUMBER),
    ("jwt_verifier", "cache_max_size", 10_000, "1", 1, "0", _RANGE),
    ("jwt_verifier", "circuit_breaker_threshold", 10, "1", 1, "0", _RANGE),
    ("jwt_verifier", "circuit_breaker_timeout_sec", 60, "1", 1, "0", _RANGE),
    ("jwt_verifier", "rate_limit_per_sec", 1000, "1", 1, "0", _RANGE),
    ("jwt_verifier", "require_authentication", True, "false", False, '"false"', _SWITCH),
    ("jwt_verifier", "negative_cache_ttl_sec", 5, "0", 0, "-5", _RANGE),
    ("jwt_verifier", "stale_if_error_sec", 0, "60", 60, "-1", _RANGE),
    ("jwt_verifier", "secret", SecretStr(""), '"s"', SecretStr("s"), '" "', "is empty"),
    ("issuer", "name", ..., '"other"', "other", '"a:b"', "cannot stand in a key"),
    ("issuer", "iss", ..., '"https://i"', "https://i", "1", _TEXT),
    ("issuer", "sign_key", SecretStr("k"), '"a"', SecretStr("a"), "1", _TEXT),
    ("issuer", "jwk_url", "", '"https://i/k"', "https://i/k", '"ftp://i/k"', "does not begin with"),
    ("issuer", "sign_alg", ("HS256",), '"EdDSA"', ("EdDSA",), "[]", "is an empty list"),
    ("issuer", "audience_whitelist", (), '["a"]', ("a",), "1", _LIST),
    ("issuer", "user_claims", (), '["u"]', ("u",), '[""]', "is empty"),
    ("issuer", "meta_claims", (), '{ t = "tier" }', (("t", "tier"),), '["a b"]', "a name that no placeholder has"),
    ("route", "path", ..., '"/api/*"', "/api/*", '"api"', "does not begin with /"),
    (
        "route",
        "upstream",
        (),
        '"http://[::1]:81"',
        (Upstream("http", "::1", 81),),
        '"http://h/base"',
        "carries a path",
    ),
    ("route", "respond", "", '"Hello {name}"', "Hello {name}", "1", _TEXT),
    ("route", "events", False, "true", True, '"yes"', _SWITCH),
    ("route", "forward_auth", False, "true", True, "1", "is an integer where a boolean belongs"),
    ("route", "auth", "required", '"none"', "none", '"off"', _CHOICE),
    (
        "route",
        "header_up",
        (),
        '{ X-U = "{http.auth.user.id}" }',
        (("X-U", "{http.auth.user.id}"),),
        '"X-U"',
        "where a table belongs",
    ),
    ("route", "strip_token", False, "true", True, "1", "is an integer where a boolean belongs"),
    ("route.require", "scopes", (), '["a:b"]', ("a:b",), '["a b"]', "is no scope"),
    (
        "route.require",
        "claims",
        (),
        '{ t = ["A", 1] }',
        (("t", ("A", 1)),),
        "{ t = 1.5 }",
        "which no claim is compared with",
    ),
    ("events", "subscribe", (), '["a-*"]', ("a-*",), '"a-*"', "is a string where a list belongs"),
    ("events", "publish", (), '["a-*"]', ("a-*",), '["", "a"]', "is empty"),
    ("events", "history", 1000, "0", 0, "-1", _RANGE),
    ("events", "history_ttl_sec", 3600, "60", 60, '"1h"', _NUMBER),
    ("events", "retry_ms", 3000, "1", 1, "0", _RANGE),
    ("forward_auth", "path", "/auth", '"/check"', "/check", '"/auth/*"', "more than one path"),
    ("forward_auth", "proxy", "nginx", '"envoy"', "envoy", '"apache"', _CHOICE),
    (
        "admin",
        "bind_address",
        Bind("127.0.0.1", 9090),
        '"localhost:1"',
        Bind("localhost", 1),
        '"::1:9090"',
        "without brackets",
    ),
    ("admin", "token", SecretStr(""), '"t"', SecretStr("t"), "1", _TEXT),
)

KEYS: Final = tuple(Key(*row) for row in _ROWS)
