import math
import os
import shutil
import sqlite3
import stat
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from sluicegate.backends.sqlite import state_dir
from sluicegate.backends.sqlite.file import StateFiles
from sluicegate.backends.sqlite.generation import Generation
from sluicegate.backends.sqlite.store import SqliteStore
from sluicegate.core.revocation import Entry
from sluicegate.errors import StateUnavailable
from tests.backends.contract import KEY, StateContract, until

CANCELLED = Entry("cancelled")
FOUND = {KEY: "cancelled"}


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


Open = Callable[[], SqliteStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "above" / "state"


@pytest.fixture
def start(directory: Path, clock: Clock) -> Iterator[Open]:
    """Open one more store, as another process would."""
    stores: list[SqliteStore] = []

    def begin() -> SqliteStore:
        # long: on a machine that is busy with other tests a disk may stand still for seconds
        stores.append(SqliteStore(directory, clock=clock, write_within=40))
        return stores[-1]

    yield begin
    for store in stores:
        store.close()


@pytest.fixture
def store(start: Open) -> SqliteStore:
    return start()


@pytest.fixture
def other(start: Open) -> SqliteStore:
    return start()


class TestSqliteStore(StateContract):
    """The contract; the fixtures are this module's."""

    _clock: Clock

    @pytest.fixture
    def store(self, start: Open, clock: Clock) -> SqliteStore:
        self._clock = clock
        return start()

    @pytest.fixture
    def other(self, start: Open) -> SqliteStore:
        return start()

    def now(self) -> float:
        return self._clock.now

    def pass_time(self) -> None:
        self._clock.now += 0.1


def sql(directory: Path, statement: str, *parameters: object) -> None:
    """Write as any other SQL client does: it knows of no generation."""
    with closing(sqlite3.connect(directory / "state.db", isolation_level=None)) as client:
        client.execute(statement, parameters)


def rows(directory: Path, question: str) -> int:
    with closing(sqlite3.connect(directory / "state.db")) as client:
        return int(client.execute(question).fetchone()[0])


def soon(condition: Callable[[], bool]) -> None:
    """Wait for what the store notices by itself, ten times a second."""
    until(condition, step=lambda: time.sleep(0.005))


def is_away(store: SqliteStore) -> bool:
    try:
        store.find((KEY,))
    except StateUnavailable:
        return True
    return False


def has_put(store: SqliteStore, key: str) -> bool:
    try:
        store.put(key, CANCELLED)
    except StateUnavailable:
        return False
    return True


# where it is


def test_the_directory_and_its_files_are_their_owners_alone(store: SqliteStore, directory: Path) -> None:
    store.put(KEY, CANCELLED)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert files == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm", "generation"], 0o600)


def test_making_a_store_touches_no_disk(store: SqliteStore, directory: Path) -> None:
    assert len(store) == 0
    assert not directory.exists()


@pytest.mark.parametrize("name", ["sta te", "a?mode=ro", "a#b", "100%25", "Zoë", ":memory:", os.fsdecode(b"\xff")])
def test_a_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    with closing(SqliteStore(tmp_path / name)) as store:
        store.put(KEY, CANCELLED)
    with closing(SqliteStore(tmp_path / name)) as store:
        assert store.find((KEY,)) == FOUND
    assert (tmp_path / name / "state.db").exists()


def test_a_relative_directory_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore(Path("state"))) as store:
        monkeypatch.chdir("/")
        store.put(KEY, CANCELLED)
    assert (tmp_path / "state" / "state.db").exists()


def test_what_was_written_is_there_for_the_next_process(start: Open) -> None:
    first = start()
    first.put(KEY, CANCELLED)
    first.close()
    assert start().find((KEY,)) == FOUND


def test_every_commit_waits_for_the_disk(directory: Path) -> None:
    # that the kernel has a write survives a kill, which other tests show; only this makes it survive a loss of power
    with closing(StateFiles(directory, write_within=1).open()) as handle:
        assert handle.connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert handle.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_safe_directory_gives_no_warning(store: SqliteStore) -> None:
    assert store.inspect().warnings == ()


