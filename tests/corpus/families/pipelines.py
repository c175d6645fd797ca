"""Several requests in one write: each judged by itself, answered in order, and none behind one that is refused."""

import itertools
from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, Get, case
from tests.corpus.parts import BEARER, CHUNKED, GET, GOT, HELLO, HOST, LENGTH, POST, POSTED, shown

_X: Final = b"GET /x HTTP/1.1\r\n" + HOST

_PARTS: Final[dict[str, tuple[bytes, Get, bool]]] = {
    "get": (GET + b"\r\n", GOT, True),
    "length": (POST + LENGTH + b"\r\nhello", POSTED, True),
    "chunks": (POST + CHUNKED + b"\r\n" + HELLO, POSTED, True),
    "token": (_X + BEARER + b"\r\n", "GET /x 0", True),
    "no token": (_X + b"\r\n", 401, True),
    "hello": (b"GET /hello HTTP/1.1\r\n" + HOST + BEARER + b"\r\n", 200, True),
    "close": (GET + b"Connection: close\r\n\r\n", GOT, False),
    "two Hosts": (GET + HOST + b"\r\n", 400, False),
    "bad path": (b"GET /open//a HTTP/1.1\r\n" + HOST + b"\r\n", 400, False),
    "HTTP/1.0": (b"GET /open/a HTTP/1.0\r\n\r\n", GOT, False),
}


def _combined(names: tuple[str, ...]) -> Case:
    gets: list[Get] = []
    goes_on = True
    for name in names:
        _, get, goes_on = _PARTS[name]
        gets.append(get)
        if not goes_on:
            break
    raw = b"".join(_PARTS[name][0] for name in names)
    return case(", ".join(names), raw, *gets, end="open" if goes_on else "closed")


def cases() -> Iterator[Case]:
    """Yield them all."""
    for names in itertools.product(_PARTS, repeat=2):
        yield _combined(names)
    for first, second in itertools.product(("get", "length", "chunks", "no token"), repeat=2):
        for last in _PARTS:
            yield _combined((first, second, last))
    yield case("a hundred", ((GET + b"\r\n", 100),), *(GOT,) * 100)
    yield case("a hundred with bodies", ((POST + CHUNKED + b"\r\n" + HELLO, 100),), *(POSTED,) * 100)
    yield case("the same block under other lines", GET + b"\r\n" + GET.replace(b"/a", b"/b") + b"\r\n" + POST + b"\r\n", GOT,
               "GET /open/b 0", "POST /open/a 0")  # fmt: skip
    yield case("a token, and then none", _X + BEARER + b"\r\n" + _X + b"\r\n", "GET /x 0", 401, end="open")
    for line in (b"GET /open/b HTTP/1.2", b"GET  /open/b HTTP/1.1", b"GET /open/b", b"get /open/b HTTP/1.1", b"GET /open/\x01 HTTP/1.1",
                 b"GET /open/b HTTP/1.1 ", b" GET /open/b HTTP/1.1", b"GET /open/b#c HTTP/1.1", b"GET /open/b\n HTTP/1.1", b"GET\t/open/b HTTP/1.1"):  # fmt: skip
        status = {b"GET /open/b HTTP/1.2": 505, b"get /open/b HTTP/1.1": 501}.get(line, 400)
        yield case(f"a known block under {shown(line)}", GET + b"\r\n" + line + b"\r\n" + HOST + b"\r\n", GOT, status)
