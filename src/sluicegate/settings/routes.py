"""`[[route]]`, `[events]` and `[forward_auth]`: what is answered on which path, and to whom."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, final

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sluicegate.settings.addresses import Upstream, UpstreamUrl, is_name
from sluicegate.settings.flaw import Flaw, fold, found, quoted, shown
from sluicegate.settings.kinds import (
    SECTION,
    Boolean,
    FilePath,
    Kind,
    Secret,
    Several,
    as_line,
    as_text,
    key,
    needed,
    off,
    table,
    text,
    whole,
    words,
)
from sluicegate.settings.names import SENT_HEADER

_SEGMENT: Final = re.compile(r"\{[a-z_][a-z0-9_]*\}")
_PATH_EXAMPLE: Final = '"/api/*", "/hello" or "/events/{topic}"'
# `%` and `;` are read by some servers and not by others; the rest never arrives in a path, or ends it
_IN_NO_PATH: Final = re.compile(r"[^!-~]|[%;?#\\\"<>^`|]")


def _check_path(path: str) -> str:
    if not path.startswith("/"):
        raise Flaw(f"is {shown(path)}, which does not begin with /", f"write it so: {_PATH_EXAMPLE}")
    if odd := _IN_NO_PATH.search(path):
        raise Flaw(
            f"holds {quoted(odd[0])}, which servers read in different ways",
            "write the path as it is after decoding, in ASCII",
        )
    segments = path[1:].split("/")
    if "" in segments[:-1] or {".", ".."} & set(segments):
        raise Flaw('holds "//", "." or "..", which servers read in different ways', "write the path that is meant")
    names = []
    for position, segment in enumerate(segments):
        if segment == "*" and position == len(segments) - 1:
            continue
        if _SEGMENT.fullmatch(segment):
            names.append(segment)
        elif re.search(r"[*{}]", segment):
            raise Flaw(
                f"has the segment {quoted(segment)}",
                '"*" stands alone and last, "{topic}" alone between slashes: ' + _PATH_EXAMPLE,
            )
    if len(set(names)) < len(names):
        raise Flaw("names one placeholder twice", f"name each once: {_PATH_EXAMPLE}")
    return str(path)


def _check_exact_path(path: str) -> str:
    if re.search(r"[*{}]", _check_path(path)):
        raise Flaw(f"is {shown(path)}, which is more than one path", 'write one path: "/auth"')
    return str(path)


@final
@dataclass(frozen=True, slots=True)
class _Pairs:
    """A table, read into a tuple of pairs: frozen as everything here is. `same` tells which names are one."""

    name: Callable[[Any], object]
    value: Callable[[Any], object]
    example: str
    same: Callable[[str], str] = str

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        read = core_schema.dict_schema(
            core_schema.no_info_plain_validator_function(self.name),
            core_schema.no_info_plain_validator_function(self.value),
        )
        return core_schema.no_info_after_validator_function(
            self._pairs, core_schema.no_info_before_validator_function(self._as_table, read)
        )

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"title": f"table, {self.example}", "type": "object"}

    def _as_table(self, value: object) -> object:
        if not isinstance(value, Mapping):
            raise Flaw(f"is {found(value)} where a table belongs", f"write it so: {self.example}")
        return value

    def _pairs(self, read: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
        if len({self.same(name) for name in read}) < len(read):
            raise Flaw("names one thing twice in different spellings", "take one of them out")
        return tuple(read.items())


def _read_claim_name(value: object) -> str:
    name = as_line(value, '"role"')
    if not name.strip():
        raise Flaw("names an empty claim", 'write it so: claims = { role = "admin" }')
    return str(name)


def _read_claim_values(value: object) -> tuple[str | int | bool, ...]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if not values:
        raise Flaw("allows no value at all", 'name those that are good: ["PRO", "ENTERPRISE"]')
    return tuple(_read_claim_value(item) for item in values)


def _read_claim_value(value: object) -> str | int | bool:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return value
    raise Flaw(f"holds {found(value)}, which no claim is compared with", "compare with strings, integers, booleans")


def _read_header_value(value: object) -> str:
    line = as_line(value, '"{http.auth.user.id}"')
    if not line.isascii() or line != line.strip():
        raise Flaw("has blanks at an end, or letters that no header carries", "use printable ASCII")
    return str(line)


Headers = Annotated[
    tuple[tuple[str, str], ...],
    _Pairs(SENT_HEADER.read, _read_header_value, '{ X-User-ID = "{http.auth.user.id}" }', fold),
]
ClaimValues = tuple[str | int | bool, ...]
RequiredClaims = Annotated[
    tuple[tuple[str, ClaimValues], ...],
    _Pairs(_read_claim_name, _read_claim_values, '{ role = "admin", tier = ["PRO", "ENTERPRISE"] }'),
]


def _check_scope(scope: str) -> str:
    # RFC 6749, 3.3: what may stand in a scope, and so in the challenge that names it
    if re.fullmatch(r"[!#-\[\]-~]+", scope) is None:
        raise Flaw(f"is {shown(scope)}, which is no scope", "list each scope by itself, without blanks or quotes")
    return str(scope)


def _check_server_name(name: str) -> str:
    if not is_name(name):
        raise Flaw(f"is {shown(name)}, which no certificate names", 'write a host name: "orders.internal"')
    return str(name)


class Require(BaseModel):
    """What a route asks of a genuine token."""

    model_config = SECTION

    scopes: Annotated[
        tuple[Annotated[str, text("scope", '"orders:read"', check=_check_scope)], ...], Several('["orders:read"]')
    ] = key([], "Scopes that the token must hold, all of them.")
    claims: RequiredClaims = key({}, "Claims and the values of which each must have one.")


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


def _read_respond(value: object) -> str | None:
    return None if value is None else str(as_text(value, '"Hello {http.auth.user.id}!"'))


class UpstreamTls(BaseModel):
    """How TLS is spoken to the `https://` upstreams of a route."""

    model_config = SECTION

    ca_file: FilePath = key("", "PEM file with the authorities that vouch for the upstream; empty for the system's.")
    server_name: Annotated[str, text("host name", '"orders.internal"', check=_check_server_name, empty=True)] = key(
        "", "Name that the upstream's certificate must carry, and that it is asked for (SNI); empty for its host."
    )
    cert_file: FilePath = key("", "PEM file with the client certificate that the upstream asks for.")
    key_file: FilePath = key("", "PEM file with the private key of `cert_file`.")
    insecure_skip_verify: Boolean = off("Accept any certificate: unsafe, shown at start and in `/health`.")
    min_version: Annotated[Literal["1.2", "1.3"], words("1.2", "1.3")] = key("1.2", "Oldest version of TLS to speak.")


class Route(BaseModel):
    """One path and what is done there. The first that matches counts."""

    model_config = SECTION

    path: Annotated[str, text("path", _PATH_EXAMPLE, check=_check_path)] = needed(
        'Path to match: "/hello" exactly, "/api/*" and all below, "/events/{topic}" with one segment.'
    )
    upstream: Annotated[tuple[UpstreamUrl, ...], Several('"http://127.0.0.1:8081"', or_one=True)] = key(
        [], "Service that requests are passed on to, or a list of them."
    )
    respond: Annotated[str | None, Kind(_read_respond, {"title": "text", "type": "string"})] = Field(
        default=None,
        description="Text to answer with; may hold `{http.auth.user.id}` and the like.",
        json_schema_extra=_without_default,
    )
    events: Boolean = off("Answer with the event stream of the path's `{topic}`.")
    forward_auth: Boolean = off("Answer with the decision alone, for a proxy that asks.")
    auth: Annotated[Literal["required", "optional", "none"], words("required", "optional", "none")] = key(
        "required", "Whether a good token is needed, is looked at where there is one, or is never looked for."
    )
    require: Require = table(Require, "What is asked of a genuine token.")
    header_up: Headers = key(
        {}, "Headers set on the request to the upstream; whatever the client sent under that name is deleted."
    )
    upstream_tls: UpstreamTls = table(UpstreamTls, "TLS towards the route's `https://` upstreams.")
    strip_token: Boolean = off("Take the token out of the request before it is passed on.")


_Pattern = Annotated[str, text("topic pattern", '"user-{http.auth.user.id}-*"')]


class Events(BaseModel):
    """Event streams: who may read and write which topics, and how much is kept."""

    model_config = SECTION

    subscribe: Annotated[tuple[_Pattern, ...], Several('["public-*"]')] = key(
        [], 'Topics that may be read: "public-*", "user-{http.auth.user.id}-*".'
    )
    publish: Annotated[tuple[_Pattern, ...], Several('["public-*"]')] = key(
        [], "Topics that may be written, with the scope `topic:write`."
    )
    history: Annotated[int, whole(0, 10_000_000)] = key(1000, "Events kept of each topic for `Last-Event-ID`.")
    history_ttl_sec: Annotated[int, whole(1)] = key(3600, "Seconds that events are kept.")
    tickets: Annotated[str, text("path", '"/tickets"', check=_check_exact_path, empty=True)] = key(
        "/tickets", "Path that gives a page a ticket for its `EventSource`, which can send no token; empty for none."
    )
    ticket_secret: Secret = key(
        "", "Secret, the same on every node, that proves what Redis keeps under tickets; empty takes `sign_key`."
    )
    retry_on_trouble: Boolean = off(
        "Tell an `EventSource` to come back while the store or webhook is away, where an error would end it for good."
    )
    retry_ms: Annotated[int, whole(1)] = key(3000, "Milliseconds that clients are told to wait before they reconnect.")
    reconnect_window_sec: Annotated[int, whole(0, 3600)] = key(
        10, "Seconds over which clients come back that are sent away together."
    )
    max_event_bytes: Annotated[int, whole(1, 2**24)] = key(
        2**18, "Bytes of a published event as it is sent; a longer one is answered 413."
    )
    max_history_bytes: Annotated[int, whole(0)] = key(
        2**28, "Bytes of the events kept of all topics; past it, the topic that was quiet longest loses its oldest."
    )


class ForwardAuth(BaseModel):
    """The path on which another proxy asks. Present: answered; absent: not."""

    model_config = SECTION

    path: Annotated[str, text("path", '"/auth"', check=_check_exact_path)] = key(
        "/auth", "Path that the proxy asks on."
    )
    proxy: Annotated[Literal["nginx", "caddy", "traefik", "envoy"], words("nginx", "caddy", "traefik", "envoy")] = key(
        "nginx", "Proxy that asks, which decides the headers that name the original request."
    )


_RUNTIME = (Upstream,)
