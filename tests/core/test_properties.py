"""Laws that hold for any input."""

import asyncio
import json
from collections.abc import Awaitable, Mapping
from typing import Any, Final, Literal
from urllib.parse import quote_from_bytes

from hypothesis import assume, example, given
from hypothesis import strategies as st

from sluicegate.core.decision import Admit, Decision, Refuse
from sluicegate.core.extract import TooMuch, extract
from sluicegate.core.flow import Hits
from sluicegate.core.policy import Policy, Sources
from sluicegate.core.request import Credential, Request
from sluicegate.core.revocation import Entry, KeyLayout, Kind, Selector, decode, encode, is_identifier, merge
from sluicegate.core.token import MalformedToken, base64url, digest, peek
from sluicegate.engine import Engine
from sluicegate.errors import InvalidSelector, StateUnavailable
from tests.core.gates import UNSTATED, gate, minted, store_of, verifier
from tests.core.shapes import JSON, OBJECTS, TEXT, UNHURRIED, claims, headers, tokens, written
from tests.vectors.vector import NOW, b64

BYTES: Final = st.binary(max_size=60)
NAMES: Final = st.sampled_from([b"authorization", b"x-api-key", b"x-api-token", b"cookie", b"host", b"origin"])
PUNCTUATION: Final = (b",", b";", b"=", b"&", b"%", b"%2e", b'"', b".", b" ", b"\t", b"\r\n", b"\0", b"\xff")
WORDS: Final = (
    b"Bearer ",
    b"bearer",
    b"Basic ",
    b"token=",
    b"session_token=",
    b"access_token",
    b"eyJhbGciOiJub25lIn0.e30.",
)
FRAGMENTS: Final = st.sampled_from([*PUNCTUATION, *WORDS, minted(), minted(jti="dead")])
VALUES: Final = st.one_of(BYTES, st.lists(FRAGMENTS | BYTES, max_size=6).map(b"".join))
REQUESTS: Final = st.builds(
    Request, method=TEXT, path=TEXT, query=VALUES, headers=st.lists(st.tuples(NAMES | BYTES, VALUES), max_size=6)
)
POLICIES: Final = st.builds(
    Policy,
    auth=st.sampled_from(["required", "optional", "off"]),
    state=st.sampled_from(["refuse", "admit"]),
    multiple_tokens=st.sampled_from(["first_valid", "refuse"]),
    require_jti=st.booleans(),
)
DEAD: Final = {"BLACKLIST:key:dead": "cancelled", "BLACKLIST:sub:a,b": '{"not_before":1}'}
ENGINE: Final = gate(standing=DEAD)


@UNHURRIED
@given(REQUESTS, POLICIES)
@example(Request(headers=[(b"authorization", b"Bearer " + minted(iat=10**400))]), Policy())
@example(Request(headers=[(b"authorization", b"Bearer " + minted(sub=10**4000))]), Policy())
def test_any_bytes_in_any_source_come_to_a_decision(request: Request, policy: Policy) -> None:
    assert isinstance(ENGINE.decide(request, policy), Admit | Refuse)


@UNHURRIED
@given(tokens("HS256"), POLICIES)
def test_any_token_comes_to_a_decision(token: bytes, policy: Policy) -> None:
    decision = ENGINE.decide(Request(query=b"token=" + quote_from_bytes(token).encode()), policy)
    assert isinstance(decision, Admit | Refuse)


@UNHURRIED
@given(headers("HS256"), OBJECTS | claims(), written(), BYTES)
def test_what_is_written_into_a_token_is_read_from_it(
    header: dict[str, Any],
    payload: dict[str, Any],
    write: Any,  # noqa: ANN401 - drawn
    signature: bytes,
) -> None:
    token = b".".join(map(b64, (write(header), write(payload), signature)))
    try:
        peeked = peek(token, digest(token))
    except MalformedToken:
        # of what the strategies make, only these are more than the gate reads
        odd = {"crit", "b64", "zip", "enc"} & header.keys() or not isinstance(header.get("alg"), str)
        typed: dict[str, type] = {
            "typ": str,
            "cty": str,
            "kid": str,
            "jku": str,
            "x5u": str,
            "x5t": str,
            "x5t#S256": str,
        }
        typed |= {"jwk": dict, "x5c": list}
        wrong = any(name in header and not isinstance(header[name], kind) for name, kind in typed.items())
        assert odd or wrong or len(token) > 8192
    else:
        assert (peeked.header.alg, peeked.header.kid) == (header["alg"], header.get("kid"))
        assert peeked.claims == payload
        assert peeked.signature == signature
        assert peeked.signing_input == token.rpartition(b".")[0]


