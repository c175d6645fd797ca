"""A gate for HTTP requests and event streams: JSON Web Tokens that can be revoked at any moment."""

from sluicegate.adapters.asgi import SluicegateMiddleware
from sluicegate.adapters.wsgi import SluicegateWSGI
from sluicegate.core.decision import Admit, Decision, Identity, Reason, Refuse
from sluicegate.core.policy import Policy, Requirement
from sluicegate.core.request import Request
from sluicegate.errors import (
    Fault,
    InvalidSelector,
    KeyFault,
    SettingsError,
    SluicegateError,
    StateUnavailable,
)
from sluicegate.gate import AsyncGate, Gate

__all__ = [
    "Admit",
    "AsyncGate",
    "Decision",
    "Fault",
    "Gate",
    "Identity",
    "InvalidSelector",
    "KeyFault",
    "Policy",
    "Reason",
    "Refuse",
    "Request",
    "Requirement",
    "SettingsError",
    "SluicegateError",
    "SluicegateMiddleware",
    "SluicegateWSGI",
    "StateUnavailable",
]
