"""Names that end up in requests and tokens: headers, cookies, parameters, algorithms, claims."""

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.settings.flaw import Filled, Flaw, fold, found, listed, nearest, shown
from sluicegate.settings.kinds import PLACEHOLDER_SCHEMA, Several, as_line, split_filled, text

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2

FRAMING_HEADERS: Final = frozenset(
    {
        # what a connection and its framing are made of (RFC 9110, 7.6.1; RFC 9112), and what names the target
        "connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
_WRITTEN_HEADERS: Final = frozenset({"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"})
_NO_TOKEN_HEADERS: Final = FRAMING_HEADERS | {
    # a cookie has its own key; the others say who called and are ours or a proxy's to set
    "cookie", "set-cookie", "forwarded", "via", "x-real-ip", "x-request-id", "x-error-type",
}  # fmt: skip
_NO_TOKEN_PREFIXES: Final = ("x-forwarded-", "x-original-", "x-auth-user-")


def _check_token(name: str) -> str:
    if _TOKEN.fullmatch(name) is None:
        raise Flaw(
            f"is {shown(name)}, which is no name that HTTP allows", "use letters, digits and - (RFC 9110, 5.6.2)"
        )
    return str(name)


def _check_token_header(name: str) -> str:
    folded = fold(_check_token(name))
    if folded in _NO_TOKEN_HEADERS or folded.startswith(_NO_TOKEN_PREFIXES):
        where = "list the cookie's name in from_cookies" if folded == "cookie" else "use a header of its own: X-API-Key"
        raise Flaw(f"is {shown(name)}, a header that no token can come in", where)
    return str(name)


def _check_sent_header(name: str) -> str:
    folded = fold(_check_token(name))
    if folded in FRAMING_HEADERS:
        raise Flaw(f"is {shown(name)}, which the connection itself needs", "use a header of its own: X-User-ID")
    if folded in _WRITTEN_HEADERS:
        raise Flaw(f"is {shown(name)}, which the gateway itself writes", "use a header of its own: X-User-ID")
    return str(name)


TokenHeaders = Annotated[
    tuple[Annotated[str, text("header name", '"Authorization"', check=_check_token_header)], ...],
    Several('["Authorization", "X-API-Key"]', same=str.lower),
]
SENT_HEADER: Final = text("header name", '"X-User-ID"', check=_check_sent_header)
CookieName = Annotated[str, text("cookie name", '"session_token"', check=_check_token)]
QueryName = Annotated[str, text("parameter name", '"access_token"')]


def _check_algorithm(name: str) -> str:
    if name in ALGORITHMS:
        return str(name)
    known = f"known are {listed(ALGORITHMS)}"
    if name.lower() == "none":
        raise Flaw('is "none", which lets anybody write tokens', f"name the algorithm of your key; {known}")
    near = nearest(name, ALGORITHMS)
    guess = f'did you mean "{near}"? ' if near else ""
    raise Flaw(f"is {shown(name)}, which is no algorithm that the gate verifies", f"{guess}{known}")


def _one_kind_of_key(names: tuple[str, ...]) -> tuple[str, ...]:
    symmetric = [name for name in names if ALGORITHMS[name].family == "HMAC"]
    if symmetric and len(symmetric) < len(names):
        # with both, a public key could be taken for a secret that everybody knows (CVE-2015-9235)
        raise Flaw(
            f"mixes secrets ({listed(symmetric)}) with public keys",
            "keep the algorithms of the one key; other keys go into [[issuer]] tables",
        )
    return names


_EXAMPLE: Final = '"HS256", or ["RS256", "PS256"]'
Algorithms = Annotated[
    tuple[Annotated[str, text("algorithm", _EXAMPLE, check=_check_algorithm)], ...],
    Several(_EXAMPLE, or_one=True, empty=False),
    AfterValidator(_one_kind_of_key),
]

ClaimName = Annotated[str, text("claim", '"sub"')]

_TARGET: Final = re.compile(r"[A-Za-z0-9_.-]+")
# These say who was let in: a claim of the token's own choosing must not stand in their place, nor in their header.
_MANAGED_NAMES: Final = frozenset({"id", "jti", "authenticated"})
# A claim may stand in place of these, and then must be spelt as they are: the header would hold one of two values.
_FURTHER_NAMES: Final = frozenset({"issuer", "scopes", "expires_at"})


def _header_of(name: str) -> str:
    """Return what tells the header of this name from that of another: `X-Auth-User-…` keeps letters and digits only."""
    return "-".join(re.findall("[a-z0-9]+", name.lower()))


def _split_meta(entry: str) -> tuple[str, str]:
    claim, arrow, name = (part.strip() for part in entry.partition("->"))
    if not claim or (arrow and not name):
        raise Flaw(f"has {shown(entry)}, which names no claim", 'write "tier", or "org.id->organization"')
    name = name or claim
    header = _header_of(name)
    if _TARGET.fullmatch(name) is None or not header:
        raise Flaw(
            f"has {shown(entry)}, which gives a claim a name that no placeholder has",
            'use letters, digits, "_", "." and "-" for the name: "https://example.com/role->role"',
        )
    if header in _MANAGED_NAMES or (header in map(_header_of, _FURTHER_NAMES) and name not in _FURTHER_NAMES):
        raise Flaw(f"has {shown(entry)}, which gives a claim the gate's own name", 'give another: "claim->user_claim"')
    return claim, name


class _MetaClaims:
    """`["tier", "org.id->organization"]`, or the same as a table `{tier = "tier"}`, read into (claim, name) pairs."""

    __slots__ = ()

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        entry = core_schema.no_info_plain_validator_function(self._entry)
        pairs = core_schema.tuple_schema([entry], variadic_item_index=0)
        return core_schema.no_info_after_validator_function(
            self._distinct, core_schema.no_info_before_validator_function(self._as_list, pairs)
        )

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        strings = {"type": "string"}
        return {
            "title": "list of claims, or table",
            "anyOf": [
                {"type": "array", "items": strings},
                {"type": "object", "additionalProperties": strings},
                PLACEHOLDER_SCHEMA,
            ],
        }

    def _as_list(self, value: object) -> object:
        if isinstance(value, Mapping):
            return list(value.items())
        if isinstance(value, Filled) and value.whole:
            return split_filled(value)
        if not isinstance(value, list | tuple):
            raise Flaw(f"is {found(value)} where a list belongs", 'write it so: ["tier", "org.id->organization"]')
        return value

    def _entry(self, value: object) -> tuple[str, str]:
        if not isinstance(value, tuple):
            return _split_meta(as_line(value, '"tier"'))
        claim, target = value
        name = as_line(target, '"tier"')
        entry = f"{claim}->{name}"
        return _split_meta(
            Filled.of(entry, f"{claim}->{name.origin}", whole=False) if isinstance(name, Filled) else entry
        )

    def _distinct(self, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        first: dict[str, int] = {}
        for number, (_, name) in enumerate(pairs, start=1):
            # names that differ in their signs only would be sent as one header
            earlier = first.setdefault(_header_of(name), number)
            if earlier != number:
                raise Flaw(
                    f"gives item {earlier} and item {number} one name", 'rename one of them: "claim->other_name"'
                )
        return pairs


MetaClaims = Annotated[tuple[tuple[str, str], ...], _MetaClaims()]
