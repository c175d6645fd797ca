"""Texts that are no compact JWS, and JSON that two parsers could read in two ways; the gate's issuer signed them."""

import base64
import json
from collections.abc import Iterator

from tests.vectors.vector import ANY_ALGORITHM, CLAIMS, MALFORMED, Vector, b64, compact, encoded, genuine, signer

_HEADER = {"alg": ANY_ALGORITHM, "typ": "JWT"}
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_INSERTED = {
    "a space": b" ",
    "a new line": b"\n",
    "CR LF": b"\r\n",
    "a tab": b"\t",
    "NUL": b"\0",
    "a no-break space": "\u00a0".encode(),
    "a zero-width space": "\u200b".encode(),
    "a full-width letter": "\uff21".encode(),
    "a byte that is no UTF-8": b"\xff",
    "an equals sign": b"=",
    "an exclamation mark": b"!",
    "a percent escape": b"%41",
}


def vectors() -> Iterator[Vector]:
    """Every one of them."""
    for defect, token in (*_of_base64(), *_of_the_dots(), *_of_other_serialisations(), *_of_size()):
        yield Vector(ANY_ALGORITHM, f"form: {defect}", token, MALFORMED)
    for defect, payload in _of_the_payload():
        token = compact(_HEADER, payload, signer())
        yield Vector(ANY_ALGORITHM, f"payload: {defect}", token, MALFORMED)
    for defect, header in _of_the_header():
        token = compact(header, CLAIMS, signer())
        yield Vector(ANY_ALGORITHM, f"header: {defect}", token, MALFORMED)


