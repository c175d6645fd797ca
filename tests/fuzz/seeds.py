"""Where the fuzzer begins, and the words that it puts in: what the other tests have thought of."""

from collections.abc import Iterator, Mapping
from typing import Final

from tests.corpus.case import read
from tests.corpus.replies import read as read_replies
from tests.server.gate import TOKEN
from tests.server.requests import REFUSED, SERVED
from tests.table.tokens import mint, unsigned

_NAMES: Final = (
    "Host", "Content-Length", "Transfer-Encoding", "chunked", "Connection", "close", "Upgrade", "Expect", "100-continue",
    "Authorization", "Bearer ", "Cookie", "session_token=", "access_token=", "token=", "api_key=", "X-Forwarded-For",
    "HTTP/1.1", "HTTP/1.0", "GET ", "POST ", "OPTIONS ", "http://", "%2e", "%2f", "%00", "%74oken", "../", ";", "\\x0d\\x0a", "\\x0d\\x0a\\x0d\\x0a",
    "\\x00", "\\x0b", "\\x80", "eyJhbGciOiJIUzI1NiJ9.", '\\"exp\\"', '\\"jti\\"', '\\"sub\\"', '\\"aud\\"', '\\"iat\\"', "1e400", "NaN",
    "192.0.2.1", "[2001:db8::1]", "::ffff:192.0.2.1", "for=", "https", "unix",
)  # fmt: skip


def words() -> str:
    """Return the dictionary, in libFuzzer's form."""
    return "".join(f'"{name}"\n' for name in _NAMES)


def seeds() -> Mapping[str, list[bytes]]:
    """Return the first inputs of each harness."""
    heads = [b"\x00" + raw for raw in (*SERVED.values(), *(raw for raw, _ in REFUSED.values()))]
    return {
        "head": heads,
        "body": [b"\x03" + raw for raw in _bodies()],
        "reply": [b"\x05" + one.sent[:300] for one in list(read_replies())[::9]],
        "query": [b"token=a&access_token=b", b"%74oken=Bearer+a", b"a=b&api_key=%41;token=c", b"token=&token==&&"],
        "cookie": [b"session_token=a; b=c", b'a="session_token=b"; session_token="c"', b"session_token=a, session_token=b"],
        "header": [b"Bearer a", b"Basic a, Bearer b", b"bearer", b"Digest a=b, c=d", b"a,b ,c", b"Bearer Bearer a"],
        "forwarded": [
            b"192.0.2.1, 10.0.0.1\nfor=a\nhttps\na.test\n10.0.0.1\nclose, x-forwarded-for",
            b"[2001:db8::1]:80\n\nwss, http\n\n\nkeep-alive",
            b"::ffff:192.0.2.1, unknown, _hidden",
        ],
        "asked": [b"GET\n/a?b=c", b"POST\n/", b"get\n//a", b"OPTIONS\n*", b"GET\nhttp://a/"],
        "token": [TOKEN.encode(), unsigned().encode(), mint(jti="revoked").encode(), b"a.b.c", b"e30.e30.e30"],
        "claims": [
            b'{"jti":"a","sub":"b","exp":4000000000}', b'{"jti":"a","sub":12345678901234567890,"aud":["a",1]}',
            b'{"jti":"a","sub":["a"],"exp":1e300,"iat":-1,"nbf":true}', b'{"jti":"a","a":1,"a":2}', b'[{"jti":{}}]',
        ],
    }  # fmt: skip


def _bodies() -> Iterator[bytes]:
    for one in list(read("chunks"))[::15]:
        _, _, body = one.sent(TOKEN).partition(b"\r\n\r\n")
        if len(body) < 300:
            yield body
