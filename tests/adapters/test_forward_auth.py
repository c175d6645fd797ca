"""The request that a proxy asks about is known whole, from a proxy that is trusted, or there is no decision."""

from typing import Literal

import msgspec
import pytest

from sluicegate import Admit, Identity, Reason, Refuse, Request
from sluicegate.adapters.forward_auth import LOOPBACK, UnclearOriginal, answer, original, unclear
from sluicegate.adapters.forwarded import trusts
from sluicegate.core.request import is_preflight

Asking = Literal["nginx", "caddy", "traefik"]
HEADERS: dict[Asking, tuple[bytes, bytes]] = {
    "nginx": (b"x-original-method", b"x-original-uri"),
    "caddy": (b"x-forwarded-method", b"x-forwarded-uri"),
    "traefik": (b"x-forwarded-method", b"x-forwarded-uri"),
}
every_proxy = pytest.mark.parametrize("proxy", list(HEADERS))


def asked(proxy: Asking, *, method: bytes = b"POST", uri: bytes = b"/api/x?token=t&a=1") -> Request:
    names = HEADERS[proxy]
    headers = [(b"host", b"app.test"), (b"authorization", b"Bearer t"), (names[0], method), (names[1], uri)]
    return Request(method="GET", path="/auth", query=b"token=other", headers=headers, client="203.0.113.7", id="id-1")


@every_proxy
def test_method_path_and_query_are_the_originals(proxy: Asking) -> None:
    found = original(asked(proxy), proxy, trusted=True)
    assert (found.method, found.path, found.query) == ("POST", "/api/x", b"token=t&a=1")


@every_proxy
def test_the_rest_is_that_of_the_question(proxy: Asking) -> None:
    question = asked(proxy)
    found = original(question, proxy, trusted=True)
    assert (found.headers, found.client, found.id) == (question.headers, "203.0.113.7", "id-1")


@every_proxy
def test_the_questions_own_query_holds_no_credentials(proxy: Asking) -> None:
    assert original(asked(proxy, uri=b"/api/x"), proxy, trusted=True).query == b""


@every_proxy
def test_a_stranger_gets_no_decision(proxy: Asking) -> None:
    with pytest.raises(UnclearOriginal, match="trusted_proxies"):
        original(asked(proxy), proxy, trusted=False)


@every_proxy
@pytest.mark.parametrize("missing", [0, 1])
def test_a_proxy_that_does_not_say_what_it_asks_about_gets_no_decision(proxy: Asking, missing: int) -> None:
    question = asked(proxy)
    without = [field for field in question.headers if field[0] != HEADERS[proxy][missing]]
    with pytest.raises(UnclearOriginal, match="came 0 times"):
        original(msgspec.structs.replace(question, headers=without), proxy, trusted=True)


@every_proxy
@pytest.mark.parametrize("twice", [0, 1])
def test_of_two_words_neither_is_believed(proxy: Asking, twice: int) -> None:
    question = asked(proxy)
    name = HEADERS[proxy][twice]
    more = [*question.headers, (name, b"GET" if twice == 0 else b"/public")]
    with pytest.raises(UnclearOriginal, match="came 2 times"):
        original(msgspec.structs.replace(question, headers=more), proxy, trusted=True)


def test_the_headers_of_another_proxy_are_not_read() -> None:
    with pytest.raises(UnclearOriginal):
        original(asked("nginx"), "caddy", trusted=True)


@pytest.mark.parametrize(
    "uri",
    [b"", b"api", b"http://evil.test/api", b"*", b"/a b", b"/a#b", b"/a\nb", b"/a\x00b", b"/a\x7fb", b"/a\tb"],
)
def test_what_is_no_target_is_not_read_as_one(uri: bytes) -> None:
    with pytest.raises(UnclearOriginal, match="form"):
        original(asked("nginx", uri=uri), "nginx", trusted=True)


