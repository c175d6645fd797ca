"""`explain`: the same `decide`, under a driver that says each step."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, cast

import typer

from sluicegate import compose, serving
from sluicegate.adapters.render import wire
from sluicegate.cli.arguments import AsJson, Config, moment, plain, print_json, read_token
from sluicegate.cli.exits import Exit, fail, reported
from sluicegate.cli.tokens import identity_fields
from sluicegate.core.claims import Identifiers, Verified
from sluicegate.core.decide import decide
from sluicegate.core.decision import Reason, Refuse
from sluicegate.core.extract import TooMuch, extract
from sluicegate.core.flow import Answer, FindRevocation, Flow, Hits, Question
from sluicegate.core.policy import Policy
from sluicegate.core.request import Request
from sluicegate.core.token import Peeked
from sluicegate.core.verify import Verifier
from sluicegate.drive import run
from sluicegate.errors import StateUnavailable
from sluicegate.server.routes import Table, is_weaker
from sluicegate.server.wire.malformed import Malformed

Say = Callable[[str, str], None]


def explain(
    token: Annotated[
        str | None, typer.Argument(help="A token, sent as a bearer; - reads it from standard input.")
    ] = None,
    *,
    path: Annotated[str, typer.Option(help="Path of the request, with its query; picks the route.")] = "/",
    method: Annotated[str, typer.Option(help="Method of the request.")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header of the request, 'Name: value'.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show each step of a decision. Exits with 0 when the request would be admitted, 1 when refused."""
    headers = [_header(line) for line in header or ()]
    if token is not None:
        headers.append((b"authorization", b"Bearer " + read_token(token).encode(errors="replace")))
    target, _, query = path.partition("?")
    request = Request(method=method, path=target, query=query.encode(), headers=headers, id="explain")
    steps: list[dict[str, str]] = []

    def say(step: str, text: str) -> None:
        steps.append({"step": step, "says": text})
        if not as_json:
            print(f"{step:9} {plain(text)}")

    with reported(), compose.opened(config) as assembly:
        policy, route = _route(assembly, target)
        say("route", route)
        if policy is None:
            _finish(as_json=as_json, steps=steps, outcome={"admitted": None})
            return
        _say_credentials(request, policy, say)

        def answer(question: Question) -> Answer | Awaitable[Answer]:
            if not isinstance(question, FindRevocation):
                return assembly.engine.answer(question)
            say("state", "asks for " + " ".join(question.keys))
            try:
                hits = cast("Hits", assembly.engine.answer(question))  # a gate for commands answers at once
            except StateUnavailable as error:
                say("state", f"the store is out of reach ({error}): {policy.state}")
                raise
            say(
                "state",
                "stands: " + ", ".join(f"{key} = {value!r}" for key, value in hits.items()) if hits else "none stands",
            )
            return hits

        decision = run(decide(request, policy, _Narrated(assembly.verifier, say), time.time()), answer)
    if isinstance(decision, Refuse):
        row = wire(decision.reason)
        detail = f" ({decision.detail})" if decision.detail else ""
        say("decision", f"refused: {decision.reason.value}{detail}, answered with {row.status} {row.error}")
        outcome: dict[str, Any] = {"admitted": False, "reason": decision.reason.value, "status": row.status}
    else:
        fields = identity_fields(decision)
        say("decision", f"admitted as {fields['id']}" if fields else "admitted as anonymous")
        outcome = {"admitted": True, "identity": fields}
    _finish(as_json=as_json, steps=steps, outcome=outcome)
    if isinstance(decision, Refuse):
        raise typer.Exit(Exit.REFUSED)


def _route(assembly: compose.Assembly, path: str) -> tuple[Policy | None, str]:
    """Return the policy of the route that this path takes, None where nothing is decided, and what to say of it."""
    routes = serving.routes_of(assembly.settings, assembly.engine.policy)
    if not routes:
        return assembly.engine.policy, "none is configured; the rules for every request apply"
    try:
        table = Table([route.path for route in routes], strict=True, is_weaker=is_weaker(routes))
        found = table.find(path.encode(errors="replace"))
    except Malformed as malformed:
        return None, f"none: answered with {malformed.status}, {malformed}"
    if found is None:
        return None, "none matches: answered with 404"
    route = routes[found.place]
    return route.policy, route.path + ("" if route.policy else ", open to everybody: nothing is decided")


class _Narrated:
    """A verifier that says what it does, around the one that does it."""

    def __init__(self, verifier: Verifier, say: Say) -> None:
        self._verifier: Final = verifier
        self._say: Final = say
        self.asks: Final = verifier.asks

    def recall(self, digest: bytes, request: Request, now: float) -> Verified | None:
        """Hand on, and say whether it was remembered."""
        verified = self._verifier.recall(digest, request, now)
        self._say("token", f"sha256 {digest.hex()}" + (", verified before" if verified else ""))
        return verified

    def verify(self, peeked: Peeked, identifiers: Identifiers, request: Request, now: float) -> Flow[Verified | Reason]:
        """Hand on, and say what came of it."""
        outcome = yield from self._verifier.verify(peeked, identifiers, request, now)
        self._tell(peeked, outcome, now)
        return outcome

    def prove(self, peeked: Peeked, identifiers: Identifiers, now: float) -> Flow[Verified | Reason]:
        """Hand on, and say what came of it."""
        outcome = yield from self._verifier.prove(peeked, identifiers, now)
        self._tell(peeked, outcome, now)
        return outcome

    def _tell(self, peeked: Peeked, outcome: Verified | Reason, now: float) -> None:
        header = f"alg {peeked.header.alg}" + (f", kid {peeked.header.kid!r}" if peeked.header.kid else "")
        if isinstance(outcome, Reason):
            self._say("verify", f"{header}: {outcome.value}")
            return
        left = "never expires" if outcome.expires_at is None else f"expires {moment(outcome.expires_at)}"
        if outcome.expires_at is not None and outcome.expires_at > now:
            left += f", in {outcome.expires_at - now:.0f} s"
        user = outcome.identity.id if outcome.identity else "nobody: no user claim"
        self._say("verify", f"{header}: genuine")
        self._say("claims", f"user {user}, issuer {outcome.issuer}, audience {list(outcome.audiences)}, {left}")


def _say_credentials(request: Request, policy: Policy, say: Say) -> None:
    try:
        credentials = extract(request, policy.sources)
    except TooMuch as error:
        say("extract", str(error))
        return
    for credential in credentials:
        say("extract", f"{credential.source}: {len(credential.token)} bytes")
    if not credentials:
        say("extract", "no credential in any configured place")


def _header(line: str) -> tuple[bytes, bytes]:
    name, separator, value = line.partition(":")
    if not separator or not name.strip():
        fail(f'--header is "{line[:40]}"; write it "Name: value"')
    return name.strip().lower().encode(), value.strip().encode(errors="replace")


def _finish(*, as_json: bool, steps: list[dict[str, str]], outcome: dict[str, Any]) -> None:
    if as_json:
        print_json({"steps": steps} | outcome)
