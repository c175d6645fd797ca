"""Paths and queries: what could be read in two ways is refused, wherever it leads (RFC 3986; RFC 9112, 3.2.1)."""

import string
from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import BEARER, HOST, SMUGGLED, shown

_PLAIN: Final = frozenset((string.ascii_letters + string.digits + "-._~!$&'()*+,=:@/?").encode())
"""Bytes of a path, and the one that ends it, that every reader takes alike."""

_LOOSE: Final = frozenset(b'"<>[]^`{|}')
"""No bytes of a path to RFC 3986, and sent by clients all the same; they stand for themselves to every reader."""

_REFUSED: Final = (
    b"//", b"//b", b"/b//c", b"///b", b"/b//", b"/.", b"/..", b"/./b", b"/../b", b"/b/.", b"/b/..", b"/b/./c", b"/b/../c",
    b"/b/../../c", b"/b/../../../../c", b"/%2e", b"/%2e%2e", b"/%2e%2e/c", b"/%2E%2E/c", b"/.%2e/c", b"/%2e./c", b"/%2e/c",
    b"/b/%2e%2e/c", b"/b/.%2E", b"/..;/c", b"/..;a=b/c", b"/.;/c", b"/b;", b"/b;c", b"/b;c=d", b"/;", b"/;/c", b"/b%3bc", b"/b%3B",
    b"/b%2fc", b"/b%2Fc", b"/%2f", b"/%2f/", b"/b%2f..%2fc", b"/..%2fc", b"/..%2Fc", b"/%2e%2e%2fc", b"/%2e%2e%2f%2e%2e%2fc",
    b"/b\\c", b"/\\", b"/..\\c", b"/b%5cc", b"/b%5Cc", b"/..%5cc", b"/%5c..%5cc", b"/b%00", b"/b%00c", b"/%00", b"/b%00.html",
    b"/b%01", b"/b%07", b"/b%08", b"/b%09", b"/b%0a", b"/b%0A", b"/b%0b", b"/b%0c", b"/b%0d", b"/b%0d%0aX:y", b"/b%0d%0a%0d%0aGET%20/",
    b"/b%1b", b"/b%1f", b"/b%7f", b"/b%7F", b"/b%", b"/b%2", b"/b%g", b"/b%gg", b"/b%2g", b"/b%zz", b"/b%%", b"/b%%41", b"/b%u0041",
    b"/b%u002f", b"/b%U002F", b"/b%-1", b"/b%+1", b"/b%0x41", b"/b%252f", b"/b%252Fc", b"/b%25%32%66", b"/b%252e%252e/c", b"/%252e",
    b"/b%255c", b"/b%2500", b"/b%250a", b"/b%250d%250a", b"/b%253b", b"/b%257f", b"/b%25252f", b"/b%2525252f", b"/b%25%35%63",
    b"/b%c0%af", b"/b%c0%ae%c0%ae/c", b"/b%c0%80", b"/b%c1%9c", b"/b%e0%80%af", b"/b%e0%80%ae", b"/b%f0%80%80%af", b"/b%f8%80%80%80%af",
    b"/b%c1%81", b"/b%80", b"/b%bf", b"/b%ff", b"/b%fe", b"/b%c3", b"/b%c3c", b"/b%e2%82", b"/b%ed%a0%80", b"/b%ed%bf%bf", b"/b%f4%90%80%80",
    b"/b#", b"/b#c", b"/b?c#d", b"/#", b"/b%2e%2e%5c", b"/b/%2e%2e;/c", b"/b/..%00/c", b"/b/..%0d/c", b"/b/..%09/c", b"/b/.%00./c",
)  # fmt: skip
_SERVED: Final = (
    b"/", b"/b", b"/b/", b"/b/c", b"/b.html", b"/.b", b"/..b", b"/b.", b"/b..", b"/...", b"/.../c", b"/b..c", b"/.well-known/c", b"/b%20c",
    b"/b%41", b"/%62", b"/%7Eb", b"/b%2dc", b"/b%3fc", b"/b%23c", b"/b%25", b"/b%25c", b"/100%25", b"/b%2541", b"/b%26c", b"/b%3dc",
    b"/b%c3%a9", b"/b%C3%A9", b"/b%e2%82%ac", b"/b%f0%9f%98%80", b"/b%e2%80%ae", b"/b%c2%85", b"/b%ef%bc%8f", b"/b%ef%bc%8ec",
    b"/b+c", b"/b,c", b"/b:c", b"/b@c", b"/b=c", b"/b&c", b"/b!c", b"/b$c", b"/b'c", b"/b(c)", b"/b*c", b"/b~c", b"/b%2ec", b"/b%2Cc",
    b"/http://a.test".replace(b"//", b"/"), b"/" + b"a" * 2000, b"/" + b"a/" * 500 + b"a", b"/" + b"%61" * 500,
)  # fmt: skip
_QUERIES: Final = (
    b"?", b"??", b"?a", b"?a=b", b"?a=b&c=d", b"?a=%20+", b"?a=%", b"?a=%zz", b"?a=%00", b"?a=%0d%0aX:y", b"?a=../..", b"?a=//", b"?/../",
    b"?a;b", b"?a\\b", b"?a=%2f", b"?a=%c0%af", b"?a=%ff", b"?a[]=b", b"?a={b}", b"?a|b", b"?a^b", b"?a`b", b'?a="b"', b"?<a>", b"?a=b?c=d",
    b"?http://a.test/", b"?%3f", b"?a=%u0041", b"?&&&", b"?====", b"?" + b"a=b&" * 500,
)  # fmt: skip
_ADMIN: Final = (
    b"/ADMIN", b"/Admin", b"/admin/", b"/ADMIN/", b"/%41dmin", b"/admi%4e", b"//admin", b"/./admin", b"/x/../admin", b"/x/..%2fadmin", b"/admin;x",
    b"/admin%3bx", b"/admin%2f", b"/admin%00", b"/admin%20/..", b"/admin/.", b"/admin/..;/admin", b"/%2fadmin", b"/%5cadmin", b"/\\admin", b"/.;/admin",
    b"/open/../admin", b"/open/..%2fadmin", b"/open/%2e%2e/admin", b"/open/..;/admin", b"/open/..\\admin", b"/open//../admin", b"/open/.%00./admin",
    b"/open/%252e%252e/admin", b"/open/%c0%ae%c0%ae/admin",
)  # fmt: skip
"""Other spellings of a path that asks for more than the token at hand has."""