@pytest.mark.parametrize("method", [b"", b"GET POST", b"GE\nT", b"M" * 33, b"GET,POST"])
def test_what_is_no_method_is_not_read_as_one(method: bytes) -> None:
    with pytest.raises(UnclearOriginal, match="form"):
        original(asked("caddy", method=method), "caddy", trusted=True)


def test_a_path_stays_as_it_was_sent() -> None:
    """Escapes and doubled slashes are for the route to judge; what decodes them here could be talked past it."""
    assert original(asked("nginx", uri=b"/a/%2e%2e//b;c\xc3\xa9"), "nginx", trusted=True).path == "/a/%2e%2e//b;cÃ©"


class TestEnvoy:
    @staticmethod
    def asked(path: str, prefix: str = "/auth") -> Request:
        question = Request(method="DELETE", path=path, query=b"token=t", headers=[(b"authorization", b"Bearer t")])
        return original(question, "envoy", trusted=True, prefix=prefix)

    def test_the_original_is_the_question_less_its_prefix(self) -> None:
        found = self.asked("/auth/api/x")
        assert (found.method, found.path, found.query) == ("DELETE", "/api/x", b"token=t")

    def test_the_prefix_may_be_any(self) -> None:
        assert self.asked("/check/jwt/api", "/check/jwt").path == "/api"
        assert self.asked("/check/api", "/check/").path == "/api"

    @pytest.mark.parametrize("path", ["/auth", "/authority/api", "/api/x", "/", "", "/api/auth/x"])
    def test_without_the_prefix_there_is_no_original(self, path: str) -> None:
        with pytest.raises(UnclearOriginal, match="path_prefix"):
            self.asked(path)

    def test_a_stranger_gets_no_decision(self) -> None:
        with pytest.raises(UnclearOriginal, match="trusted_proxies"):
            original(Request(path="/auth/api"), "envoy", trusted=False)


def test_loopback_stands_in_for_trusted_proxies_that_nobody_named() -> None:
    trusted = trusts(LOOPBACK)
    assert [peer for peer in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1") if not trusted(peer)] == []
    assert [peer for peer in ("10.0.0.1", "", "::2") if trusted(peer)] == []


def test_a_preflight_is_known_by_the_originals_method() -> None:
    question = asked("nginx", method=b"OPTIONS")
    asking = [*question.headers, (b"origin", b"https://app.test"), (b"access-control-request-method", b"PUT")]
    assert is_preflight(original(msgspec.structs.replace(question, headers=asking), "nginx", trusted=True))


def test_an_identity_is_answered_in_headers_and_nothing_else() -> None:
    response = answer(Admit(identity=Identity(id="Zoë", jti="key-1", scopes=("a", "b"))), "id-1")
    headers = dict(response.headers)
    assert (response.status, response.body) == (200, b"")
    assert headers["X-Auth-User-Id"].encode("latin-1").decode() == "Zoë"
    assert headers["X-Auth-User-Scopes"] == "a b"
    assert headers["X-Request-ID"] == "id-1"
    assert headers["Content-Length"] == "0"


@pytest.mark.parametrize("decision", [Admit(), None])
def test_an_anonymous_request_and_a_preflight_are_answered_with_nobody(decision: Admit | None) -> None:
    response = answer(decision, "id-1")
    assert response.status == 200
    assert [name for name, _ in response.headers if name.startswith("X-Auth")] == []


def test_a_refusal_is_answered_as_everywhere() -> None:
    response = answer(Refuse(reason=Reason.REVOKED, detail="not for the caller"), "id-1")
    assert response.status == 401
    assert dict(response.headers)["X-Error-Type"] == "api_key_blacklisted"
    assert b"not for the caller" not in response.body


def test_a_misconfigured_proxy_gets_no_word_of_why() -> None:
    response = unclear("id-1")
    assert response.status == 400
    assert msgspec.json.decode(response.body) == {
        "error": "invalid_request",
        "message": "The proxy did not say which request it asks about",
        "code": 400,
        "reason": "forward_auth",
    }
