"""What people put before their services today, each checking the same token as far as it can.

Every peer answers `/decision` itself and passes `/orders` on, where it is a proxy. One core each, logs off, connections
kept to both sides: as fast as its own manual makes it.
"""

import base64
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.load import pinned
from tests.servers.ports import reserved_port
from tests.servers.process import Process, answers, program, running

_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions.filters"
SAID: Final = "Hello alice! Your tier: PREMIUM"


@dataclass(frozen=True, slots=True)
class Keys:
    """One key of each kind, and a token by each, which only the signature tells apart."""

    secret: str
    public: str
    hs256: str
    rs256: str

    @property
    def jwks(self) -> dict[str, str]:
        """Key sets, by algorithm, as Envoy takes them."""
        algorithm = jwt.get_algorithm_by_name("RS256")
        public = json.loads(algorithm.to_jwk(algorithm.prepare_key(self.public)))
        octets = base64.urlsafe_b64encode(self.secret.encode()).rstrip(b"=").decode()
        return {
            "HS256": json.dumps({"keys": [{"kty": "oct", "k": octets, "alg": "HS256"}]}),
            "RS256": json.dumps({"keys": [{**public, "alg": "RS256"}]}),
        }


def make_keys() -> Keys:
    """Make keys, and tokens of some 500 bytes that are good for a day."""
    now = int(time.time())
    claims = {
        "iss": "https://auth.example.com",
        "sub": "alice",
        "jti": "key-1",
        "iat": now,
        "exp": now + 86_400,
        "tier": "PREMIUM",
        "type": "access",
        "fresh": False,
        "name": "x" * 150,
    }
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = base64.urlsafe_b64encode(os.urandom(36)).decode()
    return Keys(
        secret=secret,
        public=public.decode(),
        hs256=jwt.encode(claims, secret, "HS256"),
        rs256=jwt.encode(claims, private, "RS256"),
    )


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    port: int
    process: Process


@contextmanager
def started(command: list[str], port: int, **environment: str) -> Iterator[Peer]:
    """Run a peer on the server's core until the block ends."""
    with running(pinned(command), answers(port), environment=environment, within=60) as process:
        yield Peer(port, process)


_HAPROXY: Final = """
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend public
    bind 127.0.0.1:{port}
    http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_header_query('$.alg') -m str {algorithm} }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify("{algorithm}","{key}") 1 }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request return status 200 content-type text/plain string "{said}" if {{ path /decision }}
    default_backend behind
backend behind
    server one 127.0.0.1:{behind}
"""


@contextmanager
def haproxy(directory: Path, behind: int, *, keys: Keys, algorithm: str) -> Iterator[Peer]:
    """HAProxy, which verifies each token anew and knows of no revocation."""
    with reserved_port() as port:
        key = keys.secret
        if algorithm == "RS256":
            (directory / "public.pem").write_text(keys.public)
            key = str(directory / "public.pem")
        file = directory / f"haproxy-{algorithm}.cfg"
        file.write_text(_HAPROXY.format(port=port, behind=behind, algorithm=algorithm, key=key, said=SAID))
        with started([program("haproxy"), "-f", str(file)], port) as peer:
            yield peer


_CADDY: Final = """{{
    admin off
    auto_https off
    persist_config off
}}
http://:{port} {{
    bind 127.0.0.1
    respond /decision "{said}"
    reverse_proxy 127.0.0.1:{behind}
}}
"""


@contextmanager
def caddy(directory: Path, behind: int) -> Iterator[Peer]:
    """Caddy, without any check."""
    with reserved_port() as port:
        file = directory / "Caddyfile"
        file.write_text(_CADDY.format(port=port, behind=behind, said=SAID))
        home = {"HOME": str(directory), "XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
        command = [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]
        with started(command, port, GOMAXPROCS="1", **home) as peer:
            yield peer


def _envoy_config(port: int, behind: int, *, keys: Keys, algorithm: str, remembers: bool) -> dict[str, object]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_EXTENSIONS}.http.router.v3.Router"},
    }
    provider: dict[str, object] = {
        "issuer": "https://auth.example.com",
        "local_jwks": {"inline_string": keys.jwks.get(algorithm, "")},
    }
    if remembers:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    check = {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"one": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "one"}}],
        },
    }
    routes = [
        {"match": {"path": "/decision"}, "direct_response": {"status": 200, "body": {"inline_string": SAID}}},
        {"match": {"prefix": "/"}, "route": {"cluster": "behind"}},
    ]
    manager = {
        "@type": f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "public",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [*([check] if algorithm else []), router],
    }
    listener = {
        "address": _address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    cluster = {
        "name": "behind",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "behind",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(behind)}}]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def envoy(directory: Path, behind: int, *, keys: Keys, algorithm: str = "", remembers: bool = False) -> Iterator[Peer]:
    """Envoy, with `jwt_authn` where an algorithm is named; `remembers`: with its cache of verified tokens."""
    with reserved_port() as port:
        file = directory / f"envoy-{algorithm}-{remembers}.json"
        file.write_bytes(
            msgspec.json.encode(_envoy_config(port, behind, keys=keys, algorithm=algorithm, remembers=remembers))
        )
        command = [program("envoy"), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        with started(command, port) as peer:
            yield peer


CHECKED: Final = """
import os
import jwt
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

SECRET = os.environ["SECRET"]


class Checked:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            token = dict(scope["headers"]).get(b"authorization", b"").removeprefix(b"Bearer ")
            try:
                scope["user"] = jwt.decode(token, SECRET, algorithms=["HS256"])
            except jwt.InvalidTokenError:
                await PlainTextResponse("no", 401)(scope, receive, send)
                return
        await self.app(scope, receive, send)
"""

_PYJWT: Final = """
async def decision(request):
    return PlainTextResponse(f"Hello {request['user']['sub']}! Your tier: {request['user']['tier']}")


app = Checked(Starlette(routes=[Route("/decision", decision)]))
"""

_FLASK: Final = """
import os
import redis
from flask import Flask
from flask_jwt_extended import JWTManager, get_jwt, jwt_required

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = os.environ["SECRET"]
blocklist = redis.Redis(port=int(os.environ["REDIS"]), decode_responses=True)
manager = JWTManager(app)


@manager.token_in_blocklist_loader
def is_revoked(header, payload):
    return blocklist.get(payload["jti"]) is not None


@app.get("/decision")
@jwt_required()
def decision():
    return f"Hello {get_jwt()['sub']}! Your tier: {get_jwt()['tier']}"
"""


@contextmanager
def pyjwt(directory: Path, *, keys: Keys) -> Iterator[Peer]:
    """Starlette on uvicorn behind a middleware that calls PyJWT, and knows of no revocation."""
    (directory / "checked.py").write_text(CHECKED + _PYJWT)
    with reserved_port() as port:
        options = ["--port", str(port), "--no-access-log", "--log-level", "warning", "--app-dir", str(directory)]
        with started([sys.executable, "-m", "uvicorn", "checked:app", *options], port, SECRET=keys.secret) as peer:
            yield peer


@contextmanager
def flask(directory: Path, *, keys: Keys, redis: int) -> Iterator[Peer]:
    """Flask-JWT-Extended on gunicorn, with the Redis blocklist of its documentation."""
    (directory / "blocked.py").write_text(_FLASK)
    with reserved_port() as port:
        options = ["-b", f"127.0.0.1:{port}", "-k", "gthread", "--threads", "64", "--keep-alive", "60"]
        command = [program("gunicorn"), *options, "--chdir", str(directory), "blocked:app"]
        with started(command, port, SECRET=keys.secret, REDIS=str(redis)) as peer:
            yield peer
