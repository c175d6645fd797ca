"""The log: what a line says, and what it never says."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from sluicegate.backends.log.decisions import LOGGER, LogObserver, configure, event
from sluicegate.core.decision import Admit, Decision, Identity, Reason, Refuse
from sluicegate.core.request import Request, Source
from sluicegate.ports import Record

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
REQUEST = Request(
    method="GET",
    path="/api/orders",
    query=f"token={TOKEN}".encode(),
    headers=((b"authorization", f"Bearer {TOKEN}".encode()),),
    client="192.0.2.7",
    id="d-1",
)
SOURCE = Source("header", "Authorization")
ADMITTED = Admit(identity=Identity(id="alice", jti="key-1", issuer="https://auth.example.com"), source=SOURCE)
REVOKED = Refuse(reason=Reason.REVOKED, detail="cancelled", source=SOURCE, jti="key-1", subject="alice")
AWAY = Refuse(reason=Reason.STATE_UNAVAILABLE, source=SOURCE, state_unknown=True)

Log = Callable[..., list[str]]


@pytest.fixture
def log() -> Iterator[Log]:
    """Let an observer see decisions; return the lines that it wrote."""
    handlers: list[logging.Handler] = []
    level, propagate = LOGGER.level, LOGGER.propagate

    def write(
        *decisions: Decision,
        level: str = "info",
        form: str = "json",
        log_blocked: bool = True,
        request: Request = REQUEST,
        times: Iterator[float] | None = None,
    ) -> list[str]:
        stream = io.StringIO()
        handlers.append(configure(level, form=form, stream=stream))  # type: ignore[arg-type]
        observer = LogObserver(log_blocked=log_blocked, clock=lambda: next(times) if times else 0.0)
        for decision in decisions:
            observer.decided(Record(request=request, decision=decision, at=1.0, took=0.000_25))
        LOGGER.removeHandler(handlers[-1])
        return stream.getvalue().splitlines()

    yield write
    for handler in handlers:
        LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)
    LOGGER.propagate = propagate


def test_a_refusal_says_who_what_and_why(log: Log) -> None:
    (line,) = log(REVOKED)
    fields = json.loads(line)
    assert fields.pop("time").endswith("Z")
    assert fields == {
        "level": "info",
        "message": "refused",
        "id": "d-1",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/api/orders",
        "source": "header Authorization",
        "reason": "revoked",
        "detail": "cancelled",
        "sub": "alice",
        "jti": "key-1",
        "took_ms": 0.25,
    }


def test_refusals_are_logged_only_where_log_blocked_says_so(log: Log) -> None:
    assert log(REVOKED, log_blocked=False) == []


def test_admissions_are_logged_at_level_debug(log: Log) -> None:
    assert log(ADMITTED, Admit()) == []
    admitted, anonymous = map(json.loads, log(ADMITTED, Admit(), level="debug"))
    assert (admitted["sub"], admitted["jti"], admitted["issuer"]) == ("alice", "key-1", "https://auth.example.com")
    assert anonymous["anonymous"] is True


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_holds_any_part_of_a_token(log: Log, form: str) -> None:
    written = "\n".join(log(ADMITTED, REVOKED, AWAY, Refuse(reason=Reason.MALFORMED), level="debug", form=form))
    assert written
    assert not any(part in written for part in TOKEN.split("."))


def test_trouble_of_our_own_is_logged_once_a_second_with_the_number_left_out(log: Log) -> None:
    lines = log(*[AWAY] * 4, log_blocked=False, times=iter([0.0, 0.1, 0.2, 1.3]))
    assert [json.loads(line)["like_it_before"] for line in lines] == [0, 2]
    assert json.loads(lines[0])["level"] == "warning"


def test_an_admission_without_state_is_a_warning(log: Log) -> None:
    (line,) = log(Admit(identity=ADMITTED.identity, state_unknown=True), log_blocked=False)
    assert json.loads(line)["message"] == "admitted, state unknown"


@pytest.mark.parametrize("coded", ["{}", "%{:02x}", "%25{:02x}"])
def test_no_token_in_a_path_is_written_however_it_is_encoded(log: Log, coded: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    hidden = token if coded == "{}" else "".join(map(coded.format, token.encode()))
    (line,) = log(Refuse(reason=Reason.MISSING), request=Request(path=f"/a%20b/{hidden}/c%0a", client="::1"))
    assert json.loads(line)["path"] == "/a%20b/<token>/c%0a"


def test_a_path_is_cut_where_it_is_longer_than_anybody_reads(log: Log) -> None:
    (line,) = log(Refuse(reason=Reason.MISSING), request=Request(path="/" + "a" * 8000, client="::1"))
    assert json.loads(line)["path"] == "/" + "a" * 1023 + "…"


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_request_can_forge_a_line(log: Log, form: str) -> None:
    request = Request(path='/a\n{"level":"info"}\r\x1b[31m sub=root', id="d-2", client="x y")
    lines = log(Refuse(reason=Reason.MISSING), form=form, request=request)
    assert len(lines) == 1
    assert "\x1b" not in lines[0]


def test_a_line_of_text_quotes_what_could_mislead(log: Log) -> None:
    (line,) = log(Refuse(reason=Reason.MISSING), form="text", request=Request(path="/a b=c", client="::1"))
    assert 'path="/a b=c"' in line
    assert "client=::1" in line


@pytest.mark.usefixtures("log")
def test_an_event_is_a_line_with_its_fields_and_its_traceback() -> None:
    stream = io.StringIO()
    handler = configure("info", form="auto", stream=stream)
    event(logging.INFO, "started", address="127.0.0.1:8080")
    try:
        int("broken")
    except ValueError:
        LOGGER.exception("defect")
    LOGGER.removeHandler(handler)
    started, defect = map(json.loads, stream.getvalue().splitlines())
    assert started["address"] == "127.0.0.1:8080"
    assert "ValueError: invalid literal" in defect["traceback"]
