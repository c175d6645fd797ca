"""What must hold of any bytes. Each harness takes some, and fails by an exception that it does not expect.

The same functions run under atheris, which looks for bytes that break them (`make fuzz`), and over what it has found
so far, in every run of the tests.
"""

import base64
import contextlib
import functools
import hashlib
import hmac
import ipaddress
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from sluicegate.adapters.forward_auth import UnclearOriginal, original
from sluicegate.adapters.forwarded import client_address, trusts, upstream_headers
from sluicegate.core.decision import Admit
from sluicegate.core.extract import TooMuch, extract
from sluicegate.core.policy import Sources
from sluicegate.core.request import Request
from sluicegate.core.token import MalformedToken, digest, peek
from sluicegate.server.wire.body import Chunked
from sluicegate.server.wire.head import CHUNKED, RequestReader
from sluicegate.server.wire.limits import Limits
from sluicegate.server.wire.malformed import Malformed
from sluicegate.server.wire.reply import ReplyReader
from sluicegate.server.wire.target import decoded_strictly
from tests.corpus.reading import take_request
from tests.server.gate import engine
from tests.table.tokens import SECRET

_LIMITS: Final = Limits(request_line=1024, field=1024, fields=50, body=100_000)
_SOURCES: Final = Sources()
_ENGINE: Final = engine()
_EVERYBODY: Final = trusts(["0.0.0.0/0"])


def _cut(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Take a place to cut at from the first byte; return the whole and its two pieces."""
    whole = data[1:]
    place = data[0] % (len(whole) + 1) if data else 0
    return whole, whole[:place], whole[place:]


def head(data: bytes) -> None:
    """A head is one head however it is cut, and one to a reader that shares no code with the gate."""
    whole, *pieces = _cut(data)
    read, cut = _read_head(whole), _read_head(*pieces)
    # of what is too long and full of errors, either may be seen first
    assert cut == read or (isinstance(cut, int) and isinstance(read, int) and {cut, read} & {414, 431})
    if not isinstance(read, tuple) or read[4] not in {0, CHUNKED}:
        return
    method, target, host, fields, length, *_ = read
    kept = upstream_headers(
        fields, peer="192.0.2.1", trusted=True, scheme="http", host=host, extra=frozenset(), identity=[]
    )
    lines = [b"%b: %b\r\n" % field for field in kept]
    if not host:
        lines.append(b"Host: a\r\n")
    end = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" if length == CHUNKED else b"\r\n"
    sent = b"%b %b HTTP/1.1\r\n%b%b" % (method.encode(), target, b"".join(lines), end)
    taken = take_request(sent)
    assert taken is not None
    assert taken[1] == len(sent)
    assert (taken[0].method, taken[0].target, taken[0].body) == (method, target.decode(), b"")
    if target.startswith(b"/"):
        with contextlib.suppress(Malformed):
            path = decoded_strictly(target.partition(b"?")[0])
            assert b"//" not in path
            assert not {b".", b".."} & set(path.split(b"/"))


def _read_head(*pieces: bytes) -> Any:  # noqa: ANN401 - a status, None, or everything about a head
    reader = RequestReader(_LIMITS)
    try:
        for number, piece in enumerate(pieces):
            found = reader.read(piece) if piece else None
            if found is not None:
                block, rest = found.block, reader.rest + b"".join(pieces[number + 1 :])
                framing = (block.length, block.persistent, block.expects)
                return (found.method, found.target.origin_form, block.host, block.fields, *framing, rest)
    except Malformed as malformed:
        return malformed.status
    return None


def body(data: bytes) -> None:
    """A chunked body is the same however it is cut, and what Python's own regular expressions make of it."""
    whole, *pieces = _cut(data)
    read = _read_body(whole)
    assert _read_body(*pieces) == read
    if isinstance(read, tuple):
        content, rest = read
        assert _unchunked(whole[: len(whole) - len(rest)]) == content


def _read_body(*pieces: bytes) -> tuple[bytes, bytes] | int | None:
    chunked, content = Chunked(_LIMITS), b""
    try:
        for number, piece in enumerate(pieces):
            content += chunked.read(piece) if piece else b""
            if chunked.done:
                return content, chunked.rest + b"".join(pieces[number + 1 :])
    except Malformed as malformed:
        return malformed.status
    return None


_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[^\r\n\0]*)?\r\n")


def _unchunked(data: bytes) -> bytes:
    content, place = b"", 0
    while True:
        matched = _CHUNK.match(data, place)
        assert matched is not None
        size, place = int(matched[1], 16), matched.end()
        if size == 0:
            assert data.endswith(b"\r\n")
            assert re.fullmatch(rb"(?:[^\r\n\0: ]+:[^\r\n\0]*\r\n)*\r\n", data[place:]) is not None
            return content
        content += data[place : place + size]
        place += size + 2
        assert data[place - 2 : place] == b"\r\n"


def reply(data: bytes) -> None:
    """The head of a response is the same however it is cut, and its lines hold no second one."""
    whole, *pieces = _cut(data)
    read = _read_reply(whole)
    assert _read_reply(*pieces) == read
    if isinstance(read, tuple):
        status, lines, *_ = read
        assert lines.startswith(b"HTTP/1.1 %d" % status)
        assert re.fullmatch(rb"(?:[^\r\n\0]+\r\n)+", lines) is not None
        assert re.search(rb"(?im)^(?:transfer-encoding|connection|upgrade|x-request-id):", lines) is None
        assert len(re.findall(rb"(?im)^content-length:", lines)) <= 1


