"""What revokes a token, and what a store holds of it."""

import hashlib

import pytest

from sluicegate.core.revocation import (
    Entry,
    KeyLayout,
    Kind,
    Revocation,
    Selector,
    decode,
    encode,
    is_identifier,
    merge,
    strongest,
)
from sluicegate.errors import InvalidSelector

LAYOUT = KeyLayout()
DIGEST = hashlib.sha256(b"token").hexdigest()


@pytest.mark.parametrize(
    ("kind", "value", "key"),
    [
        (Kind.JTI, "api_key_abc123", "BLACKLIST:key:api_key_abc123"),
        (Kind.SUB, "alice", "BLACKLIST:sub:alice"),
        (Kind.SID, "s1", "BLACKLIST:sid:s1"),
        (Kind.CLIENT, "app", "BLACKLIST:client:app"),
        (Kind.KID, "2024", "BLACKLIST:kid:2024"),
        (Kind.ISS, "https://auth.example.com", "BLACKLIST:iss:https://auth.example.com"),
        (Kind.TOKEN, DIGEST, f"BLACKLIST:token:{DIGEST}"),
    ],
)
def test_a_selector_has_one_key_and_a_key_one_selector(kind: Kind, value: str, key: str) -> None:
    """The key of a jti is the one that stateful_jwt reads and writes."""
    assert LAYOUT.key(Selector(kind, value)) == key
    assert LAYOUT.selector(key) == Selector(kind, value)


@pytest.mark.parametrize("key", ["", "BLACKLIST:", "BLACKLIST:key:", "BLACKLIST:other:x", "blacklist:key:x", "x"])
def test_a_key_that_is_none_of_ours_selects_nothing(key: str) -> None:
    assert LAYOUT.selector(key) is None


def test_the_longest_prefix_names_the_kind() -> None:
    """Where one prefix begins as another does, as with `BLACKLIST:` for both."""
    layout = KeyLayout(blacklist_prefix="BLACKLIST:")
    assert layout.selector("BLACKLIST:sub:alice") == Selector(Kind.SUB, "alice")
    assert layout.selector("BLACKLIST:alice") == Selector(Kind.JTI, "alice")


@pytest.mark.parametrize(
    ("prefix", "jti"),
    [
        ("BLACKLIST:", "sub:alice"),
        ("BLACKLIST:", "token:" + DIGEST),
        ("", "BLACKLIST:iss:x"),
        ("BLACKLIST:s", "ub:alice"),
    ],
)
def test_no_jti_can_spell_the_key_of_another_kind(prefix: str, jti: str) -> None:
    layout = KeyLayout(blacklist_prefix=prefix)
    assert not layout.is_jti(jti)
    assert layout.is_jti("alice")
    with pytest.raises(InvalidSelector, match="another kind"):
        layout.key(Selector(Kind.JTI, jti))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.JTI, ""),
        (Kind.JTI, "a*"),
        (Kind.JTI, "a\r\nDEL x"),
        (Kind.SUB, "a\0"),
        (Kind.SUB, "\ud800"),
        (Kind.SUB, "a" * 257),
        (Kind.SID, "é" * 129),
        (Kind.TOKEN, "abc"),
        (Kind.TOKEN, DIGEST.upper()),
        (Kind.TOKEN, DIGEST + "\n"),
    ],
)
def test_a_selector_that_no_token_can_carry_is_refused_without_repeating_it(kind: Kind, value: str) -> None:
    """People paste whole tokens where a jti belongs, and messages end in logs."""
    with pytest.raises(InvalidSelector, match=f"this {kind} can name no token: give") as refused:
        LAYOUT.key(Selector(kind, value))
    assert len(value) < 3 or value not in str(refused.value)


@pytest.mark.parametrize("text", ["a", "a" * 256, "é" * 128, "a b", "\u2028", "😀" * 64])
def test_an_identifier_is_1_to_256_bytes(text: str) -> None:
    assert is_identifier(text)


def test_a_selector_is_written_as_the_command_line_takes_it() -> None:
    assert str(Selector(Kind.SUB, "alice")) == "sub:alice"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("cancelled", Revocation(reason="cancelled"), id="a word, as stateful_jwt writes it"),
        pytest.param("", Revocation(reason="revoked"), id="empty"),
        pytest.param(None, Revocation(reason="revoked"), id="no string at all"),
        pytest.param("[1]", Revocation(reason="[1]"), id="JSON that is no object"),
        pytest.param("{not JSON", Revocation(reason="{not JSON"), id="what only begins as JSON"),
        pytest.param('{"reason":"abuse"}', Revocation(reason="abuse"), id="an object"),
        pytest.param("{}", Revocation(reason="revoked"), id="an empty object"),
        pytest.param('{"reason":7}', Revocation(reason="revoked"), id="a reason that is no text"),
        pytest.param('{"not_before":12}', Revocation(reason="revoked", not_before=12), id="a cut-off"),
        pytest.param('{"not_before":1.5}', Revocation(reason="revoked", not_before=1.5), id="a cut-off in fractions"),
        pytest.param('{"not_before":"12"}', Revocation(reason="revoked"), id="a cut-off that is no number is none"),
        pytest.param('{"not_before":true}', Revocation(reason="revoked"), id="nor is true"),
        pytest.param('{"not_before":1e999}', Revocation(reason='{"not_before":1e999}'), id="nor is infinity"),
        pytest.param(
            '{"reason":"abuse","by":"ops","at":1}',
            Revocation(reason="abuse", context={"by": "ops", "at": 1}),
            id="with context",
        ),
    ],
)
def test_every_value_revokes_and_says_as_much_as_it_can(value: str | None, expected: Revocation) -> None:
    assert decode(value) == expected


