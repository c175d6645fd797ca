"""The WSGI middleware: what it passes on, what it answers, and what it leaves alone. Driven call by call."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from sluicegate import Policy, Requirement
from sluicegate.adapters.wsgi import IDENTITY, REQUEST_ID, SluicegateWSGI
from sluicegate.engine import Engine
from tests.adapters.seen import Seen
from tests.table.gates import GATES, Named
from tests.table.tokens import mint

BEARER = f"Bearer {mint()}"


def engine(name: str = "default", *, observer: Seen | None = None) -> Engine:
    return GATES[name].engine(awaited=False, observer=observer)


def environ(authorization: str = BEARER, **more: Any) -> WSGIEnvironment:  # noqa: ANN401 - values of an environ
    asked: WSGIEnvironment = {"HTTP_AUTHORIZATION": authorization, "REMOTE_ADDR": "192.0.2.9", "QUERY_STRING": ""}
    setup_testing_defaults(asked)
    return asked | more


class Inner:
    """An application that answers 200 and remembers what it was asked with."""

    def __init__(self, *headers: tuple[str, str]) -> None:
        self.environs: list[WSGIEnvironment] = []
        self._headers = list(headers)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.environs.append(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), *self._headers])
        return [b"hello"]


class Answer:
    """What a server was told by `start_response`, and the body that it read."""

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        self.status, self.headers, self.exc_info = "", list[tuple[str, str]](), list[object]()
        self.written: list[bytes] = []
        self.returned = app(environ, self._start)
        self.body = b"".join(self.returned)
        if isinstance(self.returned, Closing):
            self.returned.close()

    def _start(self, status: str, headers: list[tuple[str, str]], *exc_info: object) -> Callable[[bytes], object]:
        self.status, self.headers, self.exc_info = status, headers, list(exc_info)
        return self.written.append

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name.lower()]


class Closing:
    """A response body that must be handed on as it is, and closed."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"

    def close(self) -> None:
        self.closed = True


class TestAdmitted:
    def test_an_admitted_request_says_who_it_is(self) -> None:
        inner = Inner()
        Answer(SluicegateWSGI(inner, engine()), environ())
        assert inner.environs[0][IDENTITY].id == "alice"
        assert inner.environs[0]["REMOTE_USER"] == "alice"

    def test_an_id_that_is_not_latin_is_written_as_wsgi_has_it(self) -> None:
        inner = Inner()
        Answer(SluicegateWSGI(inner, engine()), environ(f"Bearer {mint(sub='用户')}"))
        assert inner.environs[0]["REMOTE_USER"].encode("latin-1").decode() == "用户"

    def test_an_anonymous_request_is_nobody_whatever_the_server_says(self) -> None:
        inner = Inner()
        Answer(SluicegateWSGI(inner, engine(), auth="optional"), environ("", REMOTE_USER="root", **{IDENTITY: "root"}))
        assert inner.environs[0][IDENTITY] is None
        assert "REMOTE_USER" not in inner.environs[0]

    @pytest.mark.parametrize(
        "key",
        [
            "HTTP_X_AUTH_USER_ID",
            "HTTP_X.AUTH.USER.ID",
            "HTTP_X_AUTH_USER.TIER",
            "HTTP_X-AUTH-USER-ID",
            "HTTP_x_auth_user_id",
        ],
    )
    @pytest.mark.parametrize("gate", ["default", "off"])
    def test_managed_headers_do_not_arrive(self, key: str, gate: str) -> None:
        inner = Inner()
        Answer(SluicegateWSGI(inner, engine(gate)), environ(**{key: "root"}))
        assert key not in inner.environs[0]

    def test_a_long_name_that_begins_like_ours_does_not_arrive(self) -> None:
        inner, key = Inner(), "HTTP_X_AUTH_USER_" + "A" * 500
        Answer(SluicegateWSGI(inner, engine()), environ(**{key: "root"}))
        assert key not in inner.environs[0]

    def test_the_body_of_a_response_is_handed_on_as_it_is(self) -> None:
        body = Closing()

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            del environ
            start_response("200 OK", [])
            return body

        answer = Answer(SluicegateWSGI(app, engine()), environ())
        assert answer.returned is body
        assert body.closed

    def test_write_is_the_servers_own(self) -> None:
        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            del environ
            start_response("200 OK", [])(b"written")
            return []

        assert Answer(SluicegateWSGI(app, engine()), environ()).written == [b"written"]

    def test_what_went_wrong_reaches_the_server(self) -> None:
        wrong = (LookupError, LookupError("no"), None)

        def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            del environ
            start_response("500 Oops", [], wrong)  # type: ignore[arg-type]  # a traceback that is None
            return []

        assert Answer(SluicegateWSGI(app, engine()), environ()).exc_info == [wrong]

    def test_both_sides_speak_wsgi(self) -> None:
        app = validator(SluicegateWSGI(validator(Inner()), engine()))
        answer = Answer(app, environ())
        answer.returned.close()  # type: ignore[attr-defined]  # the validator insists
        assert answer.status == "200 OK"


