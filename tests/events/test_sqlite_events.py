"""The history on disk: what is kept outlives the process, and what is lost is known to be."""

import sqlite3
from pathlib import Path

import pytest

from sluicegate.backends.sqlite.events import SqliteEvents
from sluicegate.sse.broker import Broker
from sluicegate.sse.history import read_id
from sluicegate.sse.subscription import Terms
from tests.events.gate import Clock
from tests.events.test_broker import Page, numbers, publish


def opened(directory: Path, clock: Clock, *, history: int = 1000, ttl: float = 3600) -> Broker:
    return Broker(Terms(history=history, ttl=ttl), clock=clock, log=SqliteEvents(directory))


def test_a_reader_that_comes_back_after_a_restart_misses_nothing(tmp_path: Path) -> None:
    clock = Clock()
    first = opened(tmp_path, clock)
    page = Page(takes=4).open(first)
    publish(first, *range(10))
    first.close()
    second = opened(tmp_path, clock)
    again = Page().open(second, after=page.reader.last_event_id)
    publish(second, *range(10, 12))
    assert (page.got + again.got, again.gaps) == (numbers(0, 12), [])
    second.close()


def test_ids_go_on_growing_though_the_clock_was_set_back_while_nobody_ran(tmp_path: Path) -> None:
    clock = Clock()
    first = opened(tmp_path, clock)
    (before,) = publish(first, 1)
    first.close()
    clock.now -= 3600
    second = opened(tmp_path, clock)
    (after,) = publish(second, 2)
    assert (read_id(after) or (0, 0)) > (read_id(before) or (0, 0))
    second.close()


def test_what_was_lost_before_a_restart_is_told_of_after_it(tmp_path: Path) -> None:
    clock = Clock()
    first = opened(tmp_path, clock, history=3)
    oldest, *_, third, _, _ = publish(first, *range(6))
    first.sweep()
    first.close()
    second = opened(tmp_path, clock, history=3)
    assert Page().open(second, after=oldest).gaps[0]["reason"] == "history"
    page = Page().open(second, after=third)
    assert (page.got, page.gaps) == (["4", "5"], [])
    second.close()


def test_what_is_over_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    clock = Clock()
    broker = opened(tmp_path, clock, ttl=60)
    publish(broker, *range(10))
    clock.now += 120
    broker.sweep()
    broker.close()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM topic").fetchone() == (0,)
    connection.close()


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    log = SqliteEvents(tmp_path)
    with pytest.raises(BlockingIOError):
        SqliteEvents(tmp_path)
    log.close()
    SqliteEvents(tmp_path).close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    SqliteEvents(tmp_path / "state").close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}


def test_an_event_that_the_disk_does_not_take_is_sent_and_not_promised(tmp_path: Path) -> None:
    log = SqliteEvents(tmp_path)
    broker = Broker(Terms(), clock=Clock(), log=log)
    page = Page().open(broker)
    with sqlite3.connect(tmp_path / "events.db") as other:
        other.execute("DROP TABLE event")
    other.close()
    assert not broker.publish("t", "1").kept
    assert page.got == ["1"]
    broker.close()