def test_a_directory_that_others_can_write_to_is_warned_about(store: SqliteStore, directory: Path) -> None:
    assert store.inspect().kind == "embedded"
    directory.chmod(0o777)
    (directory / "state.db").chmod(0o666)
    warnings = store.inspect().warnings
    assert [
        f"chmod go-w {path}" in warning
        for path, warning in zip((directory, directory / "state.db"), warnings, strict=True)
    ]


def test_a_directory_of_another_user_is_warned_about(directory: Path) -> None:
    directory.mkdir(parents=True)
    if os.geteuid() == 0:  # nobody else can give it away
        os.chown(directory, 12345, -1)
    assert [f"belongs to user {12345}" in warning for warning in state_dir.warnings(directory)] == [True] * (
        os.geteuid() == 0
    )


def test_a_disk_that_is_nearly_full_is_warned_about() -> None:
    assert any("0 KiB left" in warning for warning in state_dir.warnings(Path("/proc/self")))


def test_the_file_system_is_told_by_its_device() -> None:
    assert state_dir.file_system(Path("/proc/self").stat().st_dev) == "proc"
    assert state_dir.file_system(os.makedev(4095, 1)) == ""


def test_what_root_makes_in_a_directory_belongs_to_the_directorys_owner(store: SqliteStore, directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o700)
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    os.chown(directory, owner, -1)
    store.put(KEY, CANCELLED)
    assert {path.stat().st_uid for path in directory.iterdir()} == {owner}


def test_warnings_are_silent_about_a_directory_that_is_not_there(directory: Path) -> None:
    assert state_dir.warnings(directory) == ()


# what the generation does not tell


def test_a_row_inserted_changed_or_deleted_by_another_sql_client_is_noticed(
    store: SqliteStore, directory: Path
) -> None:
    assert store.find((KEY,)) == {}
    sql(directory, "INSERT INTO revocation (key, value) VALUES (?, ?)", KEY, "by hand")
    soon(lambda: store.find((KEY,)) == {KEY: "by hand"})
    sql(directory, "UPDATE revocation SET value = 'changed'")
    soon(lambda: store.find((KEY,)) == {KEY: "changed"})
    sql(directory, "DELETE FROM revocation")
    soon(lambda: store.find((KEY,)) == {})
    store.put(KEY, CANCELLED)
    assert store.find((KEY,)) == FOUND


@pytest.mark.parametrize("row", [(b"k", "a", None), ("k", b"a", None), ("k", "a", "soon"), (None, "a", None)])
def test_no_sql_client_can_insert_what_could_not_be_read(
    store: SqliteStore, directory: Path, row: tuple[object, ...]
) -> None:
    store.find(())
    with pytest.raises(sqlite3.IntegrityError):
        sql(directory, "INSERT INTO revocation (key, value, expires_at) VALUES (?, ?, ?)", *row)


def test_a_write_that_changes_nothing_shows_what_a_dead_writer_left(
    store: SqliteStore, other: SqliteStore, directory: Path
) -> None:
    # the dead writer: its row is committed, and the generation not raised
    store.put("first", CANCELLED)
    missed = 0
    for number in range(10):
        key = f"{KEY}:{number}"
        other.find((key,))  # may poll, and will then not do so again before the next line but two
        sql(directory, "INSERT INTO revocation (key, value) VALUES (?, ?)", key, "cancelled")
        assert store.put(key, CANCELLED) == CANCELLED
        missed += other.find((key,)) == {}
    assert missed == 0


def test_a_reader_that_slept_past_the_purge_reads_all_anew(start: Open, directory: Path) -> None:
    writer, sleeper = start(), start()
    for number in range(50):
        writer.put(f"gone:{number}", CANCELLED)
    assert len(sleeper.find(tuple(f"gone:{number}" for number in range(50)))) == 50
    for number in range(50):
        writer.remove(f"gone:{number}")
    sql(directory, "UPDATE sqlite_sequence SET seq = seq + 100000")
    writer.put(KEY, CANCELLED)
    assert rows(directory, "SELECT count(*) FROM revocation WHERE value IS NULL") == 0  # nothing tells of them any more
    assert sleeper.find((KEY, *(f"gone:{number}" for number in range(50)))) == FOUND
    assert len(sleeper) == 1