@UNHURRIED
@given(JSON)
def test_a_payload_that_is_no_object_is_malformed(value: object) -> None:
    assume(not isinstance(value, dict))
    token = b".".join(map(b64, (b'{"alg":"HS256"}', json.dumps(value).encode(), b"")))
    try:
        peek(token, b"")
    except MalformedToken:
        return
    raise AssertionError(value)


@given(BYTES)
def test_base64url_reads_what_it_writes_and_nothing_reads_in_two_ways(data: bytes) -> None:
    try:
        read = base64url(data)
    except MalformedToken:
        return
    assert b64(read) == data


CUT_OFFS: Final = st.one_of(st.none(), st.integers(0, 6), st.floats(0, 6))
VALUES_STORED: Final = st.one_of(
    CUT_OFFS.map(lambda at: "abuse" if at is None else json.dumps({"reason": "abuse", "not_before": at})),
    st.sampled_from(["cancelled", "", "{", '{"not_before":"x"}', '{"reason":7,"not_before":3}', '{"by":"ops"}']),
)
ENTRIES: Final = st.builds(Entry, VALUES_STORED, st.one_of(st.none(), st.floats(0, 6)))
MOMENTS: Final = st.one_of(st.none(), st.floats(-1, 7))


def revoked(entry: Entry | None, at: float, issued_at: float | None) -> bool:
    """Whether a token issued then is revoked at this moment."""
    stands = entry is not None and (entry.expires_at is None or at < entry.expires_at)
    return stands and entry is not None and decode(entry.value).covers(issued_at)


@given(st.lists(ENTRIES, min_size=1, max_size=5), st.floats(-1, 7), MOMENTS)
def test_writing_never_lets_anything_in_that_was_out(
    written_in_order: list[Entry], at: float, issued: float | None
) -> None:
    """Whatever was revoked for some token at some moment still is, after any number of writes over it."""
    standing: Entry | None = None
    for entry in written_in_order:
        after = merge(standing, entry)
        assert revoked(after, at, issued) >= revoked(standing, at, issued)
        assert revoked(after, at, issued) >= revoked(entry, at, issued)
        standing = after


@given(ENTRIES, ENTRIES)
def test_writing_the_same_again_changes_nothing(one: Entry, other: Entry) -> None:
    assert merge(one, one) == one
    once = merge(one, other)
    assert merge(once, other) == once
    assert merge(once, once) == once


@given(ENTRIES, ENTRIES, ENTRIES, st.floats(-1, 7), MOMENTS)
def test_the_order_of_writes_decides_about_reasons_only(
    one: Entry, two: Entry, three: Entry, at: float, issued: float | None
) -> None:
    """What is revoked, and for how long, comes out the same: two nodes that write at once agree."""
    assert revoked(merge(one, two), at, issued) == revoked(merge(two, one), at, issued)
    left, right = merge(merge(one, two), three), merge(one, merge(two, three))
    assert revoked(left, at, issued) == revoked(right, at, issued)


@given(st.text(max_size=40) | JSON.map(json.dumps))
def test_any_value_in_the_store_revokes(value: str) -> None:
    assert decode(value).covers(None)
    assert decode(value).reason


@given(VALUES_STORED)
def test_what_is_read_is_written_again_as_strong(value: str) -> None:
    assert decode(encode(decode(value))) == decode(value)


@given(TEXT, TEXT, st.sampled_from(Kind), st.text(max_size=30))
@example("BLACKLIST:", "BLACKLIST:", Kind.JTI, "sub:root")
@example("", "", Kind.JTI, "sub:root")
@example("sub:", "", Kind.JTI, "root")
def test_no_jti_ever_reads_as_another_kind(own: str, others: str, kind: Kind, value: str) -> None:
    """Whatever an operator writes into the two prefixes."""
    layout = KeyLayout(blacklist_prefix=own, selector_prefix=others)
    try:
        key = layout.key(Selector(kind, value))
    except InvalidSelector:
        return
    found = layout.selector(key)
    assert found == Selector(kind, value) if kind is Kind.JTI else found is not None


