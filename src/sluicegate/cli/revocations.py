"""`revoke`, `restore`, `list`: what stands in the revocation store."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sluicegate import compose
from sluicegate.cli.arguments import (
    AsJson,
    Client,
    Config,
    Iss,
    Jti,
    Kid,
    Sha256,
    Sid,
    Sub,
    moment,
    plain,
    print_json,
    read_duration,
    read_moment,
    read_token,
    selectors,
)
from sluicegate.cli.exits import Exit, fail, reported
from sluicegate.core.revocation import Kind, Selector
from sluicegate.revoke import DEFAULT_REASON, Standing

_Token = Annotated[
    str | None,
    typer.Option("--token", help="This token; - reads it from standard input. Its exp bounds the entry's life."),
]


def revoke(
    *,
    jti: Jti = None,
    sub: Sub = None,
    sid: Sid = None,
    client: Client = None,
    kid: Kid = None,
    iss: Iss = None,
    sha256: Sha256 = None,
    token: _Token = None,
    reason: Annotated[
        str, typer.Option(help="Why: cancelled, expired, downgraded, security, abuse, or any other word.")
    ] = DEFAULT_REASON,
    ttl: Annotated[str | None, typer.Option(help="How long it stands: 90s, 24h, 7d. Without it, for ever.")] = None,
    not_before: Annotated[
        str | None, typer.Option(help="Spare tokens issued after this moment: now, ISO 8601, or seconds since 1970.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who revokes; kept with the reason.")] = None,
    note: Annotated[str | None, typer.Option(help="A note, kept with the reason.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Revoke one token, or all of a subject, session, client, key or issuer. When it returns, the store has it."""
    chosen = selectors(jti=jti, sub=sub, sid=sid, client=client, kid=kid, iss=iss, token=sha256)
    if len(chosen) + (token is not None) != 1:
        fail("say what to revoke with exactly one of --jti, --sub, --sid, --client, --kid, --iss, --sha256, --token")
    context = {name: value for name, value in (("by", by), ("note", note)) if value is not None}
    life = read_duration(ttl, "--ttl")
    cutoff = read_moment(not_before, "--not-before")
    if token is not None and cutoff is not None:
        fail("--not-before says nothing about a single token; leave it out")
    with reported(), compose.opened(config) as assembly:
        if token is not None:
            standing = assembly.revoker.revoke_token(read_token(token), reason=reason, ttl=life, context=context)
        else:
            standing = assembly.revoker.revoke(chosen[0], reason=reason, ttl=life, not_before=cutoff, context=context)
    if as_json:
        print_json(_fields(standing))
        return
    print(plain(f"revoked {standing.selector} ({standing.revocation.reason}), {_until(standing)}"))
    if standing.warning:
        typer.echo(f"sluicegate: warning: {standing.warning}", err=True)


def restore(
    *,
    jti: Jti = None,
    sub: Sub = None,
    sid: Sid = None,
    client: Client = None,
    kid: Kid = None,
    iss: Iss = None,
    sha256: Sha256 = None,
    token: Annotated[str | None, typer.Option("--token", help="This token; - reads it from standard input.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take a revocation away. Exits with 1 when there was none."""
    chosen = selectors(jti=jti, sub=sub, sid=sid, client=client, kid=kid, iss=iss, token=sha256)
    if len(chosen) + (token is not None) != 1:
        fail("say what to restore with exactly one of --jti, --sub, --sid, --client, --kid, --iss, --sha256, --token")
    with reported(), compose.opened(config) as assembly:
        wanted = chosen or assembly.revoker.selectors_of(read_token(token or ""))
        restored = [selector for selector in wanted if assembly.revoker.restore(selector)]
    if as_json:
        print_json({"restored": [str(selector) for selector in restored]})
    for selector in restored:
        if not as_json:
            print(plain(f"restored {selector}"))
    if not restored:
        fail(f"{' or '.join(map(str, wanted))} was not revoked", Exit.REFUSED)


def list_(
    kind: Annotated[Kind | None, typer.Option(help="Only this kind of selector.")] = None,
    *,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List what is revoked. With --json, one object a line."""
    with reported(), compose.opened(config) as assembly:
        if as_json:
            for standing in assembly.revoker.standing(kind):
                print_json(_fields(standing))
            return
        table = Table("selector", "reason", "stands", "not before", "context")
        for standing in assembly.revoker.standing(kind):
            revocation = standing.revocation
            cutoff = "" if revocation.not_before is None else moment(revocation.not_before)
            context = ", ".join(f"{name}={value}" for name, value in revocation.context.items())
            table.add_row(*map(plain, (str(standing.selector), revocation.reason, _until(standing), cutoff, context)))
    if table.row_count:
        Console().print(table, markup=False)
    else:
        print("nothing is revoked")


def _until(standing: Standing) -> str:
    return "for ever" if standing.expires_at is None else f"until {moment(standing.expires_at)}"


def _fields(standing: Standing) -> dict[str, Any]:
    selector: Selector = standing.selector
    fields: dict[str, Any] = {
        "selector": str(selector),
        "kind": selector.kind.value,
        "value": selector.value,
        "key": standing.key,
        "reason": standing.revocation.reason,
        "not_before": standing.revocation.not_before,
        "expires_at": standing.expires_at,
        "context": dict(standing.revocation.context),
    }
    return fields | ({"warning": standing.warning} if standing.warning else {})