def test_rows_that_say_what_was_removed_are_bounded(store: SqliteStore, directory: Path) -> None:
    for number in range(300):
        store.put(f"gone:{number}", CANCELLED)
        store.remove(f"gone:{number}")
    sql(directory, "UPDATE sqlite_sequence SET seq = seq + 65536")
    before = rows(directory, "SELECT count(*) FROM revocation")
    for number in range(10):
        store.put(f"new:{number}", CANCELLED)
    assert before == 300
    assert rows(directory, "SELECT count(*) FROM revocation") == 10


def test_a_listing_loses_nothing_between_its_pages(store: SqliteStore) -> None:
    keys = [f"{number:04}" for number in range(1_000)] + ["0999\0", "0999\0\0", "0999\1", "1000"]
    store.put("first", CANCELLED)
    for key in keys:
        store.put(key, CANCELLED)
    assert [key for key, _ in store.entries("")] == [*keys, "first"]


# what ends


def test_what_has_ended_is_swept_from_disk_and_memory(
    store: SqliteStore, other: SqliteStore, directory: Path, clock: Clock
) -> None:
    for number in range(200):
        store.put(f"{KEY}:{number}", Entry("cancelled", clock.now + 60))
    store.put("for ever", CANCELLED)
    assert len(other.find(tuple(f"{KEY}:{number}" for number in range(200)))) == 200
    clock.now += 60 + 3601
    for number in range(10):
        store.put(f"new:{number}", CANCELLED)
    store.find(())
    other.find(())
    assert rows(directory, "SELECT count(*) FROM revocation WHERE value IS NOT NULL") == 11
    assert len(store) == len(other) == 11


def test_memory_that_removed_entries_took_is_free_again(store: SqliteStore) -> None:
    tracemalloc.start()
    for number in range(2_000):
        store.put(KEY, Entry(f"{number} {'x' * 2_000}"))
        store.find((KEY,))
    store.remove(KEY)
    store.find((KEY,))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000


def test_a_clock_that_leaps_ahead_and_is_put_right_forgets_nothing(start: Open, clock: Clock) -> None:
    store = start()
    store.put(KEY, Entry("cancelled", clock.now + 60))
    clock.now += 1800
    assert store.find((KEY,)) == {}
    for number in range(10):
        store.put(f"new:{number}", CANCELLED)
    clock.now -= 1800
    assert store.find((KEY,)) == FOUND
    assert start().find((KEY,)) == FOUND


def test_an_end_that_is_no_number_never_comes(store: SqliteStore, other: SqliteStore) -> None:
    store.put(KEY, Entry("cancelled", math.nan))
    assert store.find((KEY,)) == other.find((KEY,)) == FOUND


# files replaced, deleted, damaged


def test_a_deleted_database_is_not_an_empty_one(store: SqliteStore, start: Open, directory: Path) -> None:
    store.put(KEY, CANCELLED)
    assert store.find((KEY,)) == FOUND
    for path in directory.glob("state.db*"):
        path.unlink()
    soon(lambda: is_away(store))
    with pytest.raises(StateUnavailable, match="put it back"):
        store.put("more", CANCELLED)
    # nor for a process that starts now: one would open every revoked token for all
    with pytest.raises(StateUnavailable, match="put it back"):
        start().find((KEY,))
    report = store.inspect()
    assert not report.reachable
    assert report.since is not None
    assert not (directory / "state.db").exists()


def test_an_emptied_database_is_not_an_empty_one(store: SqliteStore, start: Open, directory: Path) -> None:
    store.put(KEY, CANCELLED)
    store.close()
    (directory / "state.db").write_bytes(b"")
    with pytest.raises(StateUnavailable, match="gone or empty"):
        start().find((KEY,))


def test_a_directory_removed_whole_is_begun_anew_by_the_next_process_and_joined_by_the_others(
    store: SqliteStore, start: Open, directory: Path
) -> None:
    store.put(KEY, CANCELLED)
    assert store.find((KEY,)) == FOUND
    shutil.rmtree(directory)
    soon(lambda: is_away(store))
    newcomer = start()
    newcomer.put("new", CANCELLED)
    soon(lambda: not is_away(store) and store.find((KEY, "new")) == {"new": "cancelled"})
    store.put("from the old", CANCELLED)
    assert newcomer.find(("from the old",))