def _read_reply(*pieces: bytes) -> Any:  # noqa: ANN401 - None, or everything about a head
    reader = ReplyReader()
    try:
        for number, piece in enumerate(pieces):
            found = reader.read(piece, method="GET") if piece else None
            if found is not None:
                rest = reader.rest + b"".join(pieces[number + 1 :])
                return found.status, found.lines, type(found.body), found.persistent, rest
    except Malformed:
        return "malformed"
    return None


def _credentials(*, query: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> list[bytes] | None:
    try:
        found = extract(Request(query=query, headers=headers), _SOURCES)
    except TooMuch:
        return None
    tokens = [credential.token for credential in found]
    assert len(set(tokens)) == len(tokens) <= 8
    assert all(0 < len(token) <= 8192 for token in tokens)
    return tokens


def _bare(text: bytes) -> bytes:
    stripped = text.strip(b" \t")
    return stripped[7:].strip(b" \t") if stripped.lower().startswith(b"bearer ") else stripped


def query(data: bytes) -> None:
    """The tokens of a query are those that the standard library finds there."""
    tokens = _credentials(query=data)
    pairs = urllib.parse.parse_qsl(data.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    named = {_bare(value.encode("latin-1")) for name, value in pairs if name in _SOURCES.query} - {b""}
    assert tokens is None or set(tokens) == named


def cookie(data: bytes) -> None:
    """The token of a cookie is found between any others, and none is found in another's value."""
    value = re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", data)
    tokens = _credentials(headers=((b"cookie", value),))
    beside = _credentials(headers=((b"cookie", value + b"; session_token=mine"),))
    assert tokens is None or beside is None or set(beside) == {*tokens, b"mine"}
    if b"session_token" not in value:
        assert tokens == []
    if tokens is not None:
        assert all(token in value for token in tokens)


def header(data: bytes) -> None:
    """The tokens of `Authorization` are those of one field or of several, however they are folded."""
    value = re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", data)
    tokens = _credentials(headers=((b"authorization", value),))
    beside = _credentials(headers=((b"authorization", value), (b"authorization", b"Bearer mine")))
    assert tokens is None or beside is None or set(beside) == {*tokens, b"mine"}
    _credentials(headers=((b"x-api-key", value), (b"x-api-token", value)))


def forwarded(data: bytes) -> None:
    """Whatever proxies say, a client has an address, and an upstream hears of each thing once."""
    texts = data.split(b"\n")
    names = (b"x-forwarded-for", b"forwarded", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip", b"connection")
    headers = [(names[number % len(names)], text) for number, text in enumerate(texts)]
    for trusted in (_EVERYBODY, trusts(["192.0.2.0/24", "2001:db8::/32"])):
        ipaddress.ip_address(client_address("192.0.2.9", headers, trusted))
    for trusting in (True, False):
        sent = upstream_headers(
            headers,
            peer="192.0.2.9",
            trusted=trusting,
            scheme="http",
            host=b"a.test",
            extra=frozenset({b"x-request-id"}),
            identity=[(b"X-Auth-User-Id", b"alice")],
        )
        told = [name.lower() for name, _ in sent]
        assert [told.count(name) for name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")] == [1] * 3
        assert (b"X-Auth-User-Id", b"alice") in sent
        assert trusting or not {b"forwarded", b"x-real-ip"} & set(told)
        assert dict(sent)[b"X-Forwarded-Proto"] in {b"http", b"https", b"ws", b"wss"}


def asked(data: bytes) -> None:
    """Another proxy's question is about one request, or about none."""
    method, _, uri = data.partition(b"\n")
    asking: tuple[tuple[Literal["nginx", "traefik"], bytes], ...] = (
        ("nginx", b"x-original-"),
        ("traefik", b"x-forwarded-"),
    )
    for proxy, prefix in asking:
        headers = [(prefix + b"method", method), (prefix + b"uri", uri)]
        with contextlib.suppress(UnclearOriginal):
            found = original(Request(headers=headers), proxy, trusted=True)
            assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", found.method) is not None
            assert found.path.startswith("/") or found.path == "*"
            assert not set(found.path) & set("\r\n\0 ?")


def token(data: bytes) -> None:
    """What is read from a token is what it says; only what the gate's own secret signed is ever let in."""
    decision = _ENGINE.decide(Request(headers=[(b"authorization", b"Bearer " + data)]))
    if isinstance(decision, Admit):
        assert any(map(_is_signed, data.split(b",")))
    try:
        peeked = peek(data, digest(data))
    except MalformedToken:
        return
    assert base64.urlsafe_b64encode(peeked.signature).rstrip(b"=") == data.rpartition(b".")[2]
    assert json.loads(peeked.payload) == peeked.claims
    assert peeked.signing_input + b"." in data


def _is_signed(data: bytes) -> bool:
    signing_input, _, signature = _bare(data).rpartition(b".")
    mac = hmac.digest(SECRET, signing_input, hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=") == signature


def claims(data: bytes) -> None:
    """Claims of any form, genuinely signed, come to a decision."""
    part = functools.partial(base64.urlsafe_b64encode)
    signing_input = part(b'{"alg":"HS256"}').rstrip(b"=") + b"." + part(data).rstrip(b"=")
    mac = part(hmac.digest(SECRET, signing_input, hashlib.sha256)).rstrip(b"=")
    decision = _ENGINE.decide(Request(headers=[(b"authorization", b"Bearer " + signing_input + b"." + mac)]))
    if isinstance(decision, Admit):
        said = json.loads(data)
        assert decision.identity is not None
        assert decision.identity.jti == said["jti"]
        assert said.get("exp", 1 << 60) > 1_800_000_000


HARNESSES: Final[Mapping[str, Callable[[bytes], None]]] = {
    one.__name__: one for one in (head, body, reply, query, cookie, header, forwarded, asked, token, claims)
}
