"""The end of a chunked body, with the fields behind it that may go on (RFC 9110, 6.5; RFC 9112, 7.1.2)."""

from collections.abc import Sequence
from typing import Final

from sluicegate.adapters.forwarded import upstream_headers
from sluicegate.adapters.render import fold
from sluicegate.server.wire.head import Block
from sluicegate.server.wire.reply import Reply

LAST_CHUNK: Final = b"0\r\n\r\n"
_NONE: Final = frozenset[bytes]()
# Framing and routing are hop-by-hop or stand here; so do control, conditions, and whoever asks or answers.
_NEVER_TRAILING: Final = frozenset(
    b"accept accept-encoding age authorization cache-control connection cookie date etag expect expires forwarded host "
    b"last-modified location max-forwards origin pragma range referer retry-after set-cookie te trailer "
    b"transfer-encoding upgrade user-agent vary via warning www-authenticate x-request-id".split()
)
_NEVER_PREFIXES: Final = (b"content-", b"if-", b"access-control-", b"sec-", b"x-auth-", b"x-api-")


def may_trail(name: bytes, managed: frozenset[bytes]) -> bool:
    """Tell whether a field may stand behind a body (RFC 9110, 6.5.1): none that a reader of the head depends on.

    Many servers put trailers among the headers, so what a client may not write there it may not write here.
    """
    folded = fold(name)
    field = [(name, b"")]
    passed = upstream_headers(field, peer="", trusted=False, scheme="", host=b"", extra=managed, identity=[])
    return passed == field and folded not in _NEVER_TRAILING and not folded.startswith(_NEVER_PREFIXES)


def wants_trailers(block: Block) -> bool:
    """Tell whether a client takes trailers (RFC 9110, 10.1.4)."""
    accepted = block.by_name.get(b"te")
    return accepted is not None and b"trailers" in [part.strip(b" \t") for part in accepted.lower().split(b",")]


def last_chunk(trailers: Sequence[bytes], managed: frozenset[bytes] = _NONE) -> bytes:
    """Return the end of a body, with those of these field lines that may stand there; `managed` are folded names."""
    if not trailers:
        return LAST_CHUNK
    parted = [line.partition(b":")[::2] for line in trailers]
    # With a space, whatever the sender wrote: `X:GET / HTTP/1.1` has been two bytes and a request (CVE-2023-40175).
    kept = [b"%b: %b\r\n" % (name, value.strip(b" \t")) for name, value in parted if may_trail(name.lower(), managed)]
    return b"".join((b"0\r\n", *kept, b"\r\n"))


def ended_here(block: Block) -> frozenset[bytes]:
    """Return the folded names of the trailers that a request's `Connection` keeps from going on (RFC 9110, 7.6.1)."""
    if b"connection" not in block.by_name:
        return _NONE
    return _named(b",".join([value for name, value in block.fields if name == b"connection"]))


def closing(trailers: Sequence[bytes], client: Block, reply: Reply) -> bytes:
    """Return the end of a response's body as this client takes it."""
    if not trailers or not wants_trailers(client):
        return LAST_CHUNK
    return last_chunk(trailers, _named(reply.fields.get(b"connection", b"")))


def _named(connection: bytes) -> frozenset[bytes]:
    return frozenset(fold(option.strip(b" \t").lower()) for option in connection.split(b","))