def test_a_deleted_generation_never_leaves_two_processes_with_two_truths(
    store: SqliteStore, start: Open, directory: Path
) -> None:
    store.put(KEY, CANCELLED)
    assert store.find((KEY,)) == FOUND
    (directory / "generation").unlink()
    newcomer = start()
    newcomer.put("new", CANCELLED)
    soon(lambda: store.find(("new",)) == {"new": "cancelled"})
    store.put("from the old", CANCELLED)
    assert newcomer.find(("from the old",))
    newcomer.put("newer", CANCELLED)
    assert store.find(("newer",))


@pytest.mark.parametrize("name", ["state.db-wal", "state.db-shm"])
def test_a_deleted_log_never_leaves_a_write_where_nobody_looks(
    store: SqliteStore, start: Open, directory: Path, name: str
) -> None:
    store.put(KEY, CANCELLED)
    store.find(())
    (directory / name).unlink()
    newcomer = start()
    soon(lambda: not is_away(store) and not is_away(newcomer))
    for number, (writer, reader) in enumerate([(store, newcomer), (newcomer, store)] * 5):
        key = f"new:{number}"
        soon(partial(has_put, writer, key))
        assert reader.find((key,)) == {key: "cancelled"}


def test_a_copy_put_in_the_databases_place_is_what_stands_from_then_on(
    store: SqliteStore, start: Open, directory: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    store.put(KEY, CANCELLED)
    with closing(sqlite3.connect(directory / "state.db")) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    store.put("since", CANCELLED)
    assert len(store.find((KEY, "since"))) == 2
    for path in directory.glob("state.db-*"):
        path.unlink()
    backup.replace(directory / "state.db")
    soon(lambda: not is_away(store) and store.find((KEY, "since")) == FOUND)
    newcomer = start()
    newcomer.put("new", CANCELLED)
    assert store.find(("new", "since")) == {"new": "cancelled"}


def test_a_database_restored_in_its_place_is_what_stands_from_then_on(
    store: SqliteStore, other: SqliteStore, directory: Path, tmp_path: Path
) -> None:
    # and numbers that were given before are not taken for those that are given now
    store.put(KEY, CANCELLED)
    with (
        closing(sqlite3.connect(directory / "state.db")) as live,
        closing(sqlite3.connect(tmp_path / "backup.db")) as backup,
    ):
        live.backup(backup)
        for number in range(3):
            store.put(f"before:{number}", CANCELLED)
        assert len(other.find(("before:0", "before:1", "before:2"))) == 3
        backup.backup(live)
    for number in range(4):
        store.put(f"after:{number}", CANCELLED)
        assert other.find((f"after:{number}",))
    asked = (KEY, *(f"{when}:{number}" for when in ("before", "after") for number in range(4)))
    standing = {KEY, "after:0", "after:1", "after:2", "after:3"}
    assert store.find(asked).keys() == other.find(asked).keys() == standing


def test_a_database_restored_and_written_to_by_others_is_read_whole(
    store: SqliteStore, directory: Path, tmp_path: Path
) -> None:
    # the numbers are soon beyond those that the reader knows; only the history of the database tells
    store.put(KEY, CANCELLED)
    with (
        closing(sqlite3.connect(directory / "state.db")) as live,
        closing(sqlite3.connect(tmp_path / "backup.db")) as backup,
    ):
        live.backup(backup)
        for number in range(3):
            store.put(f"before:{number}", CANCELLED)
        asked = (KEY, *(f"{when}:{number}" for when in ("before", "after") for number in range(5)))
        assert len(store.find(asked)) == 4
        backup.backup(live)
    for number in range(5):
        sql(directory, "INSERT INTO revocation (key, value) VALUES (?, ?)", f"after:{number}", "cancelled")
    soon(lambda: store.find(asked).keys() == {KEY, *(f"after:{number}" for number in range(5))})


def test_a_database_that_was_set_back_is_read_whole(store: SqliteStore, directory: Path) -> None:
    store.put(KEY, CANCELLED)
    store.put("before", CANCELLED)
    assert store.find(("before",))
    sql(directory, "DELETE FROM revocation WHERE key = 'before'")
    sql(directory, "DELETE FROM revocation WHERE value IS NULL")
    sql(directory, "UPDATE sqlite_sequence SET seq = 1")
    soon(lambda: store.find((KEY, "before")) == FOUND)


def test_a_write_into_a_file_that_was_replaced_meanwhile_is_not_acknowledged(directory: Path, tmp_path: Path) -> None:
    replacing = False

    def clock() -> float:  # is asked in the midst of a write
        if replacing:
            (directory / "state.db").rename(tmp_path / "moved.db")
        return time.time()

    with closing(SqliteStore(directory, clock=clock)) as store:
        store.put(KEY, CANCELLED)
        replacing = True
        with pytest.raises(StateUnavailable, match="replaced or deleted"):
            store.put("lost", CANCELLED)


def test_an_older_database_never_gives_a_number_twice(start: Open, directory: Path) -> None:
    # a reader that slept through the restoring must not take a new number for one that it knows
    store, sleeper = start(), start()
    store.put(KEY, CANCELLED)
    store.put("before", CANCELLED)
    assert sleeper.find(("before",))
    # in its place and behind SQLite's back: neither inode nor schema version tells
    sql(directory, "DELETE FROM revocation WHERE key = 'before'")
    sql(directory, "DELETE FROM revocation WHERE value IS NULL")
    sql(directory, "UPDATE sqlite_sequence SET seq = 1")
    store.put("after", CANCELLED)
    assert sleeper.find(("before", "after")) == {"after": "cancelled"}


def test_garbage_in_the_databases_place_is_out_of_reach_until_it_is_mended(
    store: SqliteStore, directory: Path, tmp_path: Path
) -> None:
    store.put(KEY, CANCELLED)
    assert store.find((KEY,)) == FOUND
    store.inspect()
    good = tmp_path / "good.db"
    with closing(sqlite3.connect(directory / "state.db")) as source, closing(sqlite3.connect(good)) as target:
        source.backup(target)
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"this is no database" * 1000)
    for path in directory.glob("state.db-*"):
        path.unlink()
    bad.replace(directory / "state.db")
    soon(lambda: is_away(store))
    with pytest.raises(StateUnavailable, match="not a database"):
        store.put("more", CANCELLED)
    assert not store.inspect().reachable
    good.replace(directory / "state.db")
    soon(lambda: not is_away(store))
    assert store.find((KEY,)) == FOUND
    assert store.inspect().reachable
    store.put("more", CANCELLED)