def _of_base64() -> Iterator[tuple[str, bytes]]:
    for index, title in enumerate(("header", "payload", "signature")):
        parts = _telling_token().split(b".")

        def put(part: bytes, parts: list[bytes] = parts, index: int = index) -> bytes:
            """The token with this part in its place, signed again unless it is the signature."""
            changed = [*parts[:index], part, *parts[index + 1 :]]
            if index < 2:
                changed[2] = b64(signer()(b".".join(changed[:2])))
            return b".".join(changed)

        part = parts[index]
        yield f"{title} with one =", put(part + b"=")
        yield f"{title} with two =", put(part + b"==")
        yield f"{title} with its padding", put(part + b"=" * (-len(part) % 4 or 4))
        yield f"{title} in the standard alphabet", put(part.replace(b"-", b"+").replace(b"_", b"/"))
        yield f"{title} one character longer than base64 can be", put(part + b"A" * ((1 - len(part)) % 4 or 4))
        yield f"{title} empty", put(b"") if index < 2 else b".".join([*parts[:2], b"A"])
        for place, where in ((0, "before"), (len(part) // 2, "in"), (len(part), "after")):
            for inserted, data in _INSERTED.items():
                if data in b" \t" and (index, where) in {(0, "before"), (2, "after")}:
                    continue  # white space around a token is its field's, and no part of it (RFC 9110, 5.6.3)
                yield f"{inserted} {where} the {title}", put(part[:place] + data + part[place:])
        for loose in _loose(part):
            yield f"{title} that ends in loose bits ({loose[-1:].decode()})", put(loose)
        yield f"{title} not encoded", put(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
        yield f"{title} encoded twice", put(b64(part)) if index < 2 else b".".join([*parts[:2], part[:-1] + b"."])


def _telling_token() -> bytes:
    """A genuine token whose parts each hold a character that the two alphabets spell differently, and spare bits."""
    for attempt in range(1000):
        telling = {"x": "?" * (attempt % 7 + 3), "n": attempt}
        token = compact(_HEADER | telling, CLAIMS | telling, signer())
        if all(set(part) & set(b"-_") and len(part) % 4 for part in token.split(b".")):
            return token
    raise AssertionError("no such token in a thousand")


def _loose(part: bytes) -> Iterator[bytes]:
    """The other spellings of these bytes in which the last character has bits that mean nothing."""
    spare = {2: 16, 3: 4}[len(part) % 4]
    last = _ALPHABET.index(part[-1])
    for other in range(last - last % spare, last - last % spare + spare):
        if other != last:
            yield part[:-1] + _ALPHABET[other : other + 1]


def _of_the_dots() -> Iterator[tuple[str, bytes]]:
    header, payload, signature = genuine().split(b".")
    yield "no dot", header + payload + signature
    yield "one dot: no signature", header + b"." + payload
    yield "one dot: no header", payload + b"." + signature
    yield "a dot before it", genuine().join([b".", b""])
    yield "a dot after it", genuine() + b"."
    yield "a dot doubled", header + b".." + payload + b"." + signature
    yield "no payload: detached", header + b".." + signature
    yield "only dots", b".."
    yield "three dots", b"..."
    yield "four dots", b"...."
    yield "two tokens", genuine() + b"." + genuine()
    yield "a million dots", b"." * 10**6
    yield "a dot between every two characters", b".".join(genuine()[place : place + 1] for place in range(400))
    yield "another sign for the dots", genuine().replace(b".", "\u3002".encode())
    yield "the dots escaped", genuine().replace(b".", b"%2E")
    yield "an empty word", b"null"
    yield "a single character", b"e"


def _of_other_serialisations() -> Iterator[tuple[str, bytes]]:
    header, payload, signature = (part.decode() for part in genuine().split(b"."))
    flat = {"protected": header, "payload": payload, "signature": signature}
    yield "the flattened JSON serialisation", encoded(flat)
    yield "the general JSON serialisation", encoded({"payload": payload, "signatures": [flat]})
    yield "a JSON string", encoded(genuine().decode())
    yield "a JSON array", encoded([genuine().decode()])
    jwe = b64(encoded({"alg": "dir", "enc": "A256GCM"}))
    yield "a JWE", b".".join([jwe, b"", b64(bytes(12)), b64(genuine()), b64(bytes(16))])
    yield (
        "a JWE with an encrypted key",
        b".".join([jwe, b64(bytes(32)), b64(bytes(12)), b64(genuine()), b64(bytes(16))]),
    )
    yield "a JWE header on a JWS", compact({"alg": ANY_ALGORITHM, "enc": "A256GCM"}, CLAIMS, signer())
    yield "the token in base64", b64(genuine())
    yield "the token in hex", genuine().hex().encode()
    yield "the token in quotes", b'"' + genuine() + b'"'
    yield "a token nested in a token", compact(_HEADER | {"cty": "JWT"}, genuine(), signer())


def _of_size() -> Iterator[tuple[str, bytes]]:
    yield "a token of 1 MiB", genuine(note="x" * (3 << 18))
    yield "a token of 8193 bytes", _of_length(8193)
    yield "a megabyte of letters", b"A" * 10**6
    yield "a header of 1 MiB", compact(_HEADER | {"note": "x" * (3 << 18)}, CLAIMS, signer())
    yield "a signature of 1 MiB", genuine() + b"A" * (1 << 20)


def _of_length(size: int) -> bytes:
    for padding in range(size // 2, size):
        token = genuine(note="x" * padding)
        if len(token) == size:
            return token
    raise AssertionError("base64 skips this length")


def _of_the_payload() -> Iterator[tuple[str, bytes]]:
    """Every name in it: duplicates, other encodings, what is almost JSON, and JSON that is no object."""
    text = encoded(CLAIMS)
    opened = text[:-1]
    for title, member in {
        "jti": b'"jti":"other"',
        "sub": b'"sub":"root"',
        "sub, spelt with an escape": b'"\\u0073ub":"root"',
        "jti, spelt with an escape in capitals": b'"jt\\u0069":"other"',
        "exp": b'"exp":1',
        "a claim of the same value": b'"tier":"PREMIUM"',
        "an unknown claim": b'"x":1,"x":1',
        "a nested member": b'"org":{"id":1,"id":2}',
        "a nested member, spelt with an escape": b'"org":{"id":1,"\\u0069d":2}',
        "a member in a list": b'"orgs":[{"id":1},{"id":1,"id":2}]',
        "the empty name": b'"":1,"":2',
    }.items():
        yield f"{title} twice", opened + b"," + member + b"}"
    yield from _no_json(text).items()
    for title, value in {
        "an array": [CLAIMS],
        "an array of pairs": [["sub", "user_123"], ["jti", "x"]],
        "a string": text.decode(),
        "a number": 1,
        "null": None,
        "true": True,
        "an empty array": [],
    }.items():
        yield title, json.dumps(value).encode()
    yield "4000 arrays open", b"[" * 4000
    yield "4000 quotes, escaped, after 33 arrays", b"[" * 33 + b'"\\' * 2000
    for depth in (32, 33, 100, 1000):
        yield f"{depth} arrays deep", opened + b',"x":' + b"[" * depth + b"]" * depth + b"}"
        if depth < 1000:
            yield f"{depth} objects deep", opened + b',"x":' + b'{"x":' * depth + b"1" + b"}" * depth + b"}"


def _no_json(text: bytes) -> dict[str, bytes]:
    opened = text[:-1]
    return {
        "empty": b"",
        "white space": b"  ",
        "cut short": opened,
        "text after it": text + b"x",
        "a second object after it": text + b"{}",
        "a comma after it": text + b",",
        "NUL after it": text + b"\0",
        "a byte order mark before it": b"\xef\xbb\xbf" + text,
        "UTF-16": text.decode().encode("utf-16"),
        "UTF-16 without a mark": text.decode().encode("utf-16-le"),
        "UTF-32": text.decode().encode("utf-32"),
        "Latin-1": opened + b',"name":"\xe9"}',
        "an overlong form": opened + b',"name":"\xc0\xaf"}',
        "a surrogate in UTF-8": opened + b',"name":"\xed\xa0\x80"}',
        "a lone surrogate, escaped": opened + b',"name":"\\ud800"}',
        "a comma at the end": opened + b",}",
        "a comma at the start": b"{," + text[1:],
        "a comment": opened + b"/* */}",
        "single quotes": text.replace(b'"', b"'"),
        "a name without quotes": opened + b",x:1}",
        "a number as a name": opened + b",1:1}",
        "NaN": opened + b',"x":NaN}',
        "Infinity": opened + b',"x":Infinity}',
        "-Infinity": opened + b',"x":-Infinity}',
        "a leading zero": opened + b',"x":01}',
        "a plus sign": opened + b',"x":+1}',
        "a hexadecimal number": opened + b',"x":0x1}',
        "a number that ends in a point": opened + b',"x":1.}',
        "a number out of range": opened + b',"x":1e999}',
        "an integer of 5000 digits": opened + b',"x":' + b"1" * 5000 + b"}",
        "True in capitals": opened + b',"x":True}',
        "undefined": opened + b',"x":undefined}',
        "a new line in a string": opened + b',"x":"\n"}',
        "NUL in a string": opened + b',"x":"\0"}',
        "an escape that JSON has not": opened + b',"x":"\\x41"}',
        "XML": b"<claims/>",
        "a form": b"sub=user_123&jti=x",
    }


def _of_the_header() -> Iterator[tuple[str, bytes]]:
    text = encoded(_HEADER)
    opened = text[:-1]
    yield "alg twice", opened + b',"alg":"none"}'
    yield "alg twice, the same", opened + b',"alg":"' + ANY_ALGORITHM.encode() + b'"}'
    yield "alg twice, once spelt with an escape", opened + b',"\\u0061lg":"none"}'
    yield "typ twice", opened + b',"typ":"JWT"}'
    yield "kid twice", opened + b',"kid":"a","kid":"b"}'
    yield "a nested name twice", opened + b',"jwk":{"kty":"oct","kty":"RSA"}}'
    yield from _no_json(text).items()
    for value in ([], "", 1, None, [_HEADER], "alg"):
        yield f"it is {json.dumps(value)}", json.dumps(value).encode()
    yield "100 arrays deep", opened + b',"x":' + b"[" * 100 + b"]" * 100 + b"}"
