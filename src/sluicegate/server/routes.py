"""Which route a path takes, and what is done there. Compiled once; the first that matches counts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, final

from sluicegate.core.policy import Policy
from sluicegate.server.target import decoded, decoded_strictly

_SEGMENT: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


@final
@dataclass(frozen=True, slots=True)
class Upstream:
    """The service behind a route: a host and a TCP port, or the `path` of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def authority(self) -> bytes:
        """What `Host` says where the client said nothing (HTTP/1.0)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode() if host else b"localhost"


@final
@dataclass(frozen=True, slots=True)
class Proxy:
    """Pass the request on. `header_up`: names, and values that may hold `{http.auth.user.…}`."""

    upstream: Upstream
    header_up: tuple[tuple[str, str], ...] = ()


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


Action = Proxy | Respond | ForwardAuth


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
    """

    def __init__(self, paths: Sequence[str], *, strict: bool) -> None:
        self._decode: Final = decoded_strictly if strict else decoded
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
        return found if found is not None else self._by_pattern(once)

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
