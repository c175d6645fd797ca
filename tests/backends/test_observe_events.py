"""The log of events: trouble is said with its cause, once a second and kind, and nothing else is loud."""

import logging
from collections.abc import Iterator
from io import StringIO

import pytest

from sluicegate.backends.log.decisions import LOGGER, configure
from sluicegate.backends.log.happenings import LogInstrument
from sluicegate.core.events import Attempted, BreakerChanged, Event, Joined, Limited, Listening, Looked, Refreshed


class Log:
    """An instrument with a clock of the test's own, and the lines that it wrote."""

    def __init__(self, stream: StringIO) -> None:
        self.now = 1000.0
        self._stream = stream
        self._instrument = LogInstrument(clock=lambda: self.now)

    def note(self, *events: Event) -> list[str]:
        """Note these; return the lines they made, without their time."""
        for event in events:
            self._instrument.noted(event)
        lines = self._stream.getvalue().splitlines()
        self._stream.truncate(0)
        self._stream.seek(0)
        return [line.partition(" ")[2] for line in lines]


@pytest.fixture
def log() -> Iterator[Log]:
    stream = StringIO()
    handler = configure("info", form="text", stream=stream)
    yield Log(stream)
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(logging.NOTSET)
    LOGGER.propagate = True


def failed(detail: str = "answered 502", number: int = 1) -> Attempted:
    return Attempted(service="webhook", number=number, outcome="failed", took=0.25, detail=detail)


def test_a_call_that_failed_is_said_with_its_cause(log: Log) -> None:
    (line,) = log.note(failed())
    assert line.startswith("warning webhook: a call was failed service=webhook number=1 outcome=failed")
    assert 'detail="answered 502"' in line
    assert "took_ms=250.0" in line


def test_the_same_trouble_is_said_once_a_second_with_the_number_left_out(log: Log) -> None:
    assert len(log.note(*(failed() for _ in range(1000)))) == 1
    log.now += 1.0
    (line,) = log.note(failed())
    assert "like_it_before=999" in line
    assert len(log.note(failed("another cause"), Limited("webhook"))) == 2


def test_what_goes_well_is_not_said(log: Log) -> None:
    events = (
        Attempted(service="webhook", number=1, outcome="yes", took=0.1),
        Attempted(service="webhook", number=1, outcome="no", took=0.1),
        Looked("miss"),
        Joined("webhook"),
        Refreshed(service="keys", outcome="unchanged", keys=2, age=0.0, took=0.1),
    )
    assert log.note(*events) == []


def test_every_change_of_the_breaker_is_said(log: Log) -> None:
    lines = log.note(*(BreakerChanged("webhook", state) for state in ("open", "half_open", "closed")))
    assert [line.split(" service=")[0] for line in lines] == [
        "warning webhook: the breaker is open",
        "info    webhook: the breaker is half open",
        "info    webhook: the breaker is closed",
    ]


def test_keys_that_were_fetched_or_could_not_be_are_said(log: Log) -> None:
    (line,) = log.note(Refreshed(service="keys", outcome="replaced", keys=2, added=1, age=0.0, took=0.1))
    assert line.startswith("info    keys: its keys were fetched")
    (line,) = log.note(Refreshed(service="keys", outcome="failed", keys=2, age=9.0, took=0.1, detail="answered 500"))
    assert line.startswith("warning keys: its keys could not be fetched")
    lines = log.note(Refreshed(service="keys", outcome="unchanged", keys=1, age=0.0, took=0.1, warnings=("two twice",)))
    assert lines == ["warning keys: two twice"]


def test_ever_new_causes_do_not_fill_the_memory(log: Log) -> None:
    assert len(log.note(*(failed(f"cause {number}") for number in range(2000)))) == 2000
    assert len(log.note(failed("cause 1999"))) == 0
    assert len(log.note(failed("cause 0"))) == 1  # it was forgotten, within the same second


def test_a_service_that_tells_no_more_is_said_with_what_happens_instead_and_when_it_tells_again(log: Log) -> None:
    (line,) = log.note(Listening(service="redis", what="revocations", is_on=False, detail="hung up; asked instead"))
    assert line.startswith("warning redis: does not tell of revocations")
    assert 'detail="hung up; asked instead"' in line
    (line,) = log.note(Listening(service="redis", what="revocations", is_on=True))
    assert line.startswith("info    redis: tells of revocations")
