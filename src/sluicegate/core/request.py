"""What came in: the request as every shape of the gate presents it, and the credentials found in it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

SourceKind = Literal["query", "header", "cookie"]


class Source(msgspec.Struct, frozen=True):
    """Where a credential stood, as the log names it: `header Authorization`, `query token`."""

    kind: SourceKind
    name: str

    def __str__(self) -> str:
        """Return kind and name, separated by a space."""
        return f"{self.kind} {self.name}"


class Credential(msgspec.Struct, frozen=True, gc=False):
    """A token as it was sent, without its scheme. Nothing in it is trusted.

    Its `repr` never shows the token: tracebacks and debuggers end in logs.
    """

    token: bytes
    source: Source

    def __repr__(self) -> str:
        """Name the source and the length only."""
        return f"<Credential from {self.source}, {len(self.token)} bytes>"


class Request(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One request, as far as a decision can depend on it.

    `path` is the path as sent, without the query; `query` is the raw query without `?`. Header names are lower
    case; a name may occur more than once, in the order received. `client` is the address that the log shows and
    limits count, already reckoned from trusted proxies. `id` is this request's decision id.
    """

    method: str = "GET"
    path: str = "/"
    query: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    client: str = ""
    id: str = ""
    topic: str | None = None

    def __repr__(self) -> str:
        """Show neither query nor headers: tokens live there."""
        return f"<Request {self.id} {self.method} {self.path!r}>"


def is_preflight(request: Request) -> bool:
    """Tell whether this is a CORS preflight, which carries no credentials by specification.

    Source: WHATWG Fetch, 3.3.2 and 4.8. One with a body is no preflight: a decision is due.
    """
    if request.method != "OPTIONS":
        return False
    names = {name for name, value in request.headers if name != b"content-length" or value.strip() != b"0"}
    return (
        b"origin" in names
        and b"access-control-request-method" in names
        and b"content-length" not in names
        and b"transfer-encoding" not in names
    )
