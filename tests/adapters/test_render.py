"""From a decision to the wire: one table, and values that cannot break out of their line."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate import Identity, Reason, Refuse
from sluicegate.adapters.render import fold, header_name, header_value, identity_headers, refusal, template
from sluicegate.core.placeholders import value_of


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_status_a_body_and_the_headers_that_go_with_it(reason: Reason) -> None:
    response = refusal(Refuse(reason=reason, detail="for the log"), request_id="id-1")
    body, headers = msgspec.json.decode(response.body), dict(response.headers)
    assert (body["code"], body["reason"]) == (response.status, reason.value)
    assert headers["Content-Length"] == str(len(response.body))
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Request-ID"] == "id-1"
    assert ("WWW-Authenticate" in headers) == (response.status in {401, 403})
    assert ("Retry-After" in headers) == (response.status in {429, 500, 503})
    assert b"for the log" not in response.body


def test_retry_after_is_what_the_caller_says_where_it_knows() -> None:
    response = refusal(Refuse(reason=Reason.RATE_LIMITED), request_id="id-1", retry_after=42)
    assert dict(response.headers)["Retry-After"] == "42"


@pytest.mark.parametrize("scope", ['a"b', "a\\b", "a b", "a\r\nb", "ü", ""])
def test_a_scope_that_is_no_token_stays_out_of_the_challenge(scope: str) -> None:
    response = refusal(Refuse(reason=Reason.SCOPE, needed=(scope, "read")), request_id="id-1")
    challenge = dict(response.headers)["WWW-Authenticate"]
    assert challenge.endswith(', scope="read"')
    assert challenge.isascii()


@given(st.text())
def test_a_header_value_stays_on_its_line(value: str) -> None:
    sent = header_value(value)
    assert not set(sent) & {*range(0x20), 0x7F}
    assert sent == sent.strip(b" ")


@given(st.text(" ab%41\x7f", max_size=20))
def test_spaces_are_encoded_at_either_end_of_a_header_value_and_nowhere_else(value: str) -> None:
    inner = header_value(value.strip(" "))
    before = len(value) - len(value.lstrip(" "))
    after = len(value.rstrip(" ")) if inner else before
    assert header_value(value) == b"%20" * before + inner + b"%20" * (len(value) - after)


@pytest.mark.parametrize("value", ["a" + " " * 1_000_000 + "b", " " * 1_000_000, "%" * 1_000_000 + " b"])
def test_a_header_value_is_written_in_one_pass(value: str) -> None:
    """With a look at the end of the line behind each space this takes half an hour, and the runner ends it."""
    assert header_value(value).startswith(header_value(value[:1]))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.text("%0aA dD\n", max_size=8))
def test_two_values_never_become_one_header(one: str, other: str) -> None:
    assert one == other or header_value(one) != header_value(other)


IDENTITY = Identity(id="alice", jti="key-1", issuer="https://i", scopes=("a", "b"), expires_at=1_800_000_000.5)


def test_every_value_has_its_header() -> None:
    identity = msgspec.structs.replace(IDENTITY, meta={"user_role": "admin", "orgs": ("a", "b")})
    assert identity_headers(identity) == [
        (b"X-Auth-User-Id", b"alice"),
        (b"X-Auth-User-Jti", b"key-1"),
        (b"X-Auth-User-Authenticated", b"true"),
        (b"X-Auth-User-Issuer", b"https://i"),
        (b"X-Auth-User-Scopes", b"a b"),
        (b"X-Auth-User-Expires-At", b"1800000000"),
        (b"X-Auth-User-User-Role", b"admin"),
        (b"X-Auth-User-Orgs", b"a,b"),
    ]


@pytest.mark.parametrize("name", ["id", "ID", "_id", "-id", "i_d", "jti", "JTI", "authenticated"])
def test_no_claim_takes_the_header_that_says_who_it_is(name: str) -> None:
    nobody = Identity(id="alice", meta={name: "root"})
    headers = {fold(header): value for header, value in identity_headers(nobody)}
    assert headers[b"x-auth-user-id"] == b"alice"
    assert headers[b"x-auth-user-authenticated"] == b"true"
    assert b"x-auth-user-jti" not in headers


def test_a_claim_whose_name_no_header_can_spell_has_none() -> None:
    """It would be `X-Auth-User`, which clients may send."""
    assert [name for name, _ in identity_headers(Identity(id="a", meta={"名": "x", "-": "y"}))] == [
        b"X-Auth-User-Id",
        b"X-Auth-User-Authenticated",
    ]


def test_an_empty_value_has_no_header() -> None:
    assert identity_headers(Identity(id="a", meta={"role": ""}))[-1][0] == b"X-Auth-User-Authenticated"


@given(st.text(min_size=1, max_size=20))
def test_every_header_name_is_one_that_clients_cannot_set(name: str) -> None:
    header = header_name(name)
    assert fold(header) == b"x-auth-user" or fold(header).startswith(b"x-auth-user-")


def test_placeholders_are_filled_from_the_identity_alone() -> None:
    fill = template("Hello {http.auth.user.id}! Your tier: {http.auth.user.tier}{http.auth.user.other}{id}")
    assert (
        fill(Identity(id="{http.auth.user.tier}", meta={"tier": 7})) == "Hello {http.auth.user.tier}! Your tier: 7{id}"
    )
    assert fill(None) == "Hello ! Your tier: {id}"


def test_an_anonymous_request_has_no_values_at_all() -> None:
    assert value_of(None, "authenticated") == ""
    assert identity_headers(None) == []


def test_names_fold_as_the_laxest_upstream_reads_them() -> None:
    assert fold(b"X_Auth.User~Id\xff") == b"x-auth-user-id-"
