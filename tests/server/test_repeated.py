"""A client sends the same head again and again on one connection: whatever may have changed is looked at each time."""

from typing import Final

from sluicegate.core.flow import Hits
from sluicegate.errors import StateUnavailable
from sluicegate.server.routes import ForwardAuth
from tests.server.gate import BEARER, HELLO, TOKEN, engine, route, running
from tests.table.tokens import NOW, mint
from tests.wire import Wire, connected, request

OTHER: Final = mint(sub="bob", jti="key-2")


class Changing:
    """A store that the test changes between two requests, and a clock."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}
        self.now = float(NOW)
        self.is_away = False

    def find(self, keys: tuple[str, ...]) -> Hits:
        """Answer as a store that is asked now."""
        if self.is_away:
            raise StateUnavailable("refused")
        return {key: self.standing[key] for key in keys if key in self.standing}


def said(wire: Wire, raw: bytes) -> tuple[int, bytes]:
    """Send it, and return the status and, of a yes, the body."""
    wire.send(raw)
    response = wire.receive()
    return response.status, response.body if response.status == 200 else b""


def test_a_revocation_between_two_requests_refuses_the_second_and_its_end_admits_the_third() -> None:
    state = Changing()
    hello = request("/hello", BEARER)
    with (
        running(route("/hello", HELLO), decides=engine(state)) as gate,
        connected(gate.address) as wire,
        connected(gate.address) as beside,
    ):
        for key in ("BLACKLIST:key:key-1", "BLACKLIST:sub:alice"):
            for _ in range(3):
                assert said(wire, hello) == said(beside, hello) == (200, b"Hello alice!")
            state.standing = {key: "cancelled"}
            assert said(wire, hello) == said(beside, hello) == (401, b"")
            state.standing = {}


def test_a_pipeline_of_the_same_request_is_decided_one_by_one() -> None:
    class Counting(Changing):
        asked = 0

        def find(self, keys: tuple[str, ...]) -> Hits:
            self.asked += 1
            self.standing = {"BLACKLIST:key:key-1": "cancelled"} if self.asked > 3 else {}
            return super().find(keys)

    state = Counting()
    with running(route("/hello", HELLO), decides=engine(state)) as gate, connected(gate.address) as wire:
        wire.send(request("/hello", BEARER) * 6)
        assert [wire.receive().status for _ in range(6)] == [200, 200, 200, 401, 401, 401]
        assert state.asked == 6


def test_a_token_runs_out_and_a_store_goes_away_between_two_requests() -> None:
    state = Changing()
    hello = request("/hello", ("Authorization", f"Bearer {mint(exp=NOW + 10)}"))
    with (
        running(route("/hello", HELLO), decides=engine(state, clock=lambda: state.now)) as gate,
        connected(gate.address) as wire,
    ):
        assert said(wire, hello) == (200, b"Hello alice!")
        state.is_away = True
        assert said(wire, hello) == (500, b"")
        state.is_away = False
        assert said(wire, hello) == (200, b"Hello alice!")
        state.now = NOW + 10.0
        assert said(wire, hello) == (401, b"")


def test_the_same_fields_on_another_path_are_decided_by_its_own_route() -> None:
    with (
        running(route("/hello", HELLO), route("/admin", HELLO, scopes=("admin",)), route("/open", HELLO)) as gate,
        connected(gate.address) as wire,
    ):
        for _ in range(3):
            assert said(wire, request("/hello", BEARER))[0] == 200
            assert said(wire, request("/admin", BEARER))[0] == 403
            assert said(wire, request("/open", BEARER))[0] == 200


def test_the_same_fields_with_another_query_are_another_request() -> None:
    with running(route("/hello", HELLO)) as gate, connected(gate.address) as wire:
        for _ in range(3):
            assert said(wire, request(f"/hello?token={TOKEN}")) == (200, b"Hello alice!")
            assert said(wire, request(f"/hello?token={OTHER}")) == (200, b"Hello bob!")
            assert said(wire, request("/hello?token=junk"))[0] == 401
            assert said(wire, request("/hello"))[0] == 401


def test_each_answer_and_each_question_of_a_proxy_has_an_id_of_its_own() -> None:
    asked = (("X-Original-Method", "GET"), ("X-Original-URI", "/"))
    auth = ForwardAuth("nginx", lambda _: True)
    with running(route("/hello", HELLO), route("/auth", auth)) as gate, connected(gate.address) as wire:
        ids = set()
        for _ in range(3):
            for raw in (request("/hello", BEARER), request("/auth", BEARER, *asked)):
                wire.send(raw)
                response = wire.receive()
                assert response.status == 200
                ids.add(response.header("X-Request-ID"))
        assert len(ids) == 6


def test_a_proxy_asks_about_another_request_with_each_question() -> None:
    method = ("X-Original-Method", "GET")
    with (
        running(route("/auth", ForwardAuth("nginx", lambda _: True))) as gate,
        connected(gate.address) as wire,
    ):
        for _ in range(3):
            assert said(wire, request("/auth", method, ("X-Original-URI", f"/?token={TOKEN}")))[0] == 200
            assert said(wire, request("/auth", method, ("X-Original-URI", "/?token=junk")))[0] == 401
