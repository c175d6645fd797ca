"""Headers that a client writes to be taken for somebody else."""

from typing import Any, Final

import pytest

from tests.attacks.scene import Scene
from tests.cli.sluicegate import bearer

pytestmark = pytest.mark.parametrize("attacked", ["redis"], indirect=True)

_SPELLINGS: Final = [
    "X-Auth-User-Id",
    "x-auth-user-id",
    "X_Auth_User_Id",
    "x_auth_user_id",
    "X.Auth.User.Id",
    "X-Auth_User.Id",
    "X-Auth-User_Id",
    "X!Auth~User*Id",
    "X-Auth-User-Tier",
    "X_AUTH_USER_TIER",
    "X-Auth-User-Scopes",
    "X-Auth-User-Whatever",
    "X-User-Tier",
    "X_User_Tier",
    "x.user.tier",
    "X-Request-ID",
    "X_Request_Id",
]
_TELLING: Final = [
    "X-Forwarded-For",
    "X_Forwarded_For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Original-URI",
    "X-Original-Url",
    "X.Original.Url",
    "X-Original-Method",
    "X-Rewrite-Url",
    "X_Rewrite_URL",
    "X-Real-IP",
    "X_Real_IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "True-Client-IP",
    "Forwarded",
    "Proxy",
]


@pytest.mark.parametrize("target", ["/x", "/public/x"])
@pytest.mark.parametrize("name", [*_SPELLINGS, *_TELLING])
def test_what_only_the_gate_may_say_never_comes_from_the_client(attacked: Scene, name: str, target: str) -> None:
    seen = attacked.seen(target, bearer(attacked.mint()), (name, "spoofed"), ("X-Kept", "kept"))
    assert ("x-kept", "kept") in seen
    assert not [field for field in seen if "spoofed" in field[1]]


@pytest.mark.parametrize(
    "named",
    ["X-Auth-User-Id", "x-auth-user-tier", "X-User-Tier", "X-Forwarded-For", "Authorization", "Host", "X-Request-ID"],
)
def test_connection_takes_no_header_of_the_gate_away(attacked: Scene, named: str) -> None:
    plain = attacked.seen("/x", bearer(attacked.mint()))
    seen = attacked.seen("/x", bearer(attacked.mint()), ("Connection", f"close, {named}"))
    assert {name for name, _ in plain} - {name for name, _ in seen} <= {"connection"}


def test_the_upstream_sees_the_peer_and_the_host_that_were_there(attacked: Scene) -> None:
    seen = attacked.seen("/x", bearer(attacked.mint()), ("X-Forwarded-For", "8.8.8.8"), ("X-Forwarded-Proto", "https"))
    told = {name: value for name, value in seen if name.startswith("x-forwarded")}
    assert told == {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "gate.test",
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "a\u0085b"},
        {"tier": "a\r\nX-Auth-User-Id: root"},
        {"tier": "\x00"},
        {"iss": "a\nb"},
        {"scope": "a\r\nb"},
        {"tier": ["a\r\n\r\nGET /admin HTTP/1.1"]},
        {"tier": {"a": "\r\n"}},
    ],
    ids=str,
)
def test_a_claim_breaks_out_of_no_header(attacked: Scene, claims: dict[str, Any]) -> None:
    response = attacked.get("/x", bearer(attacked.mint(**claims)))
    if response.status == 200:
        seen = attacked.seen("/x", bearer(attacked.mint(**claims)))
        assert [value for name, value in seen if name == "x-auth-user-id"] == ["alice"]
        assert {name for name, _ in seen} >= {"via", "x-request-id"}
    else:
        assert response.status == 401


def test_an_anonymous_request_carries_no_identity(attacked: Scene) -> None:
    seen = attacked.seen("/public/x", ("X-Auth-User-Id", "root"), ("X-User-Tier", "ENTERPRISE"))
    assert not [name for name, _ in seen if name.startswith("x-auth-user") or name == "x-user-tier"]


def test_the_same_header_block_on_the_next_request_brings_no_other_s_identity(attacked: Scene) -> None:
    """A block is read once and serves again; whose it is must be decided again."""
    first, second = bearer(attacked.mint(sub="alice")), bearer(attacked.mint(sub="bob"))
    for given, sub in ((first, "alice"), (second, "bob"), (first, "alice")):
        assert ("x-auth-user-id", sub) in attacked.seen("/x", given)
