"""`Settings`: every section and key, frozen. The sections stand in modules of their own."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self, final

from pydantic import BaseModel, Field, GetCoreSchemaHandler, PrivateAttr
from pydantic_core import CoreSchema, core_schema

from sluicegate.errors import Fault
from sluicegate.settings.flaw import Flaw, found
from sluicegate.settings.kinds import SECTION, Boolean, Directory, on, table, text, words
from sluicegate.settings.listeners import Admin, Http
from sluicegate.settings.routes import Events, ForwardAuth, Route
from sluicegate.settings.source import Source
from sluicegate.settings.stateful_jwt import StatefulJwt
from sluicegate.settings.verifiers import Issuer, JwtVerifier

_STATE_DIR: Final = "/var/lib/sluicegate"


@final
@dataclass(frozen=True, slots=True)
class Warning_:  # noqa: N801 - `Warning` is Python's own
    """Something that is served as it stands and probably not meant so. `line` is None for keyword arguments."""

    key: str
    text: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        """Return one line for a log."""
        return f"{self.key}: {self.text}; {self.remedy}"


@final
@dataclass(frozen=True, slots=True)
class _Tables:
    """An array of tables, `[[name]]`."""

    name: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._as_list, handler(source))

    def _as_list(self, value: object) -> object:
        brackets = f"head each of them with [[{self.name}]], in two brackets"
        if isinstance(value, Mapping):
            raise Flaw("is one table where several may stand", brackets)
        if not isinstance(value, list | tuple):
            raise Flaw(f"is {found(value)} where tables belong", brackets)
        return value


def host_name() -> str:
    """Return this machine's name, which names the node unless the operator does."""
    return platform.node() or "sluicegate"


@final
class Settings(BaseModel):
    """All of the operator's choices."""

    model_config = SECTION

    proxy_id: Annotated[str, text("name", '"gate-1"')] = Field(
        default_factory=host_name,
        description="Names this node in logs, metrics and event ids.",
        json_schema_extra={"default": "<host name>"},
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        words("debug", "info", "warning", "error", also={"warn": "warning", "trace": "debug"}),
    ] = Field(default="info", description="Least severity that is logged.")
    metrics_enabled: Boolean = on("Count, and show the counts on the operators' listener.")
    state_dir: Directory = Field(
        default=Path(_STATE_DIR),
        description="Directory of the embedded store.",
        json_schema_extra={"default": "<XDG state home>/sluicegate"},
    )
    http: Http = table(Http, "The public listener.")
    stateful_jwt: StatefulJwt = table(StatefulJwt, "Which tokens are good, and where revocations stand.")
    jwt_verifier: JwtVerifier = table(JwtVerifier, "The webhook that vouches for tokens.")
    issuer: Annotated[tuple[Issuer, ...], _Tables("issuer")] = Field(
        default=(), description="One of several issuers, with keys of its own."
    )
    route: Annotated[tuple[Route, ...], _Tables("route")] = Field(
        default=(), description="What is done on which path; the first that matches counts, and none is 404."
    )
    events: Events = table(Events, "Event streams.")
    forward_auth: ForwardAuth | None = Field(default=None, description="The path on which another proxy asks.")
    admin: Admin = table(Admin, "The operators' listener.")

    _warnings: tuple[Warning_, ...] = PrivateAttr(default=())
    _source: Source = PrivateAttr(default=Source("defaults"))

    @property
    def warnings(self) -> tuple[Warning_, ...]:
        """What is served and probably not meant, in file order."""
        return self._warnings

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """Every issuer of the `[[issuer]]` tables, each tenant by itself."""
        return tuple(one for table in self.issuer for one in table.each)

    @property
    def unsafe(self) -> tuple[str, ...]:
        """Stable names of the settings that take protection away, for start-up, `/health` and metrics."""
        judged = {
            "skip_verification": self.stateful_jwt.skip_verification,
            "authentication_off": not self.jwt_verifier.require_authentication,
            "insecure_skip_verify": self.stateful_jwt.tls.insecure_skip_verify,
            "upstream_insecure_skip_verify": any(route.upstream_tls.insecure_skip_verify for route in self.route),
            "jwk_allow_http": self.stateful_jwt.jwk_allow_http,
        }
        return tuple(name for name, taken in judged.items() if taken)

    def fault(self, key: str, problem: str, remedy: str) -> Fault:
        """Return the fault of a key that only its use could show, with its place.

        `key` is `stateful_jwt.sign_key`, or, in the first of several tables, `issuer.0.sign_key`.
        """
        loc = tuple(int(step) if step.isdecimal() else step for step in key.split("."))
        return self._source.fault(loc, problem, remedy)

    def read_from(self, source: Source, warnings: tuple[Warning_, ...]) -> Self:
        """Return these settings, which were read there."""
        copy = self.model_copy()
        copy._source, copy._warnings = source, warnings  # noqa: SLF001 - our own
        return copy


def default_state_dir(environ: Mapping[str, str]) -> str:
    """Return where state lives when nobody says: the XDG state home, or `/var/lib` for a service without a home.

    The specification has relative paths in `XDG_STATE_HOME` ignored.
    """
    state_home, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
    if state_home.startswith("/"):
        return f"{state_home}/sluicegate"
    return f"{home}/.local/state/sluicegate" if home.startswith("/") else _STATE_DIR
