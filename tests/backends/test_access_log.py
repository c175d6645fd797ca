"""The access log on real files, pipes and full disks."""

import json
import os
import re
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.backends.log.access import AccessLog, line_of
from sluicegate.backends.log.decisions import masked
from sluicegate.ports import Visit
from tests.table.tokens import mint

VISIT: Final = Visit(at=1_700_000_000.25, id="a-1", client="192.0.2.7", method="GET", path="/x", status=200, whole=True)
FULL: Final = Path("/dev/full")
TOKEN_FORM: Final = re.compile(r"ey[0-9A-Za-z_-]{8,}(?:(?:\.|%2[eE])[0-9A-Za-z_-]*)+")
CODED: Final = ["{}", "%{:02x}", "%25{:02x}", "%2525{:02x}"]


def visit(**changes: Any) -> Visit:  # noqa: ANN401 - whatever a Visit takes
    return msgspec.structs.replace(VISIT, **changes)


def written(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - likewise
    line = line_of(visit(**changes), {}, "now")
    assert line.endswith(b"\n")
    assert line[:-1].decode("ascii").isprintable()
    fields: dict[str, Any] = json.loads(line)
    return fields


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_line_tells_of_a_request() -> None:
    told = written(user="alice", decision="admitted", route="/*", upstream="h:1", upstream_took=0.25, sent=7, took=0.5)
    assert told == {
        "time": "now",
        "id": "a-1",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/x",
        "status": 200,
        "bytes": 7,
        "took_ms": 500.0,
        "user": "alice",
        "decision": "admitted",
        "reason": None,
        "route": "/*",
        "upstream": "h:1",
        "upstream_ms": 250.0,
        "complete": True,
    }


def test_an_upstream_that_never_answered_took_no_time() -> None:
    assert written(upstream="h:1", upstream_took=-1234.5)["upstream_ms"] is None


@pytest.mark.parametrize(("reason", "decision"), [("revoked", "refused"), ("route", None), ("", None)])
def test_only_the_gates_own_refusals_are_decisions(reason: str, decision: str | None) -> None:
    assert written(reason=reason)["decision"] == decision


@pytest.mark.parametrize("path", ["/confirm/{}", "/x%3Ftoken={}", "/{}/y", "/{}/%65{}"])
@pytest.mark.parametrize("coded", CODED)
def test_no_token_in_a_path_is_written(path: str, coded: str) -> None:
    token = mint()
    hidden = token if coded == "{}" else "".join(map(coded.format, token.encode()))
    path = path.replace("%65{}", f"%65{token[1:]}").format(hidden)
    told = unquote(unquote(unquote(written(path=path)["path"])))
    for part in token.split("."):
        assert part[:12] not in told
        assert part[-12:] not in told


@given(st.text("ey.-a/", max_size=60))
def test_whatever_has_the_form_of_a_token_is_masked_and_nothing_else(path: str) -> None:
    assert masked(path) == TOKEN_FORM.sub("<token>", path)


@pytest.mark.parametrize("coded", CODED)
def test_a_path_that_is_cut_ends_in_no_half_token(coded: str) -> None:
    token = mint()
    hidden = token if coded == "{}" else "".join(map(coded.format, token.encode()))
    for before in range(len(hidden)):
        told = masked("/" + "a" * 500 + "/" + "b" * (522 - before) + hidden)
        assert told.startswith("/aaa")
        assert "eyJ" not in unquote(unquote(unquote(told)))


@pytest.mark.parametrize("beginning", ["/", "/%252525", "/%65"])
def test_a_path_of_any_length_is_masked_by_looking_at_what_is_written_of_it(beginning: str) -> None:
    assert len(masked(beginning + "ey" * 1_000_000)) <= 1025


@pytest.mark.parametrize("path", ["ey" * 500, "%252525" + "ey" * 500, "eyaaaaaaa" * 110, "a." * 500 + "ey" * 10])
def test_a_path_is_masked_in_one_pass(path: str) -> None:
    """With a second pass for each `ey` this takes minutes, and the runner ends it."""
    for _ in range(20_000):
        masked(path)


@pytest.mark.parametrize("user", ['"\n{"status":200}', "\x1b[31m", "\u202e\u2028", "é", "\x7f", "\ud800", "\0"])
def test_what_a_client_chose_cannot_break_out_of_its_line(user: str) -> None:
    assert written(user=user)["user"] == user


def test_what_a_client_chose_is_bounded() -> None:
    told = written(path="/" + "a" * 8000, user="b" * 8000)
    assert len(told["path"]) == 1025
    assert len(told["user"]) == 257
    assert len(line_of(visit(path="/" + "\x7f" * 8000, user="\u202e" * 8000), {}, "")) < 10_000


def test_lines_are_in_the_file_when_it_is_closed(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log", source={"worker": 3})
    for number in range(1000):
        log.ended(visit(id=str(number)))
    log.close()
    told = [json.loads(line) for line in lines(tmp_path / "log")]
    assert [one["id"] for one in told] == [str(number) for number in range(1000)]
    assert {one["time"] for one in told} == {"2023-11-14T22:13:20.250Z"}
    assert {one["worker"] for one in told} == {3}
    assert oct((tmp_path / "log").stat().st_mode)[-3:] == "640"
    assert log.report() == {"dropped": 0, "fault": None}


def test_a_file_that_was_renamed_is_opened_anew_and_no_line_is_lost(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log")
    log.ended(visit(id="before"))
    wait_for(lambda: "before" in (tmp_path / "log").read_text())
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.ended(visit(id="after"))
    log.close()
    assert "before" in (tmp_path / "log.1").read_text()
    assert [json.loads(line)["id"] for line in lines(tmp_path / "log")] == ["after"]


def test_a_file_that_was_truncated_in_place_goes_on_at_its_beginning(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log")
    log.ended(visit(id="before"))
    wait_for(lambda: "before" in (tmp_path / "log").read_text())
    os.truncate(tmp_path / "log", 0)
    log.ended(visit(id="after"))
    log.close()
    assert [json.loads(line)["id"] for line in lines(tmp_path / "log")] == ["after"]


def test_a_full_disk_costs_lines_which_are_counted_and_said_once(tmp_path: Path) -> None:
    place = tmp_path / "log"
    place.symlink_to(FULL)
    said: list[str] = []
    log = AccessLog(place, note=said.append)
    for _ in range(3):
        lost = log.dropped + 10
        for _ in range(10):
            log.ended(VISIT)
        wait_for(lambda lost=lost: log.dropped == lost)  # type: ignore[misc]
    assert said == ["No space left on device"]
    assert log.report() == {"dropped": 30, "fault": "No space left on device"}
    place.unlink()
    log.ended(visit(id="again"))
    log.close()
    assert [json.loads(line)["id"] for line in lines(place)] == ["again"]
    assert log.report() == {"dropped": 30, "fault": None}


def test_a_pipe_that_nobody_reads_blocks_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(pipe, most_held=100_000)
    began = time.monotonic()
    for _ in range(20_000):
        log.ended(VISIT)
    assert time.monotonic() - began < 5
    assert log.dropped > 1000
    log.close()
    assert time.monotonic() - began < 8
    os.close(reader)


def test_writers_to_one_pipe_do_not_cut_each_others_lines(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    holding = os.open(pipe, os.O_WRONLY)
    logs = [AccessLog(pipe, source={"worker": number}) for number in range(3)]
    for number in range(1000):
        for log in logs:
            log.ended(visit(id=str(number), user="u" * (number % 200)))
    wait_for(lambda: not select.select([], [holding], [], 0)[1])  # it is full, and all three wait for room
    os.set_blocking(reader, True)
    came: list[str] = []

    def read() -> None:
        with open(reader, encoding="ascii") as lines_:  # noqa: PTH123 - a descriptor
            came.extend(lines_)

    reading = threading.Thread(target=read)
    reading.start()
    for log in logs:
        log.close()
    os.close(holding)
    reading.join(10)
    told = [json.loads(line) for line in came]
    for worker in range(3):
        assert [one["id"] for one in told if one["worker"] == worker] == [str(number) for number in range(1000)]


def test_a_place_that_cannot_be_written_to_is_known_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AccessLog(tmp_path / "none" / "log")
    with pytest.raises(IsADirectoryError):
        AccessLog(tmp_path)
