"""`token mint`, `token inspect`, `token verify`."""

import base64
import secrets
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sluicegate import compose
from sluicegate.adapters.render import wire
from sluicegate.cli.arguments import AsJson, Config, Token, moment, plain, print_json, read_duration, read_token
from sluicegate.cli.exits import Exit, fail, reported
from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.decision import Admit, Identity, Refuse
from sluicegate.core.request import Request
from sluicegate.core.token import MalformedToken, digest, peek

app = typer.Typer(no_args_is_help=True, help="Make tokens, read them, and ask whether the gate would let them in.")

_DATES = ("exp", "nbf", "iat")


@app.command()
def mint(
    sub: Annotated[str, typer.Option(help="Subject: who the token is for.")],
    *,
    jti: Annotated[str | None, typer.Option(help="Token id; without it, a random one.")] = None,
    iss: Annotated[str | None, typer.Option(help="Issuer.")] = None,
    aud: Annotated[list[str] | None, typer.Option(help="Audience; may be given several times.")] = None,
    scope: Annotated[str | None, typer.Option(help="Scopes, separated by blanks.")] = None,
    ttl: Annotated[str, typer.Option(help="How long it is valid: 90s, 24h, 7d; never for a token without exp.")] = "1h",
    claim: Annotated[
        list[str] | None, typer.Option(help="A further claim, NAME=VALUE; VALUE is JSON where it reads as JSON.")
    ] = None,
    alg: Annotated[str | None, typer.Option(help="Algorithm; without it, the first of sign_alg.")] = None,
    kid: Annotated[str | None, typer.Option(help="Key id for the header.")] = None,
    private_key: Annotated[
        Path | None, typer.Option(help="PEM file to sign with; HMAC signs with sign_key of the settings.")
    ] = None,
    config: Config = None,
) -> None:
    """Sign a token and print it. For development and tests: in production, your issuer does this."""
    now = int(time.time())
    claims: dict[str, Any] = {"sub": sub, "jti": jti or secrets.token_urlsafe(12), "iat": now}
    claims |= {name: value for name, value in (("iss", iss), ("scope", scope)) if value is not None}
    if aud:
        claims["aud"] = aud if len(aud) > 1 else aud[0]
    if ttl != "never":
        claims["exp"] = now + int(read_duration(ttl, "--ttl") or 0)
    for pair in claim or ():
        name, separator, text = pair.partition("=")
        if not separator or not name:
            fail(f'--claim is "{pair}"; write it NAME=VALUE, such as tier=PREMIUM or roles=\'["a","b"]\'')
        claims[name] = _json_or_text(text)
    with reported():
        from sluicegate.core import signing  # noqa: PLC0415 - a process that serves requests never loads it

        settings = compose.settings_of(config)
        algorithm = alg or settings.stateful_jwt.sign_alg[0]
        if algorithm not in ALGORITHMS:
            fail(f'--alg is "{algorithm}"; use one of {", ".join(ALGORITHMS)}')
        if ALGORITHMS[algorithm].family == "HMAC":
            sign = signing.secret_signer(settings.stateful_jwt.sign_key.get_secret_value(), algorithm)
        elif private_key is None:
            fail(f"{algorithm} signs with a private key, which the gate does not have; give it with --private-key")
        else:
            sign = signing.private_signer(_read(private_key), algorithm)
        print(signing.mint(claims, sign, algorithm=algorithm, kid=kid))


@app.command()
def inspect(token: Token, *, as_json: AsJson = False) -> None:
    """Take a token apart and show what it says. Nothing is verified: anyone can write anything."""
    raw = read_token(token).encode(errors="replace")
    fingerprint = digest(raw)
    try:
        peeked = peek(raw, fingerprint)
    except MalformedToken as error:
        fail(f"the gate would refuse this as malformed: {error}", Exit.REFUSED)
    header = msgspec.json.decode(_decoded(raw.partition(b".")[0]))
    if as_json:
        print_json({"header": header, "claims": peeked.claims, "sha256": fingerprint.hex(), "verified": False})
        return
    print("not verified: this is only what the token says of itself")
    for title, fields in (("header", header), ("claims", peeked.claims)):
        print(f"\n{title}")
        for name, value in fields.items():
            shown = msgspec.json.encode(value).decode()
            is_date = name in _DATES and isinstance(value, int | float)
            print(f"  {plain(name):12} {plain(shown)}" + (f"  ({moment(value)})" if is_date else ""))
    print(f"\nsha256\n  {fingerprint.hex()}")


@app.command()
def verify(token: Token, *, config: Config = None, as_json: AsJson = False) -> None:
    """Ask the gate about a token, state included. Exits with 0 when it would be admitted, 1 when refused."""
    text = read_token(token)
    request = Request(headers=((b"authorization", b"Bearer " + text.encode(errors="replace")),), id="cli")
    with reported(), compose.opened(config) as assembly:
        decision = assembly.engine.decide(request, assembly.bearer_policy)
    if isinstance(decision, Refuse):
        row = wire(decision.reason)
        if as_json:
            print_json({"admitted": False, "reason": decision.reason.value, "status": row.status, "error": row.error})
        else:
            detail = f" ({decision.detail})" if decision.detail else ""
            print(f"refused: {decision.reason.value}{detail}, answered with {row.status} {row.error}")
        raise typer.Exit(Exit.UNAVAILABLE if row.status >= 500 else Exit.REFUSED)  # noqa: PLR2004 - RFC 9110, 15.6
    fields = identity_fields(decision)
    if as_json:
        print_json({"admitted": True, "identity": fields})
        return
    print("admitted")
    for name, value in fields.items():
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        print(f"  {name:12} {plain(shown)}")


def identity_fields(decision: Admit) -> dict[str, Any]:
    """Return an identity as JSON shows it; empty for an anonymous request."""
    identity: Identity | None = decision.identity
    if identity is None:
        return {}
    fields: dict[str, Any] = msgspec.to_builtins(identity, enc_hook=dict)
    return fields


def _json_or_text(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return text


def _decoded(part: bytes) -> bytes:
    return base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}")
