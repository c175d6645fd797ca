"""Every error Sluicegate raises, one drawn tree.

::

    SluicegateError
    ├── SettingsError          the operator's choices cannot be served; lists every fault at once
    ├── KeyFault               a key that cannot be used, with the reason and the remedy
    │   └── CertificateFault   the listener's certificate, or its key, cannot be used
    ├── InvalidSelector        a value that names no token: empty, too long, control characters
    ├── StateUnavailable       the revocation store did not answer in time, or at all
    ├── EventsUnavailable      what carries events between nodes did not take one, or cannot say
    ├── FetchFailed            a URL that the gate itself asks, webhook or key set, gave no whole answer
    └── UpstreamError          the service behind the gateway cannot be connected to; the gateway says 502

A refused request is not an error: it is a `Refuse`, a value. Errors of libraries are translated into
one of these where they arise, once. What is not in this tree is a defect and propagates: a crash is a
closed gate.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


class SluicegateError(Exception):
    """Base of all errors; `code` is stable and meant for programs."""

    code: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the configuration, and what would be right.

    `line` is counted from 1, or None where the setting came from a keyword argument.
    """

    file: str
    line: int | None
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """`sluicegate.toml:12: [http] workers: is negative; give 0 or more`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.problem}; {self.remedy}"


class SettingsError(SluicegateError):
    """Raised at start, with every fault found, in file order."""

    code = "settings"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class KeyFault(SluicegateError):  # noqa: N818 - "fault" is the word for what an operator can mend
    """A key that cannot be used. The message never repeats key material."""

    code = "key"

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class CertificateFault(KeyFault):
    """A certificate, or the private key beside it, cannot be used. `file` is the setting that names it."""

    code = "certificate"

    def __init__(self, file: Literal["cert_file", "key_file"], problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.file = file


class InvalidSelector(SluicegateError, ValueError):  # noqa: N818 - named for what is invalid
    """A revocation was asked for something that no token can carry."""

    code = "selector"


class StateUnavailable(SluicegateError):  # noqa: N818 - named for the state of the store
    """The revocation store did not answer: refused connection, deadline, or its own error.

    `stands`: it had said already that some key stands, and could not be asked which, or why. A gate that admits while
    the store is away must not admit that.
    """

    code = "state_unavailable"

    def __init__(self, message: str = "", *, stands: bool = False) -> None:
        super().__init__(message)
        self.stands = stands


class EventsUnavailable(SluicegateError):  # noqa: N818 - named for the state of what carries events
    """What carries events between nodes is out of reach.

    `unknown`: an event was handed over and no answer came, so that it may have been published, and may not.
    """

    code = "events_unavailable"

    def __init__(self, message: str = "", *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


FetchKind = Literal["connection", "tls", "timeout", "too_large", "protocol", "refused"]


class FetchFailed(SluicegateError):  # noqa: N818 - says what happened
    """A URL that the gate itself asks gave no whole answer.

    `kind`: no "connection", a "tls" handshake or certificate that failed, "timeout", a body that is "too_large", an
    answer that breaks the "protocol", or a call that we "refused" to make. The message names the cause in our words
    or the system's, and neither the URL's query nor anything that was sent.
    """

    code = "fetch"

    def __init__(self, kind: FetchKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class UpstreamError(SluicegateError):
    """The upstream could not be connected to, so nothing was sent to it.

    `cause`: no "connection", or a "tls" handshake or certificate that failed. The message names it in our words or the
    system's.
    """

    code = "upstream"

    def __init__(self, message: str, *, cause: Literal["connection", "tls"] = "connection") -> None:
        super().__init__(message)
        self.cause = cause
