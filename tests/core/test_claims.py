"""What a token is revoked by, what a verified one says, and the rules over it."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import pytest

from sluicegate.core.claims import Identifiers, MalformedClaim, Verified, check, date, find, identify, text, unmet
from sluicegate.core.decision import Reason
from sluicegate.core.flow import FindRevocation
from sluicegate.core.policy import ClaimNames, Policy, Requirement
from sluicegate.core.revocation import KeyLayout
from sluicegate.core.token import digest, peek
from sluicegate.drive import run
from tests.core.gates import UNSTATED, bearer, gate, identity, minted, reason, unasked, verifier
from tests.vectors.vector import NOW

POLICY = Policy()


def named(value: object) -> str:
    """Name a parameter; sets in order, or two workers of one run would name it differently."""
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {named(one)}' for key, one in value.items())}}}"
    return str(value)


def identified(policy: Policy = POLICY, **made: Any) -> Identifiers:  # noqa: ANN401 - handed on
    token = minted(**made)
    return identify(peek(token, digest(token)), policy)


def test_one_question_names_everything_that_could_revoke_the_token() -> None:
    token = minted(header={"kid": "k1"}, sid="s1", azp="app", client_id="app2")
    assert identify(peek(token, digest(token)), POLICY).question == FindRevocation(
        (
            "BLACKLIST:key:api_key_abc123",
            "BLACKLIST:sub:user_123",
            "BLACKLIST:sid:s1",
            "BLACKLIST:client:app",
            "BLACKLIST:client:app2",
            "BLACKLIST:iss:https://auth.example.com",
            "BLACKLIST:kid:k1",
            f"BLACKLIST:token:{hashlib.sha256(token).hexdigest()}",
        )
    )


def test_two_claims_with_one_value_are_one_key() -> None:
    keys = identified(azp="app", client_id="app").question.keys
    assert keys.count("BLACKLIST:client:app") == 1


@pytest.mark.parametrize("sub", [0, 7, -7, 2**53 + 1, 10**40])
def test_a_whole_number_selects_by_its_digits(sub: int) -> None:
    assert f"BLACKLIST:sub:{sub}" in identified(sub=sub).question.keys


def test_an_ecdsa_token_is_asked_about_under_both_its_spellings() -> None:
    keys = identified(algorithm="ES256").question.keys
    assert sum(key.startswith("BLACKLIST:token:") for key in keys) == 2


@pytest.mark.parametrize("claim", ["sub", "sid", "azp", "client_id", "iss"])
def test_an_empty_string_selects_nothing(claim: str) -> None:
    assert not any(key.endswith(":") for key in identified(POLICY, **{claim: ""}).question.keys)


@pytest.mark.parametrize("claim", ["sid", "azp", "client_id"])
def test_null_is_absence_where_rfc_7519_does_not_define_the_claim(claim: str) -> None:
    assert len(identified(POLICY, **{claim: None}).question.keys) == len(identified().question.keys)


@pytest.mark.parametrize("claim", ["jti", "sub", "iss"])
def test_null_is_no_value_of_a_claim_that_rfc_7519_defines(claim: str) -> None:
    with pytest.raises(MalformedClaim, match=claim):
        identified(POLICY, **{claim: None})


@pytest.mark.parametrize("jti", ["", "a*", "a\n", "\x7f", "é" * 129, 7, 1.5, True, ["a"], {"a": 1}])
def test_a_jti_is_a_short_string_that_names_nothing_else(jti: object) -> None:
    with pytest.raises(MalformedClaim, match="jti"):
        identified(jti=jti)


def test_a_jti_cannot_spell_the_key_of_another_kind() -> None:
    """Under an unlucky `blacklist_prefix`, `sub:root` would otherwise be asked about as a jti."""
    unlucky = Policy(layout=KeyLayout(blacklist_prefix="BLACKLIST:"))
    assert "BLACKLIST:abc" in identified(unlucky, jti="abc").question.keys
    with pytest.raises(MalformedClaim, match="something else"):
        identified(unlucky, jti="sub:root")


def test_a_kid_that_could_break_a_line_is_malformed() -> None:
    with pytest.raises(MalformedClaim, match="kid"):
        identified(header={"kid": "a\nb"})


@pytest.mark.parametrize("value", [0, 1, -1, 1.5, 1900000000.5, 253402300799, -253402300799])
def test_a_date_is_a_finite_number_within_the_calendar(value: float) -> None:
    """RFC 7519, 2: fractions are allowed."""
    assert date({"exp": value}, "exp") == value


@pytest.mark.parametrize(
    "value",
    [None, True, False, "1", [], {}, math.nan, math.inf, -math.inf, 1e300, 253402300800, 10**400, -(10**400)],
)
def test_nothing_else_is_a_date(value: object) -> None:
    with pytest.raises(MalformedClaim, match="exp is no date"):
        date({"exp": value}, "exp")


def test_no_claim_is_no_date() -> None:
    assert date({}, "exp") is None


@pytest.mark.parametrize(
    ("policy", "claims", "expected"),
    [
        ({}, {"exp": NOW + 0.001}, None),
        ({}, {"exp": NOW}, Reason.EXPIRED),
        ({"leeway": 5.0}, {"exp": NOW - 4.999}, None),
        ({"leeway": 5.0}, {"exp": NOW - 5}, Reason.EXPIRED),
        ({}, {"without": ["exp"]}, None),
        ({"require_exp": True}, {"without": ["exp"]}, Reason.EXPIRY_MISSING),
        ({}, {"nbf": NOW}, None),
        ({}, {"nbf": NOW + 0.001}, Reason.NOT_YET_VALID),
        ({"leeway": 5.0}, {"nbf": NOW + 5}, None),
        ({}, {"iat": NOW + 1}, Reason.NOT_YET_VALID),
        ({}, {"iat": NOW + 1, "nbf": 0}, Reason.NOT_YET_VALID),
        ({}, {"without": ["iat"]}, None),
        ({"issuers": frozenset({"https://auth.example.com"})}, {}, None),
        ({"issuers": frozenset({"https://auth.example.com/"})}, {}, Reason.ISSUER),
        ({"issuers": frozenset({"x"})}, {"without": ["iss"]}, Reason.ISSUER),
        ({"audiences": frozenset({"https://api.example.com"})}, {}, None),
        ({"audiences": frozenset({"a", "b"})}, {"aud": ["x", "b"]}, None),
        ({"audiences": frozenset({"a"})}, {"aud": "a"}, None),
        ({"audiences": frozenset({"abc"})}, {"aud": "ab"}, Reason.AUDIENCE),
        ({"audiences": frozenset({"a"})}, {"aud": "abc"}, Reason.AUDIENCE),
        ({"audiences": frozenset({"a"})}, {"aud": []}, Reason.AUDIENCE),
        ({"audiences": frozenset({"a"})}, {"without": ["aud"]}, Reason.AUDIENCE),
        ({}, {"sub": ""}, Reason.USER_CLAIM),
        ({}, {"without": ["sub"]}, Reason.USER_CLAIM),
    ],
    ids=named,
)
def test_a_genuine_token_still_has_to_meet_the_operators_rules(
    policy: Mapping[str, Any], claims: Mapping[str, Any], expected: Reason | None
) -> None:
    """Compared whole, never by substring (CVE-2024-53861), and at their exact moment."""
    decision = gate(Policy(state="none", **policy)).decide(bearer(minted(**claims)))
    if expected is None:
        identity(decision)
    else:
        assert reason(decision) is expected


def verified(**claims: Any) -> Verified:  # noqa: ANN401 - handed on
    token = minted(**claims)
    peeked = peek(token, digest(token))
    found = run(verifier().prove(peeked, identify(peeked, POLICY), NOW), unasked)
    assert isinstance(found, Verified)
    return found


@pytest.mark.parametrize(
    ("required", "claims", "expected"),
    [
        ({"scopes": {"read"}}, {"scope": "read write"}, None),
        ({"scopes": {"read", "write"}}, {"scope": "write  read"}, None),
        ({"scopes": {"read"}}, {"scp": ["read"]}, None),
        ({"scopes": {"read"}}, {"permissions": ["read", 7]}, None),
        ({"scopes": {"read"}}, {"scp": "write read"}, None),
        ({"scopes": {"read"}}, {"scope": "reader read:all"}, Reason.SCOPE),
        ({"scopes": {"read", "admin"}}, {"scope": "read"}, Reason.SCOPE),
        ({"scopes": {"read"}}, {"scope": {"read": True}}, Reason.SCOPE),
        ({"scopes": {"read"}}, {}, Reason.SCOPE),
        ({"claims": {"tier": ("GOLD", "PREMIUM")}}, {}, None),
        ({"claims": {"tier": ("GOLD",)}}, {}, Reason.CLAIM),
        ({"claims": {"roles": ("admin",)}}, {"roles": ["user", "admin"]}, None),
        ({"claims": {"roles": ("admin",)}}, {"roles": []}, Reason.CLAIM),
        ({"claims": {"roles": ("admin",)}}, {"roles": "administrator"}, Reason.CLAIM),
        ({"claims": {"org.id": (7,)}}, {"org": {"id": 7}}, None),
        ({"claims": {"mfa": (True,)}}, {"mfa": True}, None),
        ({"claims": {"mfa": (True,)}}, {"mfa": 1}, Reason.CLAIM),
        ({"claims": {"level": (1,)}}, {"level": 1.0}, Reason.CLAIM),
        ({"claims": {"level": (1,)}}, {"level": "1"}, Reason.CLAIM),
        ({"claims": {"x": ("",)}}, {}, Reason.CLAIM),
        ({"claims": {"tier": ("PREMIUM",), "mfa": (True,)}}, {"mfa": False}, Reason.CLAIM),
    ],
    ids=named,
)
def test_a_route_gets_all_of_the_scopes_and_one_value_of_each_claim(
    required: Mapping[str, Any], claims: Mapping[str, Any], expected: Reason | None
) -> None:
    requirement = Requirement(
        scopes=frozenset(required.get("scopes", ())), claims=tuple(required.get("claims", {}).items())
    )
    token = verified(**claims)
    assert token.identity is not None
    assert unmet(token, token.identity, requirement) is expected


def test_a_repr_shows_whose_token_it_is_and_no_part_of_it() -> None:
    assert "PREMIUM" not in repr(verified())
    assert "user_123" in repr(verified())


def test_claims_are_read_anew_so_that_nobody_can_change_them_for_others() -> None:
    token = verified(roles=["user"])
    token.claims["roles"].append("admin")
    assert token.claims["roles"] == ["user"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "a"),
        (7, "7"),
        (9007199254740993, "9007199254740993"),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        (["a", "b"], "a,b"),
        ([1, "b", False], "1,b,false"),
        ([], ""),
        (["a,b", "c"], '["a,b","c"]'),
        ([["a"], "b"], '[["a"],"b"]'),
        ({"a": [1]}, '{"a":[1]}'),
        (("a", "b"), "a,b"),
    ],
)
def test_a_claim_is_written_without_blurring_it(value: object, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 1),
        ("b.c", 2),
        ("b.d.e", 3),
        ("https://example.com/role", "admin"),
        ("f.g", "whole"),
        ("b.x", None),
        ("a.x", None),
        ("x", None),
        ("b.", None),
        ("", None),
    ],
)
def test_a_path_is_a_whole_name_first_and_then_steps(path: str, value: object) -> None:
    claims = {
        "a": 1,
        "b": {"c": 2, "d": {"e": 3}},
        "https://example.com/role": "admin",
        "f.g": "whole",
        "f": {"g": "stepped"},
    }
    assert find(claims, path) == value


@pytest.mark.parametrize(
    ("names", "claims", "expected"),
    [
        (("sub",), {}, "user_123"),
        (("sub",), {"sub": 9007199254740993}, "9007199254740993"),
        (("uid", "sub"), {"uid": "u1"}, "u1"),
        (("uid", "sub"), {"uid": ""}, "user_123"),
        (("uid", "sub"), {"uid": "   "}, "user_123"),
        (("uid", "sub"), {"uid": None}, "user_123"),
        (("uid", "sub"), {"uid": True}, "user_123"),
        (("uid", "sub"), {"uid": {"id": 1}}, "user_123"),
        (("uid", "sub"), {"uid": []}, "user_123"),
        (("uid", "sub"), {"uid": "a\nb"}, "user_123"),
        (("uid", "sub"), {"uid": "a" * 257}, "user_123"),
        (("uid",), {"uid": ["a", "b"]}, "a,b"),
        (("uid",), {"uid": 0}, "0"),
        (("uid",), {"uid": 1.5}, "1.5"),
        (("org.id",), {"org": {"id": 7}}, "7"),
    ],
    ids=named,
)
def test_the_first_user_claim_that_says_something_is_the_id(
    names: tuple[str, ...], claims: Mapping[str, Any], expected: str
) -> None:
    decision = gate(UNSTATED, names=ClaimNames(user=names)).decide(bearer(minted(**claims)))
    assert identity(decision).id == expected


def test_the_identity_says_who_for_how_long_and_what_for() -> None:
    names = ClaimNames(meta=(("tier", "tier"), ("org.id", "organization"), ("groups", "groups"), ("none", "none")))
    token = minted(scope="read write", scp=["write", "admin"], org={"id": 2**60}, groups=[{"n": [1]}, "x"])
    who = identity(gate(UNSTATED, names=names).decide(bearer(token)))
    assert (who.id, who.jti, who.issuer) == ("user_123", "api_key_abc123", "https://auth.example.com")
    assert who.expires_at == 4102444800
    assert who.scopes == ("read", "write", "admin")
    assert dict(who.meta) == {"tier": "PREMIUM", "organization": 2**60, "groups": ({"n": (1,)}, "x")}
    with pytest.raises(TypeError):
        who.meta["tier"] = "FREE"  # type: ignore[index]
    with pytest.raises(TypeError):
        who.meta["groups"][0]["n"] = 2


def test_the_rules_run_again_on_a_remembered_token() -> None:
    token = verified()
    assert check(token, Policy(audiences=frozenset({"elsewhere"})), NOW) is Reason.AUDIENCE
    assert check(token, POLICY, 4102444800) is Reason.EXPIRED
