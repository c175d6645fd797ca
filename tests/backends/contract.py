"""What every store of revocations promises, whatever it is made of.

A store passes by a class of its own::

    class TestRedis(StateContract):
        @pytest.fixture
        def store(self, redis): ...  # empty, and its clock the one that `now` tells
        @pytest.fixture
        def other(self, redis): ...  # a second handle, as another process would have: nothing shared but the data

and, where these do not fit, by its own `ask` (a `find` that must be awaited), `now` and `pass_time` (a clock that is
not the machine's).
"""

import random
import threading
import time
import unicodedata
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from sluicegate.core.revocation import Entry, Revocation, decode, encode, merge
from sluicegate.errors import InvalidSelector
from sluicegate.ports import Inspectable, Ledger, StateStore

WITHIN = 10.0
"""Seconds in which what must happen does, on a busy machine too."""

KEY = "BLACKLIST:key:4f1c"


class Store(StateStore, Ledger, Inspectable, Protocol):
    """All that a backend is."""


def cutoff(not_before: float, reason: str = "password changed") -> str:
    """The value that revokes what was issued until then."""
    return encode(Revocation(reason=reason, not_before=not_before))


def until(condition: Callable[[], bool], *, step: Callable[[], None]) -> None:
    """Wait for what must come true; raises `AssertionError` when it does not."""
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        step()


class StateContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> Store:
        raise NotImplementedError

    def ask(self, store: Store, *keys: str) -> Mapping[str, str | None]:
        answer = store.find(keys)
        assert isinstance(answer, Mapping), "this store answers awaitably: override `ask`"
        return answer

    def now(self) -> float:
        """Seconds since the epoch, as the store's clock tells."""
        return time.time()

    def pass_time(self) -> None:
        """Let a moment pass on that clock."""
        time.sleep(0.02)

    # answers

    def test_what_was_never_written_does_not_stand(self, store: Store) -> None:
        assert self.ask(store, KEY, "BLACKLIST:sub:alice") == {}

    def test_a_question_about_nothing_finds_nothing(self, store: Store) -> None:
        store.put(KEY, Entry("cancelled"))
        assert self.ask(store) == {}

    @pytest.mark.parametrize(
        "value", ["cancelled", "", "0", "false", "null", "{", '{"reason": "abuse"}', "ß\n€😀", "x" * 65536]
    )
    def test_any_value_revokes_and_comes_back_as_it_was_written(self, store: Store, value: str) -> None:
        store.put(KEY, Entry(value))
        assert self.ask(store, KEY) == {KEY: value}

    @pytest.mark.parametrize(
        ("written", "asked"),
        [
            (KEY, KEY.upper()),
            (KEY, KEY + " "),
            (KEY, KEY[:-1]),
            (KEY, KEY + "\0"),
            (KEY + "\0a", KEY + "\0b"),
            ("BLACKLIST:key:*", KEY),
            ("BLACKLIST:key:?f1c", KEY),
            ("BLACKLIST:key:[3-5]f1c", KEY),
            ("BLACKLIST:key:%", KEY),
            ("BLACKLIST:key:____", KEY),
            ("BLACKLIST:key:1", "BLACKLIST:key:01"),
            ("BLACKLIST:key:1", "BLACKLIST:key:1.0"),
            (unicodedata.normalize("NFC", "Zoë"), unicodedata.normalize("NFD", "Zoë")),
            ("\u017f", "s"),
            ("\u0130", "i"),
        ],
    )
    def test_keys_are_compared_byte_for_byte(self, store: Store, written: str, asked: str) -> None:
        store.put(written, Entry("cancelled"))
        store.put(asked + "!", Entry("cancelled"))
        assert self.ask(store, asked) == {}
        assert self.ask(store, written) == {written: "cancelled"}
        assert not store.remove(asked)
        assert self.ask(store, written) == {written: "cancelled"}

    def test_one_question_finds_all_that_stand_and_no_other(self, store: Store) -> None:
        keys = tuple(f"{KEY}:{number}" for number in range(200))
        for key in keys[::2]:
            store.put(key, Entry(f"reason of {key}"))
        assert dict(self.ask(store, *keys)) == {key: f"reason of {key}" for key in keys[::2]}

    def test_a_key_asked_twice_is_found(self, store: Store) -> None:
        store.put(KEY, Entry("cancelled"))
        assert self.ask(store, KEY, KEY) == {KEY: "cancelled"}

    def test_ten_thousand_entries_all_stand(self, store: Store) -> None:
        keys = [f"{KEY}:{number}" for number in range(10_000)]
        with ThreadPoolExecutor(4) as pool:
            for _ in pool.map(lambda key: store.put(key, Entry("cancelled", self.now() + 3600)), keys):
                pass
        found: set[str] = set()
        for start in range(0, len(keys), 100):
            found |= self.ask(store, *keys[start : start + 100]).keys()
        assert found == set(keys)
        assert {key for key, _ in store.entries(KEY)} == set(keys)

    # strictness

    def test_another_handle_finds_a_write_at_once(self, store: Store, other: Store) -> None:
        for number in range(100):
            key = f"{KEY}:{number}"
            writer, reader = (store, other) if number % 2 else (other, store)
            assert self.ask(reader, key) == {}
            writer.put(key, Entry("cancelled"))
            assert self.ask(reader, key) == {key: "cancelled"}

    def test_another_handle_sees_a_removal_at_once(self, store: Store, other: Store) -> None:
        for _ in range(20):
            store.put(KEY, Entry("cancelled"))
            assert self.ask(other, KEY) == {KEY: "cancelled"}
            assert store.remove(KEY)
            assert self.ask(other, KEY) == {}

    def test_another_handle_sees_a_change_at_once(self, store: Store, other: Store) -> None:
        store.put(KEY, Entry("cancelled"))
        assert self.ask(other, KEY) == {KEY: "cancelled"}
        other.put(KEY, Entry("abuse"))
        assert self.ask(store, KEY) == {KEY: "abuse"}

    # writing

    def test_a_write_answers_with_what_stands(self, store: Store) -> None:
        assert store.put(KEY, Entry("cancelled")) == Entry("cancelled")
        assert store.put(KEY, Entry("abuse")) == Entry("abuse")
        assert self.ask(store, KEY) == {KEY: "abuse"}

    def test_a_cutoff_only_moves_later(self, store: Store, other: Store) -> None:
        store.put(KEY, Entry(cutoff(200)))
        assert decode(other.put(KEY, Entry(cutoff(100))).value).not_before == 200
        assert self.ask(store, KEY) == {KEY: cutoff(200)}
        assert decode(other.put(KEY, Entry(cutoff(300))).value).not_before == 300
        assert self.ask(store, KEY) == {KEY: cutoff(300)}

    def test_no_cutoff_weakens_a_revocation_of_every_token(self, store: Store) -> None:
        store.put(KEY, Entry("abuse"))
        assert store.put(KEY, Entry(cutoff(100))).value == "abuse"
        assert self.ask(store, KEY) == {KEY: "abuse"}

    def test_a_revocation_of_every_token_replaces_a_cutoff(self, store: Store) -> None:
        store.put(KEY, Entry(cutoff(100)))
        assert store.put(KEY, Entry("abuse")).value == "abuse"

    def test_a_life_only_grows(self, store: Store) -> None:
        end = float(int(self.now()) + 1000)
        store.put(KEY, Entry("cancelled", end))
        assert store.put(KEY, Entry("abuse", end - 500)) == Entry("abuse", end)
        assert store.put(KEY, Entry("abuse", end + 500)) == Entry("abuse", end + 500)
        assert store.put(KEY, Entry("abuse")) == Entry("abuse")
        assert store.put(KEY, Entry("abuse", end)) == Entry("abuse")

    def test_any_order_of_writes_and_removals_ends_as_the_rules_say(self, store: Store, other: Store) -> None:
        chance = random.Random(7519)  # noqa: S311 - a sequence, no secret
        later = float(int(self.now()) + 1000)
        model: dict[str, Entry] = {}
        for _ in range(400):
            writer, reader = chance.sample((store, other), 2)
            key = chance.choice(("a", "b", "c", "d"))
            if chance.random() < 0.2:
                assert writer.remove(key) == (model.pop(key, None) is not None)
            else:
                value = chance.choice(("cancelled", "abuse", "", cutoff(chance.randrange(100))))
                entry = Entry(value, chance.choice((None, later + chance.randrange(100))))
                model[key] = merge(model.get(key), entry)
                assert writer.put(key, entry) == model[key]
            assert self.ask(reader, "a", "b", "c", "d") == {name: entry.value for name, entry in model.items()}
        assert dict(store.entries("")) == model

    def test_what_was_removed_is_no_more_and_can_be_written_again(self, store: Store) -> None:
        store.put(KEY, Entry("abuse"))
        assert store.remove(KEY)
        assert not store.remove(KEY)
        assert self.ask(store, KEY) == {}
        assert store.put(KEY, Entry(cutoff(100))) == Entry(cutoff(100))  # merged with nothing: nothing stood
        assert self.ask(store, KEY) == {KEY: cutoff(100)}

    def test_half_a_character_is_refused_before_it_is_written(self, store: Store) -> None:
        with pytest.raises(InvalidSelector):
            store.put("BLACKLIST:key:\ud800", Entry("cancelled"))
        with pytest.raises(InvalidSelector):
            store.put(KEY, Entry("\udfff"))
        assert list(store.entries("")) == []
        assert not store.remove("BLACKLIST:key:\ud800")
        store.put(KEY, Entry("cancelled"))
        assert list(store.entries("BLACKLIST:key:\ud800")) == []

    def test_cutoffs_put_by_many_threads_end_with_the_greatest(self, store: Store, other: Store) -> None:
        cutoffs = [float(number * 37 % 101) for number in range(101)]
        start = threading.Barrier(4)

        def put(mine: list[float], handle: Store) -> None:
            start.wait()
            for not_before in mine:
                handle.put(KEY, Entry(cutoff(not_before)))

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(put, cutoffs[n::4], (store, other)[n % 2]) for n in range(4)]:
                future.result()
        (value,) = self.ask(store, KEY).values()
        assert decode(value).not_before == 100

    # listing

    def test_entries_are_those_whose_key_begins_so(self, store: Store) -> None:
        keys = ["a", "a:", "a:1", "a:2", "a:\U0010ffff", "a:\U0010ffff1", "a:é", "a;", "b", "A:1", "a:*", "a:%", "a:\0"]
        for key in keys:
            store.put(key, Entry(f"of {key}"))
        for prefix in ["", "a", "a:", "a:1", "a:\U0010ffff", "a:*", "a:%", "a:?", "a:[12]", "a_", "A", "c", "a:\0"]:
            wanted = {key: f"of {key}" for key in keys if key.startswith(prefix)}
            listed = [(key, entry.value) for key, entry in store.entries(prefix)]
            assert len(listed) == len(wanted)
            assert dict(listed) == wanted

    def test_entries_come_with_their_value_and_end(self, store: Store) -> None:
        end = float(int(self.now()) + 1000)
        store.put("a", Entry("cancelled", end))
        store.put("b", Entry(cutoff(100)))
        assert dict(store.entries("")) == {"a": Entry("cancelled", end), "b": Entry(cutoff(100))}

    def test_a_listing_bears_writes_while_it_is_read(self, store: Store) -> None:
        keys = {f"{KEY}:{number:05}" for number in range(2_500)}
        for key in keys:
            store.put(key, Entry("cancelled"))
        seen = set()
        for key, _ in store.entries(KEY):
            seen.add(key)
            if len(seen) % 500 == 0:
                store.put(f"{KEY}:new:{len(seen)}", Entry("cancelled"))
                store.remove(key)
        assert keys <= seen

    # expiry

    def test_an_entry_that_has_ended_does_not_stand(self, store: Store, other: Store) -> None:
        store.put(KEY, Entry("cancelled", self.now() - 10))
        assert self.ask(store, KEY) == {}
        assert self.ask(other, KEY) == {}
        assert list(store.entries("")) == []
        assert not store.remove(KEY)

    def test_an_entry_stands_until_it_ends(self, store: Store, other: Store) -> None:
        end = self.now() + 2
        store.put(KEY, Entry("cancelled", end))
        store.put("for ever", Entry("cancelled"))
        both = [self.ask(handle, KEY, "for ever") for handle in (store, other)]
        if self.now() < end:  # else this machine was so busy that two seconds went by
            assert both == [{KEY: "cancelled", "for ever": "cancelled"}] * 2
        until(lambda: KEY not in self.ask(store, KEY), step=self.pass_time)
        until(lambda: KEY not in self.ask(other, KEY), step=self.pass_time)
        assert self.now() > end - 0.05  # a store may round to its own clock's step
        assert self.ask(store, KEY, "for ever") == {"for ever": "cancelled"}
        assert dict(store.entries("")) == {"for ever": Entry("cancelled")}
        assert not store.remove(KEY)

    def test_what_has_ended_weakens_and_strengthens_nothing(self, store: Store) -> None:
        store.put(KEY, Entry("abuse", self.now() + 1))
        until(lambda: not self.ask(store, KEY), step=self.pass_time)
        later = float(int(self.now()) + 1000)
        assert store.put(KEY, Entry(cutoff(100), later)) == Entry(cutoff(100), later)
        assert self.ask(store, KEY) == {KEY: cutoff(100)}

    def test_a_longer_life_given_in_time_counts(self, store: Store) -> None:
        first = self.now() + 1
        store.put(KEY, Entry("cancelled", first))
        store.put(KEY, Entry("cancelled", first + 1000))
        until(lambda: self.now() > first, step=self.pass_time)
        assert self.ask(store, KEY) == {KEY: "cancelled"}

    # threads, and how it is

    def test_threads_that_ask_while_others_write_miss_nothing_that_was_acknowledged(
        self, store: Store, other: Store
    ) -> None:
        done = threading.Event()
        acknowledged: list[str] = []

        def write() -> None:
            try:
                for number in range(60):
                    key = f"{KEY}:{number}"
                    store.put(key, Entry("cancelled"))
                    acknowledged.append(key)
            finally:
                done.set()

        def read(handle: Store) -> list[str]:
            missed = []
            while not done.is_set():
                known = acknowledged[-1:]
                missed += [key for key in known if key not in self.ask(handle, key, "another")]
            return missed

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read, handle) for handle in (store, other, other)]
            pool.submit(write).result()
            assert [reader.result() for reader in readers] == [[], [], []]

    def test_a_store_within_reach_says_so(self, store: Store) -> None:
        report = store.inspect()
        assert report.reachable
        assert report.since is None
        assert report.kind
