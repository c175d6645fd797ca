"""The ASGI middleware: the id that a request goes by, gates within gates, and what the observer sees of a request."""

import json
from typing import Any

from sluicegate import Policy, Requirement
from sluicegate.adapters.asgi import REQUEST_ID, Scope, SluicegateMiddleware
from tests.adapters.asking import BEARER, Inner, ask, engine, fields, http, socket
from tests.adapters.seen import Seen
from tests.table.gates import Named


class TestRequestId:
    async def test_log_scope_and_response_carry_the_same_id(self) -> None:
        seen, inner = Seen(), Inner()
        start, _ = await ask(SluicegateMiddleware(inner, engine(observer=seen)), http(BEARER))
        assert [seen.last.request.id.encode()] == fields(start, b"x-request-id")
        assert inner.scopes[0][REQUEST_ID] == seen.last.request.id

    async def test_a_refusal_carries_it_too(self) -> None:
        seen = Seen()
        start, _ = await ask(SluicegateMiddleware(Inner(), engine(observer=seen)), http())
        assert [seen.last.request.id.encode()] == fields(start, b"x-request-id")

    async def test_an_accepted_socket_carries_it(self) -> None:
        seen = Seen()
        (accept,) = await ask(SluicegateMiddleware(Inner(), engine(observer=seen)), socket(BEARER))
        assert [seen.last.request.id.encode()] == fields(accept, b"x-request-id")

    async def test_it_comes_once_whatever_the_application_sets(self) -> None:
        seen, inner = Seen(), Inner((b"X-Request-Id", b"mine"), (b"x-request-id", b"mine"), (b"etag", b"e"))
        start, _ = await ask(SluicegateMiddleware(inner, engine(observer=seen)), http(BEARER))
        assert start["headers"] == [(b"etag", b"e"), (b"x-request-id", seen.last.request.id.encode())]

    async def test_a_client_cannot_choose_it(self) -> None:
        seen = Seen()
        await ask(SluicegateMiddleware(Inner(), engine(observer=seen)), http(BEARER, (b"x-request-id", b"chosen")))
        assert seen.last.request.id != "chosen"


class TestSeveral:
    async def test_an_inner_gate_decides_anew_under_the_same_id(self) -> None:
        seen, inner = Seen(), Inner()
        writers = SluicegateMiddleware(inner, engine(observer=seen), require=Requirement(scopes=frozenset({"admin"})))
        start, body = await ask(SluicegateMiddleware(writers, engine(observer=seen), auth="optional"), http(BEARER))
        assert (start["status"], json.loads(body["body"])["reason"]) == (403, "scope")
        assert len({record.request.id for record in seen.records}) == 1
        assert len(fields(start, b"x-request-id")) == 1
        assert inner.scopes == []

    async def test_the_inner_ones_word_on_the_identity_is_the_last(self) -> None:
        inner = Inner()
        within = SluicegateMiddleware(inner, engine())
        start, _ = await ask(SluicegateMiddleware(within, engine("off")), http(BEARER))
        assert inner.scopes[0]["user"].identity == "alice"
        assert len(fields(start, b"x-request-id")) == 1

    async def test_what_is_left_out_stays_as_the_gate_has_it(self) -> None:
        scoped = Named(Policy(requirement=Requirement(scopes=frozenset({"admin"})))).engine(awaited=False)
        start, _ = await ask(SluicegateMiddleware(Inner(), scoped, auth="optional"), http())
        assert start["status"] == 401
        optional = Named(Policy(auth="optional")).engine(awaited=False)
        start, _ = await ask(SluicegateMiddleware(Inner(), optional, require=Requirement()), http())
        assert start["status"] == 200

    async def test_no_application_closes_a_gate_that_is_off(self) -> None:
        start, _ = await ask(SluicegateMiddleware(Inner(), engine("off"), auth="required"), http())
        assert start["status"] == 200


class TestWhatIsSeen:
    @staticmethod
    async def seen(scope: Scope, **options: Any) -> Seen:  # noqa: ANN401 - options of the middleware
        seen = Seen()
        await ask(SluicegateMiddleware(Inner(), engine(observer=seen), **options), scope)
        return seen

    async def test_the_path_is_seen_as_it_was_sent(self) -> None:
        seen = await self.seen(http(BEARER, path="/a/b\nc", raw_path=b"/a%2Fb%0Ac?x"))
        assert seen.last.request.path == "/a%2Fb%0Ac"

    async def test_without_it_the_decoded_one_is_written_anew(self) -> None:
        scope = http(BEARER, path="/a b\nc/é")
        del scope["raw_path"]
        assert (await self.seen(scope)).last.request.path == "/a%20b%0Ac/%C3%A9"

    async def test_a_peer_is_the_client_unless_it_is_trusted(self) -> None:
        forwarded = http(BEARER, (b"x-forwarded-for", b"203.0.113.7"))
        assert (await self.seen(forwarded)).last.request.client == "192.0.2.9"
        believed = await self.seen(forwarded, trusted_proxies=["192.0.2.0/24"])
        assert believed.last.request.client == "203.0.113.7"

    async def test_a_unix_socket_has_no_address(self) -> None:
        assert (await self.seen(http(BEARER, client=None))).last.request.client == ""

    async def test_a_preflight_is_nobodys_decision(self) -> None:
        asking = http((b"origin", b"https://a"), (b"access-control-request-method", b"PUT"), method="OPTIONS")
        assert (await self.seen(asking)).records == []