def _get(target: bytes, *fields: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"".join(fields) + b"\r\n"


def _lists() -> Iterator[Case]:
    for path in _REFUSED:
        for prefix, fields in ((b"/open", ()), (b"/x", (BEARER,))):
            target = prefix + path
            yield case(f"refused {shown(target)}", _get(target, *fields) + SMUGGLED, 400)
    for path in _SERVED:
        for prefix, fields in ((b"/open", ()), (b"/x", (BEARER,))):
            target = prefix + path
            name = f"{shown(target[:60])} of {len(target)} bytes"
            yield case(f"served {name}", _get(target, *fields), f"GET {target.decode()} 0")
    for query in _QUERIES:
        target = b"/open/b" + query
        yield case(f"query {shown(query[:60])}", _get(target), f"GET {target.decode()} 0")


def _bytes() -> Iterator[Case]:
    for byte in range(256):
        one = bytes([byte])
        good = byte in _PLAIN or byte in _LOOSE
        path = b"/open/b" + one + b"c"
        yield case(f"{shown(one)} in a path", _get(path), f"GET {path.decode('latin-1')} 0" if good else 400)
        good = 0x21 <= byte <= 0x7E and one != b"#"
        query = b"/open/b?c" + one + b"d"
        yield case(f"{shown(one)} in a query", _get(query), f"GET {query.decode('latin-1')} 0" if good else 400)
        escaped = b"/open/b%%%02xc" % byte
        good = 0x20 <= byte < 0x7F and one not in (b"/", b"\\", b";")
        yield case(f"{escaped.decode()}", _get(escaped), f"GET {escaped.decode()} 0" if good else 400)
        twice = b"/open/b%%25%02xc" % byte
        good = byte not in b"/\\;.%\x7f" and byte >= 0x20
        yield case(f"{twice.decode()}", _get(twice), f"GET {twice.decode()} 0" if good else 400)


def _protected() -> Iterator[Case]:
    yield case("without a token", _get(b"/x/a"), 401, end="open")
    yield case("with a token", _get(b"/x/a", BEARER), "GET /x/a 0")
    yield case("with a token in the query", _get(b"/x/a?token=$TOKEN"), "GET /x/a?token=$TOKEN 0")
    yield case("admin without a token", _get(b"/admin"), 401, end="open")
    yield case("admin with a lesser token", _get(b"/admin", BEARER), 403, end="open")
    for escaped in (b"/%61dmin", b"/adm%69n", b"/%61%64%6d%69%6e"):
        yield case(f"admin as {shown(escaped)}", _get(escaped, BEARER), 403, end="open")
    for target in _ADMIN:
        yield case(f"admin as {shown(target)}", _get(target, BEARER) + SMUGGLED, 400)


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_lists, _bytes, _protected):
        yield from part()
