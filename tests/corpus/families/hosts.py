"""Whom a request is for: `Host` in every form, and against what a target names (RFC 9112, 3.2; RFC 9110, 7.2)."""

import string
from collections.abc import Iterator
from typing import Final

from tests.corpus.case import Case, case
from tests.corpus.parts import GOT, HOST, SMUGGLED, shown

_START: Final = b"GET /open/a HTTP/1.1\r\n"
_LETTERS: Final = frozenset((string.ascii_letters + string.digits + "-._~").encode())

_HOSTS: Final = (
    b"a", b"a.test", b"A.TEST", b"a.test:80", b"a.test:8080", b"a.test:65535", b"a.test:", b"a.test.", b"127.0.0.1",
    b"127.0.0.1:80", b"[::1]", b"[::1]:80", b"[2001:db8::1]", b"[::ffff:192.0.2.1]", b"xn--nxasmq6b.test", b"a_b.test",
    b"a-b.test", b"1.test", b"localhost", b"~a.test", b"http:", b"a:0", b"  a.test  ", b"\ta.test\t", b"a" * 63 + b".test",
)  # fmt: skip
_NO_HOSTS: Final = (
    b"", b" ", b"\t", b"a b", b"a\tb", b"a, b", b"a,b", b"a;b", b"a/b", b"/", b"//a", b"a/", b"a?b", b"?", b"a#b", b"#",
    b"u@a", b"u:p@a", b"@a", b"a@", b":80", b":", b"a:b", b"a:80:80", b"a::80", b"a:-1", b"a:+80", b"a: 80", b"a :80", b"a:8 0",
    b"a:0x50", b"a:80a", b"a:123456", b"a:99999", b"a:65536", b"[::1", b"::1", b"[::1]x", b"[::1]:x", b"[::1]80", b"[]", b"[g::1]", b"[::1]]",
    b"[[::1]]", b"[.]", b"[:]", b"[:::]", b"[1]", b"[1.2.3.4]", b"[::1%25lo]", b"[v1.a]", b"a%20b", b"a%00b", b"a%2fb", b"%61", b"a\\b", b"\\", b"<a>",
    b'"a"', b"'a'", b"a&b", b"a=b", b"a!b", b"a$b", b"a*b", b"*", b"a+b", b"(a)", b"{a}", b"a|b", b"a^b", b"`a`", b"http://a",
    b"http://a/", b"\xfc.test", b"\xc3\xbc.test", b"\xef\xbc\x8e", b"a..test", b".", b"..", b".a", b"..a", b"a..", b"a.test:80/",
    b"a.test:80, b.test:80", b"a.test b.test", b"a.test\x00", b"\x00a.test", b"a.test\x0b", b"a.test\x7f", b"a.test\xa0",
)  # fmt: skip
_FORMS: Final = {
    b"http://a.test/open/a": "/open/a",
    b"HTTP://a.test/open/a": "/open/a",
    b"http://b.test/open/a": "/open/a",
    b"http://b.test:81/open/a?b": "/open/a?b",
    b"http://[::1]/open/a": "/open/a",
    b"http://a.test./open/a": "/open/a",
    b"http://a.test:/open/a": "/open/a",
}
_NO_FORMS: Final = (
    b"https://a.test/open/a", b"HTTPS://a.test/open/a", b"https://a.test",
    b"http://", b"http:///open/a", b"http:/open/a", b"http:open/a", b"http://u@a.test/open/a", b"http://u:p@a.test/open/a",
    b"http://a.test@b.test/open/a", b"http://a b/open/a", b"http://a.test\\@b.test/open/a", b"http://a.test#@b.test/open/a",
    b"http://a.test/open/a#b", b"http://a,b/open/a", b"http://a.test:b/open/a", b"http://a..test/open/a", b"http://%61/open/a",
    b"ftp://a.test/open/a", b"ws://a.test/open/a", b"file:///etc/passwd", b"javascript:alert(1)", b"data:,a", b"urn:a:b", b"gopher://a/",
    b"//a.test/open/a", b"///open/a", b"a.test/open/a", b"a.test:80", b"a.test", b":80", b"open/a", b".", b"..", b"?", b"?a", b"*", b"**",
    b"*/open/a", b"@a.test/open/a", b"\\open\\a", b"http//a.test/open/a", b"://a.test/open/a", b"1http://a.test/open/a",
    b"http://[::1/open/a", b"http://::1/open/a", b"http://a.test\x00/open/a", b"http://\xc3\xbc/open/a", b"http://a.test:99999/open/a",
)  # fmt: skip


