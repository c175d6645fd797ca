"""Keys are fetched from where the operator said, or from where that issuer's own document says, and nowhere else."""

import json
from typing import Any

import pytest

from sluicegate.core.fetch_keys import LONGEST_FETCH, Fetched, KeySource, discovery_url, fetch_keys, origin
from sluicegate.core.jwk import MAX_DOCUMENT_BYTES, InvalidKeySet
from sluicegate.errors import FetchFailed
from tests.jwks.published import Published, document
from tests.jwks.world import URL, World

ISSUER = "https://issuer.example"
WELL_KNOWN = ISSUER + "/.well-known/openid-configuration"
BY_URL = KeySource(name="main", algorithms=("ES256",), jwk_url=URL)
BY_ISSUER = KeySource(name="main", algorithms=("ES256",), issuer=ISSUER)


def world() -> World:
    made = World()
    made.publish(document(Published().jwk()), cache_control="max-age=600")
    return made


def discovery(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({"issuer": ISSUER, "jwks_uri": URL} | changes).encode()


def fetched(there: World, source: KeySource = BY_URL) -> Fetched:
    return there.run(fetch_keys(source))


def test_keys_and_their_lifetime_come_from_the_url() -> None:
    there = world()
    keys, life = fetched(there)
    assert [key.kid for key in keys.keys] == ["k1"]
    assert life == 600
    (call,) = there.calls
    assert (call.method, call.url, call.body) == ("GET", URL, b"")
    assert call.max_bytes == MAX_DOCUMENT_BYTES
    assert call.timeout == LONGEST_FETCH


def test_the_content_type_says_nothing() -> None:
    there = world()
    there.publish(document(Published().jwk()), content_type="text/html")
    assert fetched(there).keys.keys


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 404, 429, 500, 503])
def test_any_answer_but_200_is_none(status: int) -> None:
    there = world()
    there.publish(document(Published().jwk()), status=status)
    with pytest.raises(FetchFailed, match=f"answered {status}"):
        fetched(there)


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", document(), document(Published().private_jwk()), b'{"keys": {}}'], ids=str
)
def test_a_document_without_a_usable_key_is_none(body: bytes) -> None:
    there = world()
    there.publish(body)
    with pytest.raises(InvalidKeySet):
        fetched(there)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["/other?a=b", "https://issuer.example/other?a=b", "https://ISSUER.example/other?a=b"]
)
def test_a_redirect_within_the_origin_is_followed(status: int, location: str) -> None:
    there = World()
    there.publish(b"", status=status, location=location)
    target = location if location.startswith("https") else "https://issuer.example" + location
    there.publish(document(Published().jwk()), target)
    assert fetched(there).keys.keys


@pytest.mark.parametrize(
    "location",
    [
        "https://elsewhere.example/keys",
        "//elsewhere.example/keys",
        "http://issuer.example/keys",
        "https://issuer.example:8443/keys",
        "https://issuer.example@elsewhere.example/keys",
        "https://issuer.example.elsewhere.example/keys",
        "https://issuer.example\\@elsewhere.example/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "/\nHost: x",
        "keys2",
        "",
    ],
)
def test_a_redirect_elsewhere_is_refused_and_nobody_there_is_called(location: str) -> None:
    there = World()
    there.publish(b"", status=302, location=location)
    with pytest.raises(FetchFailed, match="redirected to another host"):
        fetched(there)
    assert [call.url for call in there.calls] == [URL]


def test_redirects_in_a_circle_end() -> None:
    there = World()
    there.publish(b"", status=302, location=URL)
    with pytest.raises(FetchFailed, match="redirected more than 3 times"):
        fetched(there)
    assert len(there.calls) == 4


def test_all_calls_of_one_fetch_share_one_deadline() -> None:
    there = World()
    there.taking = 2.0
    there.publish(discovery(), WELL_KNOWN)
    there.publish(b"", status=302, location="/moved")
    there.publish(document(Published().jwk()), ISSUER + "/moved")
    fetched(there, BY_ISSUER)
    assert [call.timeout for call in there.calls] == [5.0, 3.0, 1.0]


@pytest.mark.parametrize("issuer", [ISSUER, ISSUER + "/"])
def test_discovery_asks_where_openid_connect_says(issuer: str) -> None:
    assert discovery_url(issuer) == WELL_KNOWN


def test_discovery_finds_the_keys() -> None:
    there = world()
    there.publish(discovery(), WELL_KNOWN)
    assert fetched(there, BY_ISSUER).keys.keys
    assert [(call.url, call.reach) for call in there.calls] == [(WELL_KNOWN, "anywhere"), (URL, "anywhere")]


@pytest.mark.parametrize(
    "name",
    [
        "https://issuer.example/",
        "https://ISSUER.example",
        "https://other.example",
        "",
        None,
        ["https://issuer.example"],
    ],
)
def test_a_discovery_document_of_another_issuer_is_refused(name: object) -> None:
    """RFC 8414 (3.3): byte for byte, or one issuer could pass off another's keys."""
    there = world()
    there.publish(discovery(issuer=name), WELL_KNOWN)
    with pytest.raises(InvalidKeySet, match="not that of https://issuer"):
        fetched(there, BY_ISSUER)
    assert len(there.calls) == 1


@pytest.mark.parametrize(
    "uri",
    [
        None,
        1,
        "",
        "/keys",
        "file:///etc/passwd",
        "ftp://issuer.example/keys",
        "https://user@issuer.example/keys",
        "https://issuer.example\\@elsewhere.example/",
        "https://issuer.example/a b",
        "https://issuer.example/" + "a" * 3000,
        "http://issuer.example/keys",
        "http://127.0.0.1/keys",
    ],
    ids=lambda uri: str(uri)[:40],
)
def test_a_jwks_uri_that_is_none_or_without_tls_is_refused(uri: object) -> None:
    there = world()
    there.publish(discovery(jwks_uri=uri), WELL_KNOWN)
    with pytest.raises(InvalidKeySet, match="jwks_uri"):
        fetched(there, BY_ISSUER)
    assert len(there.calls) == 1


def test_a_jwks_uri_on_another_host_may_not_lead_to_a_private_address() -> None:
    """Whoever writes the discovery document must not choose which machine of our network is called."""
    there = world()
    elsewhere = "https://keys.example/keys"
    there.publish(discovery(jwks_uri=elsewhere), WELL_KNOWN)
    there.publish(document(Published().jwk()), elsewhere)
    fetched(there, BY_ISSUER)
    assert [call.reach for call in there.calls] == ["anywhere", "public"]


def test_keys_without_tls_may_be_named_by_an_issuer_that_has_none_itself() -> None:
    there = world()
    local = "http://127.0.0.1:8000"
    there.publish(json.dumps({"issuer": local, "jwks_uri": local + "/keys"}).encode(), discovery_url(local))
    there.publish(document(Published().jwk()), local + "/keys")
    assert fetched(there, KeySource(name="l", algorithms=("ES256",), issuer=local)).keys.keys


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", "https://a.example"),
        ("https://A.example:443/x?y", "https://a.example:443"),
        ("https://[::1]:8443/x", "https://[::1]:8443"),
        ("HTTPS://a.example", ""),
        ("https://", ""),
        ("https://a.example:port/", ""),
        ("https://a.example#x", ""),
    ],
)
def test_the_origin_of_a_url_is_read_in_one_way(url: str, expected: str) -> None:
    assert origin(url) == expected
