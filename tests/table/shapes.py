"""The shapes of the gate, each started once for the whole table: `send(row)` gives what came back."""

import asyncio
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from sluicegate import AsyncGate, Decision, Gate, Policy, Refuse, Request
from sluicegate.adapters.decider import Decider, policy_for
from sluicegate.adapters.render import refusal
from sluicegate.core.request import is_preflight
from tests import wire
from tests.servers.ports import LOOPBACK, reserved_port
from tests.servers.process import answers, prints, program, running
from tests.table.gates import GATES
from tests.table.library import EXPRESSIBLE, opened
from tests.table.row import Fields, Outcome, Row
from tests.table.show import plain

Send = Callable[[Row], Outcome]


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape: how to start it, whether it shows the identity whole or as `X-Auth-User-*` headers, and its gates."""

    name: str
    start: Callable[[], AbstractContextManager[Send]]
    shows: Literal["identity", "headers"] = "identity"
    gates: Collection[str] = frozenset(GATES)


def _send(row: Row, gate: Decider, decide: Callable[[Request, Policy | None], Decision]) -> Outcome:
    """Ask for a decision about a row, and show it as every shape does."""
    request = _request(row)
    # every shape asks this before it asks the gate
    if is_preflight(request):
        return Outcome(status=200, request_id=request.id)
    named = GATES[row.gate]
    decision = decide(request, policy_for(gate, auth=named.auth, require=named.require))
    if isinstance(decision, Refuse):
        response = refusal(decision, request_id=request.id)
        return _outcome(response.status, response.headers, response.body)
    identity = None if decision.identity is None else plain(decision.identity)
    return Outcome(status=200, identity=identity, request_id=request.id)


@contextmanager
def _engines() -> Iterator[Send]:
    engines = {name: named.engine(awaited=False) for name, named in GATES.items()}
    yield lambda row: _send(row, engines[row.gate], engines[row.gate].decide)


@contextmanager
def _engines_awaited() -> Iterator[Send]:
    engines = {name: named.engine(awaited=True) for name, named in GATES.items()}
    with asyncio.Runner() as runner:
        yield lambda row: _send(
            row, engines[row.gate], lambda *asked: runner.run(engines[row.gate].decide_async(*asked))
        )


@contextmanager
def _gates() -> Iterator[Send]:
    with opened(Gate) as gates:
        yield lambda row: _send(row, gates[row.gate], gates[row.gate].decide)


@contextmanager
def _gates_awaited() -> Iterator[Send]:
    with asyncio.Runner() as runner, opened(AsyncGate) as gates:
        yield lambda row: _send(row, gates[row.gate], lambda *asked: runner.run(gates[row.gate].decide(*asked)))


def _request(row: Row) -> Request:
    headers = [(name.lower().encode(), value.encode()) for name, value in row.headers]
    if row.sent_body:
        headers.append((b"content-length", b"%d" % len(row.sent_body)))
    return Request(
        method=row.method, path=f"/{row.gate}{row.path}", query=row.query.encode(), headers=headers, id="direct"
    )


def _outcome(status: int, headers: tuple[tuple[str, str], ...], body: bytes, **more: Any) -> Outcome:  # noqa: ANN401 - fields of Outcome
    """Read a refusal, or what both kinds of answer have in common."""
    values: dict[str, str] = {}
    for name, value in headers:
        assert name.lower() not in values or name.lower() == "set-cookie", f"{name} came twice"
        values[name.lower()] = value
    refused = status != 200 and values.get("content-type") == "application/json"
    return Outcome(
        status=status,
        body=json.loads(body) if refused else None,
        challenge=values.get("www-authenticate"),
        error_type=values.get("x-error-type"),
        retry_after=values.get("retry-after"),
        request_id=values.get("x-request-id"),
        **more,
    )


def target(row: Row) -> str:
    """Return what a row asks for, path and query."""
    return f"/{row.gate}{row.path}" + (f"?{row.query}" if row.query else "")


def spelt(row: Row) -> bytes:
    """Spell a row as a request."""
    return wire.request(target(row), *row.headers, method=row.method, body=row.sent_body)


def over_http(row: Row, address: tuple[str, int]) -> Outcome:
    """Send a row to a server whose application shows what it was told."""
    got = wire.exchange(address, spelt(row))
    if got.status != 200:
        return _outcome(got.status, got.headers, got.body)
    told: Mapping[str, Any] = json.loads(got.body)
    identity = told["identity"]
    assert told["user"] == ("" if identity is None else identity["id"]), "the framework names another user"
    return _outcome(got.status, got.headers, got.body, identity=identity, spoofed=tuple(told["managed"]))


@contextmanager
def listening(*command: str) -> Iterator[int]:
    """Run a server of Python, found beside this Python, from the root of the checkout; give its port.

    `$PORT` in its arguments becomes the port.
    """
    with reserved_port() as port:
        filled = [part.replace("$PORT", str(port)) for part in command]
        root = Path(__file__).parents[2]
        with running([program(filled[0]), *filled[1:]], answers(port), directory=root):
            yield port


@contextmanager
def _served(*command: str) -> Iterator[Send]:
    with listening(*command) as port:
        yield lambda row: over_http(row, (LOOPBACK, port))


def uvicorn(application: str, *options: str) -> AbstractContextManager[Send]:
    """Run uvicorn."""
    return _served(
        "uvicorn", f"tests.table.apps.{application}:app", "--port=$PORT", "--no-access-log", "--lifespan=on", *options
    )


def gunicorn(application: str, *options: str) -> AbstractContextManager[Send]:
    """Run gunicorn. Its own limits are set aside, so that it is the gate that says no to 8 KiB and a byte."""
    limits = ("--limit-request-line=0", "--limit-request-field_size=65536")
    return _served("gunicorn", f"tests.table.apps.{application}:app", "--bind=127.0.0.1:$PORT", *limits, *options)


@contextmanager
def _gateways(behind: str) -> Iterator[Mapping[str, int]]:
    """Run a gateway for each gate of the table, in one process; give their ports."""
    script = str(Path(__file__).parent / "apps" / "gateways.py")
    with running([sys.executable, script, behind], prints("}")) as process:
        yield json.loads(process.output())


@contextmanager
def gateway() -> Iterator[Send]:
    """Run the gateway before an upstream that shows the headers it was sent."""
    upstream = listening("uvicorn", "tests.table.apps.upstream:app", "--port=$PORT", "--lifespan=off")
    with upstream as behind, _gateways(str(behind)) as ports:
        yield lambda row: _with_headers(wire.exchange((LOOPBACK, ports[row.gate]), spelt(row)), _as_upstream_saw)


@contextmanager
def forward_auth() -> Iterator[Send]:
    """Run the forward-auth endpoint, and ask it as nginx does: with the original in headers, and without a body."""

    def send(row: Row) -> Outcome:
        headers = [("X-Original-Method", row.method), ("X-Original-URI", target(row)), *row.headers]
        asked = wire.request("/auth", *headers)
        return _with_headers(wire.exchange((LOOPBACK, ports[row.gate]), asked), _as_answered)

    with _gateways("nginx") as ports:
        yield send


def _with_headers(got: wire.Response, managed: Callable[[wire.Response], Fields]) -> Outcome:
    if not 200 <= got.status < 300:
        return _outcome(got.status, got.headers, got.body)
    pairs = managed(got)
    told = {name.lower(): value for name, value in pairs}
    assert len(told) == len(pairs), "a managed header came twice"
    return _outcome(got.status, got.headers, got.body, identity=told or None)


def _as_upstream_saw(got: wire.Response) -> Fields:
    # of what it says to a preflight nothing comes back; what it was told of one is asked in tests/attacks
    return tuple((name, value) for name, value in json.loads(got.body)["managed"]) if got.body else ()


def _as_answered(got: wire.Response) -> Fields:
    return tuple((name, value) for name, value in got.headers if name.lower().startswith("x-auth-user-"))


SHAPES: Final = (
    Shape("engine", _engines),
    Shape("engine, asynchronous", _engines_awaited),
    Shape("Gate", _gates, gates=EXPRESSIBLE),
    Shape("AsyncGate", _gates_awaited, gates=EXPRESSIBLE),
    Shape("ASGI", partial(uvicorn, "plain_asgi", "--http=httptools", "--loop=uvloop")),
    Shape("Starlette", partial(uvicorn, "starlette_app", "--http=h11", "--loop=asyncio")),
    Shape("FastAPI", partial(uvicorn, "fastapi_app")),
    Shape("WSGI", partial(gunicorn, "plain_wsgi", "--worker-class=sync")),
    Shape("Flask", partial(gunicorn, "flask_app", "--worker-class=gthread", "--threads=4")),
    Shape("gateway", gateway, shows="headers"),
    Shape("forward-auth", forward_auth, shows="headers"),
)