class TestRefused:
    def test_the_application_is_not_called(self) -> None:
        inner = Inner()
        answer = Answer(SluicegateWSGI(inner, engine()), environ(f"Bearer {mint(jti='revoked')}"))
        assert inner.environs == []
        assert answer.status == "401 Unauthorized"
        assert json.loads(answer.body)["error"] == "api_key_blacklisted"
        assert answer.all("Content-Length") == [str(len(answer.body))]

    def test_head_gets_the_head_alone(self) -> None:
        answer = Answer(SluicegateWSGI(Inner(), engine()), environ("", REQUEST_METHOD="HEAD"))
        assert (answer.status, answer.body) == ("401 Unauthorized", b"")

    # It is never awaited; that is what the error says.
    @pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited:RuntimeWarning")
    def test_a_gate_that_must_await_is_no_gate_for_wsgi(self) -> None:
        inner = Inner()
        with pytest.raises(TypeError, match="await"):
            Answer(SluicegateWSGI(inner, GATES["default"].engine(awaited=True)), environ())
        assert inner.environs == []

    def test_a_refusal_speaks_wsgi(self) -> None:
        answer = Answer(validator(SluicegateWSGI(validator(Inner()), engine())), environ(""))
        answer.returned.close()  # type: ignore[attr-defined]  # the validator insists
        assert answer.status == "401 Unauthorized"


class TestRequestId:
    def test_log_environ_and_response_carry_the_same_id(self) -> None:
        seen, inner = Seen(), Inner(("x-request-id", "mine"))
        answer = Answer(SluicegateWSGI(inner, engine(observer=seen)), environ(HTTP_X_REQUEST_ID="chosen"))
        assert answer.all("X-Request-ID") == [seen.last.request.id]
        assert inner.environs[0][REQUEST_ID] == seen.last.request.id != "chosen"

    def test_an_inner_gate_decides_anew_under_the_same_id(self) -> None:
        seen = Seen()
        admins = SluicegateWSGI(Inner(), engine(observer=seen), require=Requirement(scopes=frozenset({"admin"})))
        answer = Answer(SluicegateWSGI(admins, engine(observer=seen)), environ())
        assert answer.status == "403 Forbidden"
        assert answer.all("X-Request-ID") == [seen.last.request.id]
        assert len({record.request.id for record in seen.records}) == 1


class TestWhatIsSeen:
    @staticmethod
    def seen(asked: WSGIEnvironment, **options: Any) -> Seen:  # noqa: ANN401 - options of the middleware
        seen = Seen()
        Answer(SluicegateWSGI(Inner(), engine(observer=seen), **options), asked)
        return seen

    @pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_URI"])
    def test_the_path_is_seen_as_it_was_sent(self, key: str) -> None:
        seen = self.seen(environ(PATH_INFO="/a/b\nc", **{key: "/a%2Fb%0Ac?token=x"}))
        assert seen.last.request.path == "/a%2Fb%0Ac"

    @pytest.mark.parametrize("target", ["http://gate.test/a?token=x", "*", ""])
    def test_without_it_the_decoded_one_is_written_anew(self, target: str) -> None:
        seen = self.seen(environ(SCRIPT_NAME="/s", PATH_INFO="/a b\nc/Ã©", RAW_URI=target))
        assert seen.last.request.path == "/s/a%20b%0Ac/%C3%A9"

    def test_a_peer_is_the_client_unless_it_is_trusted(self) -> None:
        assert self.seen(environ(HTTP_X_FORWARDED_FOR="203.0.113.7")).last.request.client == "192.0.2.9"
        believed = self.seen(environ(HTTP_X_FORWARDED_FOR="203.0.113.7"), trusted_proxies=["192.0.2.0/24"])
        assert believed.last.request.client == "203.0.113.7"

    def test_an_options_with_a_body_is_no_preflight(self) -> None:
        asking: WSGIEnvironment = {
            "REQUEST_METHOD": "OPTIONS",
            "HTTP_ORIGIN": "https://a",
            "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT",
        }
        assert self.seen(environ(**asking, CONTENT_LENGTH="")).records == []
        with_body = self.seen(environ(**asking, CONTENT_LENGTH="2"))
        assert len(with_body.records) == 1

    def test_what_is_left_out_stays_as_the_gate_has_it(self) -> None:
        optional = Named(Policy(auth="optional")).engine(awaited=False)
        assert Answer(SluicegateWSGI(Inner(), optional, require=Requirement()), environ("")).status == "200 OK"