def test_pages_overwritten_with_garbage_are_out_of_reach(store: SqliteStore, start: Open, directory: Path) -> None:
    for number in range(100):
        store.put(f"{KEY}:{number}", CANCELLED)
    store.close()
    database = directory / "state.db"
    content = bytearray(database.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    database.write_bytes(content)
    damaged = start()
    for question in (
        lambda: damaged.find((KEY,)),
        lambda: damaged.put(KEY, CANCELLED),
        lambda: list(damaged.entries("")),
    ):
        with pytest.raises(StateUnavailable, match=r"state\.db"):
            question()


def test_changes_that_cannot_be_read_are_never_answered_from_what_was_known(
    store: SqliteStore, other: SqliteStore, directory: Path
) -> None:
    store.put(KEY, CANCELLED)
    assert other.find((KEY,)) == FOUND
    sql(directory, "ALTER TABLE history RENAME TO mislaid")
    soon(lambda: is_away(other))
    with pytest.raises(StateUnavailable):
        other.find(("anything",))
    sql(directory, "ALTER TABLE mislaid RENAME TO history")
    soon(lambda: not is_away(other))
    assert other.find((KEY,)) == FOUND
    store.put("more", CANCELLED)
    assert other.find(("more",))


# whose database it is


def test_a_database_of_a_newer_version_is_left_alone(store: SqliteStore, start: Open, directory: Path) -> None:
    store.put(KEY, CANCELLED)
    store.close()
    sql(directory, "PRAGMA user_version = 99")
    with pytest.raises(StateUnavailable, match="newer Sluicegate"):
        start().find((KEY,))
    with pytest.raises(StateUnavailable, match="newer Sluicegate"):
        start().put(KEY, CANCELLED)


def test_a_database_of_another_program_is_left_alone(store: SqliteStore, directory: Path) -> None:
    directory.mkdir(parents=True)
    sql(directory, "CREATE TABLE theirs (a)")
    before = (directory / "state.db").read_bytes()
    with pytest.raises(StateUnavailable, match="not a database of Sluicegate"):
        store.put(KEY, CANCELLED)
    assert (directory / "state.db").read_bytes() == before


def test_a_copy_made_by_vacuum_is_made_fit_for_many_processes(
    store: SqliteStore, start: Open, directory: Path, tmp_path: Path
) -> None:
    store.put(KEY, CANCELLED)
    sql(directory, f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    store.close()
    (tmp_path / "copy.db").replace(directory / "state.db")
    reader, writer = start(), start()
    assert reader.find((KEY,)) == FOUND
    writer.put("more", CANCELLED)
    assert reader.find(("more",))


def test_a_state_dir_that_is_a_file_is_out_of_reach(store: SqliteStore, directory: Path) -> None:
    directory.parent.mkdir()
    directory.write_text("")
    with pytest.raises(StateUnavailable):
        store.find((KEY,))
    assert not store.inspect().reachable
    directory.unlink()
    soon(lambda: not is_away(store))


def test_a_closed_store_answers_nothing(store: SqliteStore) -> None:
    store.put(KEY, CANCELLED)
    assert store.find((KEY,)) == FOUND
    store.close()
    store.close()
    for question in (
        lambda: store.find((KEY,)),
        lambda: store.put(KEY, CANCELLED),
        lambda: store.remove(KEY),
        lambda: list(store.entries("")),
    ):
        with pytest.raises(StateUnavailable, match="closed"):
            question()


# waiting


def test_a_write_waits_for_another_writer_no_longer_than_it_was_told(start: Open, directory: Path) -> None:
    patient = start()
    patient.put(KEY, CANCELLED)
    with (
        closing(SqliteStore(directory, write_within=0.2)) as hasty,
        closing(Generation(directory / "generation")) as writer,
        ThreadPoolExecutor(1) as pool,
    ):
        with writer.held(1):
            waiting = pool.submit(patient.put, "patient", CANCELLED)
            with pytest.raises(StateUnavailable, match=r"0\.2 s"):
                hasty.put("hasty", CANCELLED)
            assert hasty.find((KEY, "patient", "hasty")) == FOUND  # no question waits for a writer
        assert waiting.result() == CANCELLED
        assert hasty.put("hasty", CANCELLED) == CANCELLED
        assert hasty.find(("patient", "hasty")).keys() == {"patient", "hasty"}


def test_questions_are_answered_while_another_sql_client_keeps_the_database_locked(
    store: SqliteStore, directory: Path
) -> None:
    store.put(KEY, CANCELLED)
    with closing(sqlite3.connect(directory / "state.db", isolation_level=None)) as client:
        client.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateUnavailable, match="locked"):
            store.put("more", CANCELLED)
        assert store.find((KEY, "more")) == FOUND
    assert store.put("more", CANCELLED) == CANCELLED


def test_a_generation_that_holds_no_number_fails_writes_until_it_is_deleted(
    store: SqliteStore, directory: Path
) -> None:
    store.put(KEY, CANCELLED)
    (directory / "generation").write_bytes(b"\xff" * 8)
    assert store.find((KEY,)) == FOUND
    with pytest.raises(StateUnavailable, match="delete that file"):
        store.put("more", CANCELLED)
    (directory / "generation").unlink()
    store.put("more", CANCELLED)
    soon(lambda: store.find((KEY, "more")).keys() == {KEY, "more"})


def test_the_generation_keeps_its_number_when_it_is_opened_again(directory: Path) -> None:
    directory.mkdir(parents=True)
    with closing(Generation(directory / "generation")) as first:
        with first.held(1):
            first.set(2**40 + 1)
        with closing(Generation(directory / "generation")) as second:
            assert first.view[0] == second.view[0] == 2**40 + 1
            assert first.is_current()


def test_threads_share_one_store(store: SqliteStore) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> int:
        start.wait()
        found = 0
        for one in range(30):
            key = f"{number}:{one}"
            store.put(key, CANCELLED)
            found += store.find((key,)) == {key: "cancelled"}
            found += store.remove(key)
            found += store.find((key,)) == {}
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [90] * 8
