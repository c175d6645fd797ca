"""How long keys are fresh, and when they are asked for again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.flow import Reply
from sluicegate.core.freshness import (
    COOLDOWN,
    DEFAULT_LIFETIME,
    LAST_GOOD,
    LEAST_LIFETIME,
    MOST_LIFETIME,
    Freshness,
    lifetime,
)

NOW = 1_800_000_000.0


def always(value: float) -> Freshness:
    return Freshness(lambda: value)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, DEFAULT_LIFETIME),
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": "public, max-age=600, must-revalidate"}, 600),
        ({"cache-control": 'MAX-AGE = "600"'}, 600),
        ({"cache-control": "max-age=600", "age": "100"}, 500),
        ({"cache-control": "max-age=600", "age": "590"}, LEAST_LIFETIME),
        ({"cache-control": "max-age=600", "age": "soon"}, 600),
        ({"cache-control": "max-age=0"}, LEAST_LIFETIME),
        ({"cache-control": "max-age=31536000"}, MOST_LIFETIME),
        ({"cache-control": "max-age=-1"}, LEAST_LIFETIME),
        ({"cache-control": "max-age=1e9"}, LEAST_LIFETIME),
        ({"cache-control": "max-age=" + "9" * 5000}, LEAST_LIFETIME),
        ({"cache-control": "max-age"}, LEAST_LIFETIME),
        ({"cache-control": "max-age=900, max-age=600"}, 600),
        ({"cache-control": "no-store"}, LEAST_LIFETIME),
        ({"cache-control": "no-cache, max-age=600"}, LEAST_LIFETIME),
        ({"cache-control": "s-maxage=10"}, DEFAULT_LIFETIME),
        ({"cache-control": "private"}, DEFAULT_LIFETIME),
        ({"expires": "Thu, 01 Jan 1970 00:00:00 GMT"}, DEFAULT_LIFETIME),
    ],
    ids=str,
)
def test_the_issuer_says_how_long_its_keys_are_fresh_within_our_bounds(headers: dict[str, str], seconds: float) -> None:
    assert lifetime(Reply(200, tuple(headers.items()), b"")) == seconds


def test_directives_in_several_fields_count_together() -> None:
    assert lifetime(Reply(200, (("cache-control", "public"), ("cache-control", "max-age=90")), b"")) == 90


@given(st.text())
def test_no_value_of_cache_control_leaves_the_bounds(value: str) -> None:
    assert LEAST_LIFETIME <= lifetime(Reply(200, (("cache-control", value),), b"")) <= MOST_LIFETIME


def test_what_was_never_fetched_is_due_and_does_not_count() -> None:
    fresh = always(0.5)
    assert fresh.is_due(NOW)
    assert not fresh.counts(NOW)
    assert fresh.age(NOW) is None


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.8), (1.0, 0.95)])
def test_keys_are_due_before_their_time_ends_at_a_moment_that_chance_picks(chance: float, share: float) -> None:
    fresh = always(chance)
    fresh.succeeded(NOW, begun=NOW, life=1000)
    assert not fresh.is_due(NOW + 1000 * share - 1)
    assert fresh.is_due(NOW + 1000 * share + 1)


def test_a_refresh_on_its_way_is_not_begun_again_unless_it_is_lost() -> None:
    fresh = always(0.5)
    fresh.attempting(NOW)
    assert not fresh.is_due(NOW + 10)
    assert fresh.is_due(NOW + 60)


def test_keys_that_cannot_be_refreshed_count_for_a_day_and_no_longer() -> None:
    fresh = always(0.5)
    fresh.succeeded(NOW, begun=NOW, life=300)
    for moment in range(0, int(LAST_GOOD), 3600):
        fresh.failed(NOW + moment, routine=True)
    assert fresh.counts(NOW + LAST_GOOD - 1)
    assert not fresh.counts(NOW + LAST_GOOD)
    assert fresh.is_due(NOW + LAST_GOOD), "an old verdict must not be recalled once the keys have stopped counting"


def test_an_issuer_that_is_away_is_asked_less_and_less_but_at_least_once_a_minute() -> None:
    fresh, now, pauses = always(1.0), NOW, []
    for _ in range(12):
        fresh.failed(now, routine=True)
        pause = next(second for second in range(1, 100) if fresh.is_due(now + second))
        pauses.append(pause)
        now += pause
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]


def test_chance_spreads_the_attempts_of_many_nodes() -> None:
    early, late = always(0.0), always(1.0)
    for fresh in (early, late):
        for _ in range(5):
            fresh.failed(NOW, routine=True)
    assert early.is_due(NOW + 8)
    assert not late.is_due(NOW + 15)


def test_a_success_ends_the_pauses() -> None:
    fresh = always(1.0)
    for _ in range(10):
        fresh.failed(NOW, routine=True)
    fresh.succeeded(NOW, begun=NOW, life=300)
    fresh.failed(NOW, routine=True)
    assert fresh.is_due(NOW + 1)


def test_a_key_that_nobody_knows_is_asked_for_once_a_cooldown() -> None:
    fresh = always(0.5)
    assert fresh.has_cooled(NOW)
    fresh.asking(NOW)
    # a request that came a moment before the other asked is no reason either
    assert not any(fresh.has_cooled(NOW + passed) for passed in (-0.5, 0, 1, COOLDOWN - 0.001))
    assert fresh.has_cooled(NOW + COOLDOWN)


def test_a_failure_to_find_an_unknown_key_does_not_shorten_the_life_of_fresh_keys() -> None:
    """Or a flood of unknown kids would make an issuer in trouble be asked all the more."""
    fresh = always(1.0)
    fresh.succeeded(NOW, begun=NOW, life=300)
    fresh.asking(NOW + 10)
    fresh.failed(NOW + 11, routine=False)
    assert not fresh.is_due(NOW + 200)


@pytest.mark.parametrize("back", [3600.0, 86_400.0 * 365])
def test_a_clock_that_is_set_back_does_not_make_old_keys_fresh_for_longer(back: float) -> None:
    fresh = always(0.5)
    fresh.succeeded(NOW, begun=NOW, life=300)
    fresh.asking(NOW)
    assert fresh.is_due(NOW - back)
    assert fresh.has_cooled(NOW - back)
    fresh.failed(NOW - back, routine=True)
    assert not fresh.is_due(NOW - back), "nor is the issuer asked at every request"


def test_whoever_came_before_the_keys_were_asked_for_learns_nothing_from_asking_again() -> None:
    fresh = always(0.5)
    fresh.succeeded(NOW + 1, begun=NOW, life=300)
    assert fresh.is_newer(NOW)
    assert not fresh.is_newer(NOW + 0.5)
