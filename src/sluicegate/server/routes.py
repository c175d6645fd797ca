"""Which route a path takes, and what is done there. Compiled once; the first that matches counts."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal, final

from sluicegate.core.placeholders import PLACEHOLDER
from sluicegate.core.policy import Policy
from sluicegate.server.sessions import Sessions
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.target import decoded, decoded_strictly

_SEGMENT: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


@final
@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is spoken to an upstream: `name` is what its certificate must name, and what it is asked for (SNI)."""

    context: Sessions
    name: str


@final
@dataclass(frozen=True, slots=True)
class Upstream:
    """A service behind a route: a host and a TCP port, or the `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""
    tls: Tls | None = None

    def __str__(self) -> str:
        """Return the form that the operator writes."""
        if self.path:
            return f"unix:{self.path}"
        return f"{'http' if self.tls is None else 'https'}://{self.authority.decode()}"

    @property
    def authority(self) -> bytes:
        """What `Host` says where the client said nothing (HTTP/1.0)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode() if host else b"localhost"

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it is, however it is spoken to."""
        return self.host, self.port, self.path

    @property
    def is_address(self) -> bool:
        """Tell whether the host needs no resolving."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True


@final
@dataclass(frozen=True, slots=True)
class Proxy:
    """Pass the request on to `upstream`, or to one of `others`, which serve the same.

    `header_up`: names, and values that may hold `{http.auth.user.…}`. `strip_token`: not with the credentials.
    """

    upstream: Upstream
    header_up: tuple[tuple[str, str], ...] = ()
    others: tuple[Upstream, ...] = ()
    strip_token: bool = False

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """All of them."""
        return (self.upstream, *self.others)

    @property
    def telling(self) -> Iterator[str]:
        """The names among them that tell of an identity."""
        return (name for name, value in self.header_up if PLACEHOLDER.search(value) is not None)


@final
@dataclass(frozen=True, slots=True)
class Respond:
    """Answer with this text, which may hold `{http.auth.user.…}`."""

    text: str


@final
@dataclass(frozen=True, slots=True)
class ForwardAuth:
    """Answer with the decision about the request that another proxy asks about.

    `trusted` tells whether a peer may ask; `prefix` is the endpoint's own path, which Envoy puts before the original's.
    """

    proxy: Literal["nginx", "caddy", "traefik", "envoy"]
    trusted: Callable[[str], bool]
    prefix: str = "/auth"


@final
@dataclass(frozen=True, slots=True)
class Events:
    """Answer with the event stream of the path's topic.

    `publish` is the policy of those who write the topic. `retry_on_trouble`: a stream that is refused for what may pass
    is begun, and ends at once, for a page would not ask again after an error.
    """

    publish: Policy
    retry_on_trouble: bool = False


@final
@dataclass(frozen=True, slots=True)
class Renewal:
    """Let a running stream of the path's topic go on with a fresh token."""


@final
@dataclass(frozen=True, slots=True)
class Tickets:
    """Give out tickets for streams, whose policy this is."""

    policy: Policy


Action = Proxy | Respond | ForwardAuth | Events | Renewal | Tickets


@final
@dataclass(frozen=True, slots=True)
class Route:
    """One path and what is done there.

    `path` as it is after decoding: `/hello` exactly, `/api/*` and all below `/api/`, `/events/{topic}` with one
    segment. `policy` is the engine's as this route has it; None lets everything pass undecided (`auth = "none"`).
    """

    path: str
    action: Action
    policy: Policy | None


@final
@dataclass(frozen=True, slots=True)
class Found:
    """Where a path leads: the route's place in the list, and what stood for `{topic}`."""

    place: int
    topic: str | None = None


@final
class Table:
    """Finds routes. `strict`: something is protected, so no path may be readable in two ways, wherever it leads.

    Wherever: `/public/..%2fadmin` matches the open route, and is the other one to a lax upstream.

    `is_weaker(later, earlier)` tells that the later of two routes leads to the same upstream and asks for less. A path
    that takes it, and differs from the earlier route's only in case or in a slash at its end, is refused: to many
    upstreams `/ADMIN` and `/admin/` are `/admin`.
    """

    def __init__(
        self, paths: Sequence[str], *, strict: bool, is_weaker: Callable[[int, int], bool] = lambda *_: False
    ) -> None:
        self._decode: Final = decoded_strictly if strict else decoded
        self._loose: Final = {
            later: re.compile(b"|".join(alike), re.IGNORECASE).fullmatch
            for later in range(len(paths))
            if (alike := [_loosely(paths[earlier]) for earlier in range(later) if is_weaker(later, earlier)])
        }
        patterns = [(place, path) for place, path in enumerate(paths) if _is_pattern(path)]
        expression = b"|".join(_expression(place, path) for place, path in patterns)
        self._match: Final = re.compile(expression or b"(?!)").fullmatch
        self._founds: Final = {f"r{place}": (Found(place), _TOPIC in path) for place, path in patterns}
        self._exact: Final[dict[bytes, Found]] = {}
        for place, path in enumerate(paths):
            if not _is_pattern(path):
                by_pattern = self._by_pattern(path.encode())
                earlier = by_pattern is not None and by_pattern.place < place
                self._exact.setdefault(path.encode(), by_pattern if by_pattern and earlier else Found(place))

    def find(self, path: bytes) -> Found | None:
        """Return where a path leads, None where nowhere. Raises `Malformed` for one that is read in two ways."""
        once = self._decode(path)
        found = self._exact.get(once)
        if found is None:
            found = self._by_pattern(once)
        if found is not None and found.place in self._loose and self._loose[found.place](once) is not None:
            raise Malformed(400, "path", "A path is that of a stricter route but for its case or a slash at its end")
        return found

    def _by_pattern(self, path: bytes) -> Found | None:
        matched = self._match(path)
        if matched is None or matched.lastgroup is None:
            return None
        found, named = self._founds[matched.lastgroup]
        if named:
            return Found(found.place, matched[f"t{found.place}"].decode(errors="surrogateescape"))
        return found


_TOPIC: Final = "{topic}"


def _is_pattern(path: str) -> bool:
    return path.endswith("*") or "{" in path


def _loosely(path: str) -> bytes:
    """Write a path as an expression for whatever a lax upstream could take for it."""
    prefix, star, _ = path.partition("*")
    text = "[^/]+".join(re.escape(literal) for literal in _SEGMENT.split(prefix.rstrip("/"))[::2])
    return f"{text}{'(?:/(?s:.*))?' if star else '/?'}".encode()


def _expression(place: int, path: str) -> bytes:
    """Write a path as an alternative of one expression, so that every pattern is tried in one call, in order."""
    prefix, star, _ = path.partition("*")
    parts = _SEGMENT.split(prefix)
    literals, names = parts[::2], parts[1::2]
    text = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        group = f"(?P<t{place}>[^/]+)" if name == "topic" else "[^/]+"
        text += group + re.escape(literal)
    return f"(?P<r{place}>{text}{'(?s:.*)' if star else ''})".encode()


def is_weaker(routes: Sequence[Route]) -> Callable[[int, int], bool]:
    """Tell, for two places, whether the first leads to an upstream of the second and asks for less, or for other."""

    def weaker(later: int, earlier: int) -> bool:
        mine, theirs = routes[later], routes[earlier]
        if not (isinstance(mine.action, Proxy) and isinstance(theirs.action, Proxy)):
            return False
        places = {upstream.place for upstream in mine.action.upstreams}
        shared = any(upstream.place in places for upstream in theirs.action.upstreams)
        return shared and theirs.policy is not None and mine.policy != theirs.policy

    return weaker