@given(st.text(max_size=300))
def test_an_identifier_is_what_can_be_stored_and_logged(text: str) -> None:
    valid = text.isprintable() or not any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in text)
    encodable = not any("\ud800" <= sign <= "\udfff" for sign in text)
    assert is_identifier(text) == (valid and encodable and 0 < len(text.encode(errors="replace")) <= 256)


PLACES: Final = st.lists(
    st.tuples(st.sampled_from(["api_key", "token", "Authorization", "X-API-Key", "session_token"]), st.integers(0, 12)),
    max_size=10,
)
ORDER: Final = ("api_key", "access_token", "token", "Authorization", "X-API-Key", "X-Api-Token", "session_token")


@given(PLACES)
def test_credentials_stand_in_the_operators_order_each_once(places: list[tuple[str, int]]) -> None:
    """Against a model: sort by source, then drop what came before."""
    query = b"&".join(b"%s=t%d" % (name.encode(), n) for name, n in places if name in {"api_key", "token"})
    fields = [
        (b"cookie", b"session_token=t%d" % n) if name == "session_token" else (name.lower().encode(), b"t%d" % n)
        for name, n in places
        if name not in {"api_key", "token"}
    ]
    ordered = sorted(places, key=lambda place: ORDER.index(place[0]))
    expected = {b"t%d" % n: name for name, n in reversed(ordered)}
    request = Request(query=query, headers=fields)
    if len(expected) > 8:
        try:
            extract(request, Sources())
        except TooMuch:
            return
        raise AssertionError("nine were taken")
    found = extract(request, Sources())
    assert [credential.token for credential in found] == list(dict.fromkeys(b"t%d" % n for _, n in ordered))
    assert all(expected[credential.token] == credential.source.name for credential in found)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), VALUES)
def test_no_credential_is_empty_or_padded_or_beyond_the_bounds(fields: list[tuple[bytes, bytes]], query: bytes) -> None:
    try:
        found = extract(Request(query=query, headers=fields), Sources())
    except TooMuch:
        return
    assert len({credential.token for credential in found}) == len(found) <= 8
    for credential in found:
        assert isinstance(credential, Credential)
        assert credential.token.strip(b" \t") == credential.token != b""


Answering = Literal["at once", "awaitably", "raising", "raising awaitably"]


class Answered:
    """One store, answering in one of four ways."""

    def __init__(self, how: Answering) -> None:
        self._how = how
        self._store = store_of(DEAD)

    def find(self, keys: tuple[str, ...]) -> Hits | Awaitable[Hits]:
        """Answer, or raise."""
        if self._how == "raising":
            raise StateUnavailable("refused")
        return self._store.find(keys) if self._how == "at once" else self._later(keys)

    async def _later(self, keys: tuple[str, ...]) -> Mapping[str, str | None]:
        await asyncio.sleep(0)
        if self._how == "raising awaitably":
            raise StateUnavailable("refused")
        return self._store.find(keys)


@UNHURRIED
@given(REQUESTS | tokens("HS256").map(lambda token: Request(headers=[(b"x-api-key", token)])), POLICIES)
def test_a_decision_does_not_depend_on_how_the_store_answers(request: Request, policy: Policy) -> None:
    def decided(how: Answering) -> Decision:
        engine = Engine(policy, verifier(), state=Answered(how), clock=lambda: NOW)
        return asyncio.run(engine.decide_async(request))

    assert decided("at once") == decided("awaitably")
    assert decided("raising") == decided("raising awaitably")
    assert Engine(policy, verifier(), state=Answered("at once"), clock=lambda: NOW).decide(request) == decided(
        "at once"
    )


@UNHURRIED
@given(tokens("HS256"))
def test_a_remembered_token_is_decided_about_as_a_new_one(token: bytes) -> None:
    request = Request(headers=[(b"x-api-key", token)])
    remembering = gate(UNSTATED)
    assert remembering.decide(request) == remembering.decide(request) == gate(UNSTATED).decide(request)