def _alone() -> Iterator[Case]:
    for host in _HOSTS:
        yield case(f"Host {shown(host)}", _START + b"Host: " + host + b"\r\n\r\n", GOT)
    for host in _NO_HOSTS:
        yield case(f"no Host {shown(host)}", _START + b"Host: " + host + b"\r\n\r\n" + SMUGGLED, 400)
    for byte in range(256):
        one = bytes([byte])
        gets = GOT if byte in _LETTERS else 400
        if one != b":":
            yield case(f"{shown(one)} in Host", _START + b"Host: a" + one + b"b\r\n\r\n", gets)
    yield case("no Host at all", _START + b"X: y\r\n\r\n", 400)
    yield case("no field at all", _START + b"\r\n", 400)
    yield case("no Host in HTTP/1.0", b"GET /open/a HTTP/1.0\r\n\r\n", GOT, end="closed")
    yield case("an empty Host in HTTP/1.0", b"GET /open/a HTTP/1.0\r\nHost:\r\n\r\n", 400)
    yield case("a bad Host in HTTP/1.0", b"GET /open/a HTTP/1.0\r\nHost: a b\r\n\r\n", 400)
    yield case("two Hosts in HTTP/1.0", b"GET /open/a HTTP/1.0\r\n" + HOST + b"Host: b.test\r\n\r\n", 400)


def _twice() -> Iterator[Case]:
    for first in (b"Host: a.test", b"host: a.test", b"HOST:a.test", b"Host:"):
        for second in (b"Host: a.test", b"Host: b.test", b"hOST: 127.0.0.1", b"Host:"):
            yield case(
                f"{shown(first)} and {shown(second)}", _START + first + b"\r\n" + second + b"\r\n\r\n" + SMUGGLED, 400
            )
    for other in (
        b"Host : b.test",
        b" Host: b.test",
        b"Host\t: b.test",
        b"\tHost: b.test",
        b"Host\x00: b.test",
        b"Host\xa0: b.test",
    ):
        yield case(f"Host and {shown(other)}", _START + HOST + other + b"\r\n\r\n" + SMUGGLED, 400)
        yield case(f"{shown(other)} and Host", _START + other + b"\r\n" + HOST + b"\r\n" + SMUGGLED, 400)
        yield case(f"{shown(other)} alone", _START + other + b"\r\n\r\n" + SMUGGLED, 400)
    for other in (b"X-Host: b.test", b"X-Forwarded-Host: b.test", b"Forwarded: host=b.test", b"X-Original-Host: b.test",
                  b"X-HTTP-Host-Override: b.test", b"Host-: b.test", b"Hosts: b.test", b"H_ost: b.test"):  # fmt: skip
        yield case(f"Host and {shown(other)}", _START + HOST + other + b"\r\n\r\n", GOT)


def _forms() -> Iterator[Case]:
    for url, target in _FORMS.items():
        yield case(f"URL {shown(url)}", b"GET " + url + b" HTTP/1.1\r\n" + HOST + b"\r\n", f"GET {target} 0")
        yield case(f"URL {shown(url)} without Host", b"GET " + url + b" HTTP/1.1\r\nX: y\r\n\r\n", 400)
        yield case(f"URL {shown(url)} with a bad Host", b"GET " + url + b" HTTP/1.1\r\nHost: a b\r\n\r\n", 400)
        yield case(f"URL {shown(url)} with two Hosts", b"GET " + url + b" HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400)
        yield case(
            f"URL {shown(url)} in HTTP/1.0", b"GET " + url + b" HTTP/1.0\r\n\r\n", f"GET {target} 0", end="closed"
        )
    for form in _NO_FORMS:
        yield case(f"no target {shown(form)}", b"GET " + form + b" HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, 400)
    for method in (b"OPTIONS", b"GET", b"POST", b"PUT"):
        start = method + b" %b HTTP/1.1\r\n" + HOST + b"\r\n"
        asked = method == b"OPTIONS"
        yield case(f"{method.decode()} *", start % b"*", 204 if asked else 400)
        # RFC 9112, 3.2.4: a URL without path and query is `*` to OPTIONS, and `/` to every other method
        yield case(f"{method.decode()} http://a.test", start % b"http://a.test", 204 if asked else 401, end="open")
        yield case(f"{method.decode()} http://a.test?b", start % b"http://a.test?b", 401, end="open")
        yield case(f"{method.decode()} *?a", start % b"*?a", 400)
        yield case(f"{method.decode()} a.test:443", start % b"a.test:443", 400)
    for named in (b"a.test:443", b"a.test", b"/open/a", b"http://a.test/open/a", b"*"):
        yield case(f"CONNECT {shown(named)}", b"CONNECT " + named + b" HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, 501)


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (_alone, _twice, _forms):
        yield from part()
