"""Where revocations stand: the forms of `redis_addr`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, NoReturn, final
from urllib.parse import unquote

from pydantic import SecretStr

from sluicegate.settings.addresses import split_host_port
from sluicegate.settings.flaw import Filled, Flaw, quoted
from sluicegate.settings.kinds import Kind, as_line

_FORMS: Final = (
    '"" for the embedded store, "disabled", "host:6379", "redis://…", "rediss://…", "unix:///path", '
    '"redis+sentinel://…" or "redis+cluster://…"'
)
_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_NO_PASSWORD: Final = SecretStr("")
_DATABASE: Final = re.compile(r"[0-9]{1,6}")


@final
@dataclass(frozen=True, slots=True)
class RedisLogin:
    """Who we are to Redis, and in which database. `db` is None where nothing names one."""

    username: str = ""
    password: SecretStr = _NO_PASSWORD
    db: int | None = None


@final
@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """The store in `state_dir`."""


@final
@dataclass(frozen=True, slots=True)
class NoStore:
    """No store: tokens cannot be revoked."""


@final
@dataclass(frozen=True, slots=True)
class RedisServer:
    """One Redis or Valkey, over TCP."""

    host: str
    port: int
    login: RedisLogin = RedisLogin()
    tls: bool = False


@final
@dataclass(frozen=True, slots=True)
class RedisSocket:
    """One Redis or Valkey of this machine, over a Unix socket."""

    path: str
    login: RedisLogin = RedisLogin()


@final
@dataclass(frozen=True, slots=True)
class RedisSentinel:
    """Whichever Redis these Sentinels say is the master of `service`."""

    hosts: tuple[tuple[str, int], ...]
    service: str
    login: RedisLogin = RedisLogin()
    tls: bool = False


@final
@dataclass(frozen=True, slots=True)
class RedisCluster:
    """A Redis Cluster, by some of its nodes."""

    hosts: tuple[tuple[str, int], ...]
    login: RedisLogin = RedisLogin()
    tls: bool = False


Redis = RedisServer | RedisSocket | RedisSentinel | RedisCluster
Store = EmbeddedStore | NoStore | Redis


def _refuse(problem: str, remedy: str = f"write {_FORMS}") -> NoReturn:
    # the address may hold a password, so no message repeats any of it
    raise Flaw(problem, remedy)


def _read_store(value: object) -> Store:
    address = as_line(value, '"127.0.0.1:6379"')
    if not address:
        if isinstance(value, Filled):
            # a forgotten variable must not quietly put revocations where no other node looks
            _refuse(f"is empty once {quoted(value.origin)} is replaced", 'fill it, or write "" for the embedded store')
        return EmbeddedStore()
    if address == "disabled":
        return NoStore()
    scheme, separator, rest = address.partition("://")
    if separator:
        read = _SCHEMES.get(scheme.lower())
        return read(rest) if read else _refuse("begins with a scheme that names no store")
    place = split_host_port(address)
    return RedisServer(*place) if place and place[0] else _refuse("is no address of a store")


def _server(rest: str, *, tls: bool) -> RedisServer:
    login, hosts, path = _split(rest, _REDIS_PORT)
    if len(hosts) > 1:
        _refuse("names several hosts", "write redis+sentinel:// or redis+cluster:// for more than one")
    return RedisServer(*hosts[0], _with_db(login, path), tls)


def _socket(rest: str) -> RedisSocket:
    authority, slash, path = rest.partition("/")
    path, question, query = path.partition("?")
    if not slash or not path:
        _refuse("names no socket", 'write it so: "unix:///run/redis.sock", with "?db=1" for another database')
    if question and not query.startswith("db="):
        _refuse("carries a query other than db", "use the keys redis_username, redis_password and timeout")
    if authority and not authority.endswith("@"):
        _refuse("names a host before the socket", 'write it so: "unix:///run/redis.sock"')
    return RedisSocket("/" + unquote(path), _with_db(_login(authority.removesuffix("@")), query.removeprefix("db=")))


def _sentinel(rest: str) -> RedisSentinel:
    login, hosts, path = _split(rest, _SENTINEL_PORT)
    service, _, db = path.partition("/")
    if not service:
        _refuse("does not name the master", 'write it so: "redis+sentinel://host1,host2/mymaster"')
    return RedisSentinel(hosts, unquote(service), _with_db(login, db))


def _cluster(rest: str) -> RedisCluster:
    login, hosts, path = _split(rest, _REDIS_PORT)
    if path:
        _refuse("names a database, and a cluster has only one", "take the path out of the address")
    return RedisCluster(hosts, login)


def _split(rest: str, default_port: int) -> tuple[RedisLogin, tuple[tuple[str, int], ...], str]:
    """Split what follows the scheme into login, hosts and path."""
    if "?" in rest or "#" in rest:
        _refuse("carries a query or fragment", "use the keys redis_username, redis_password, redis_db and timeout")
    authority, _, path = rest.partition("/")
    userinfo, _, places = authority.rpartition("@")
    hosts = []
    for place in places.split(","):
        host = split_host_port(place) or split_host_port(f"{place}:{default_port}")
        if host is None or not host[0] or not host[1]:
            _refuse("names no host, or a port out of range")
        hosts.append(host)
    return _login(userinfo), tuple(hosts), path


def _login(userinfo: str) -> RedisLogin:
    username, _, password = userinfo.partition(":")
    return RedisLogin(unquote(username), SecretStr(unquote(password)))


def _with_db(login: RedisLogin, number: str) -> RedisLogin:
    if not number:
        return login
    if _DATABASE.fullmatch(number) is None:
        _refuse("names a database that is no number", 'write it so: "redis://host:6379/0"')
    return RedisLogin(login.username, login.password, int(number))


_SCHEMES: Final[Mapping[str, Callable[[str], Store]]] = {
    "redis": partial(_server, tls=False),
    "rediss": partial(_server, tls=True),
    "unix": _socket,
    "redis+sentinel": _sentinel,
    "redis+cluster": _cluster,
}
StoreAddress = Annotated[Store, Kind(_read_store, {"title": "store address", "type": "string"})]