def test_a_cut_off_of_any_size_is_read() -> None:
    """An integer of 400 digits is no float; a crash here would meet everyone whom the key selects."""
    assert decode('{"not_before":' + "9" * 400 + "}").covers(4e9)


@pytest.mark.parametrize(
    "revocation",
    [
        Revocation(reason="cancelled"),
        Revocation(reason="{odd"),
        Revocation(reason="abuse", not_before=1700000000),
        Revocation(reason="abuse", not_before=0.5, context={"by": "ops"}),
    ],
)
def test_what_is_written_is_read_again(revocation: Revocation) -> None:
    assert decode(encode(revocation)) == revocation


def test_a_plain_reason_is_written_plainly() -> None:
    """Every reader of stateful_jwt's blacklist expects it so."""
    assert encode(Revocation(reason="cancelled")) == "cancelled"


def test_context_cannot_pass_for_a_cut_off() -> None:
    """A note named `not_before` would spare every token issued after it."""
    written = encode(Revocation(reason="security", context={"not_before": 0, "reason": "none", "by": "ops"}))
    assert decode(written) == Revocation(reason="security", context={"by": "ops"})


@pytest.mark.parametrize(
    ("not_before", "issued_at", "covered"),
    [(None, 5.0, True), (None, None, True), (10, 9.0, True), (10, 10.0, True), (10, 10.5, False), (10, None, True)],
)
def test_a_cut_off_spares_only_what_was_issued_after_it(
    not_before: float | None,
    issued_at: float | None,
    covered: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert Revocation(reason="x", not_before=not_before).covers(issued_at) is covered


CUT_AT_5, CUT_AT_9 = '{"not_before":5}', '{"not_before":9}'


@pytest.mark.parametrize(
    ("old", "new", "stands"),
    [
        pytest.param(None, Entry("a", 5), Entry("a", 5), id="nothing stood"),
        pytest.param(Entry("a"), Entry("b"), Entry("b"), id="the newer reason"),
        pytest.param(Entry("a", 5), Entry("b", 9), Entry("b", 9), id="a longer life"),
        pytest.param(Entry("a", 9), Entry("b", 5), Entry("b", 9), id="a shorter life does not shorten"),
        pytest.param(Entry("a"), Entry("b", 5), Entry("b"), id="for ever stays for ever"),
        pytest.param(Entry("a", 5), Entry("b"), Entry("b"), id="for ever from now on"),
        pytest.param(Entry(CUT_AT_5), Entry(CUT_AT_9), Entry(CUT_AT_9), id="a later cut-off"),
        pytest.param(Entry(CUT_AT_9), Entry(CUT_AT_5), Entry(CUT_AT_9), id="an earlier cut-off moves nothing"),
        pytest.param(Entry("a"), Entry(CUT_AT_9), Entry("a"), id="a cut-off does not spare what was revoked whole"),
        pytest.param(Entry(CUT_AT_9, 5), Entry("a", 3), Entry("a", 5), id="whole instead of a cut-off"),
        pytest.param(Entry("a", 3), Entry(CUT_AT_9, 5), Entry("a", 5), id="a weaker value can still live longer"),
    ],
)
def test_what_stood_is_never_weakened(old: Entry | None, new: Entry, stands: Entry) -> None:
    assert merge(old, new) == stands


def test_the_first_key_that_covers_the_token_revokes_it() -> None:
    hits = {"BLACKLIST:sub:alice": CUT_AT_5, "BLACKLIST:iss:x": "abuse"}
    assert strongest(hits, 7.0, LAYOUT) == ("BLACKLIST:iss:x", Revocation(reason="abuse"))
    assert strongest(hits, 5.0, LAYOUT) == ("BLACKLIST:sub:alice", Revocation(reason="revoked", not_before=5))
    assert strongest({"BLACKLIST:sub:alice": CUT_AT_5}, 7.0, LAYOUT) is None


@pytest.mark.parametrize("key", ["BLACKLIST:key:x", f"BLACKLIST:token:{DIGEST}", "of some other kind"])
def test_a_cut_off_says_nothing_about_a_single_token(key: str) -> None:
    found = strongest({key: CUT_AT_5}, 7.0, LAYOUT)
    assert found is not None
    assert found[0] == key
