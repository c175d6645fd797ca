"""Remembered answers: how many, how long, and which goes first."""

from sluicegate.core.answers import Answers

NOW = 1_800_000_000.0


def filled(size: int, *keys: str) -> Answers[str]:
    answers: Answers[str] = Answers(size)
    for key in keys:
        remember(answers, key)
    return answers


def remember(answers: Answers[str], key: str, *, since: float = NOW, fresh: float = 60, kept: float = 0) -> None:
    answers.put(key, f"of {key}", since=since, fresh_until=since + fresh, kept_until=since + fresh + kept)


def held(answers: Answers[str], *keys: str, now: float = NOW) -> list[str]:
    return [key for key in keys if answers.get(key, now) is not None]


def test_what_was_put_is_found_until_it_is_no_longer_fresh() -> None:
    answers = filled(10, "a")
    assert answers.get("a", NOW) == "of a"
    assert answers.get("a", NOW + 59.9) == "of a"
    assert answers.get("a", NOW + 60) is None
    assert answers.get("b", NOW) is None


def test_it_holds_as_many_as_it_may_and_never_one_more() -> None:
    for size in (1, 2, 3, 100):
        answers = filled(size, *map(str, range(500)))
        assert len(answers) == size
        assert held(answers, *map(str, range(500))) == [str(number) for number in range(500 - size, 500)]


def test_the_one_longest_unused_goes_first() -> None:
    answers = filled(3, "a", "b", "c")
    assert held(answers, "a") == ["a"]
    remember(answers, "d")
    assert held(answers, "a", "b", "c", "d") == ["a", "c", "d"]


def test_an_answer_given_anew_counts_as_used() -> None:
    answers = filled(3, "a", "b", "c")
    remember(answers, "a")
    remember(answers, "d")
    assert held(answers, "a", "b", "c", "d") == ["a", "c", "d"]


def test_past_its_time_it_is_kept_for_hard_times_as_long_as_it_says() -> None:
    answers: Answers[str] = Answers(3)
    remember(answers, "a", fresh=60, kept=30)
    assert answers.get("a", NOW + 75) is None
    assert answers.get_stale("a", NOW + 75) == "of a"
    assert answers.get_stale("a", NOW + 90) is None


def test_without_a_life_nothing_is_remembered_and_what_was_there_is_gone() -> None:
    answers = filled(3, "a")
    remember(answers, "a", fresh=0)
    assert answers.get_stale("a", NOW) is None
    assert len(answers) == 0


def test_without_freshness_it_is_kept_for_hard_times_only() -> None:
    answers: Answers[str] = Answers(3)
    remember(answers, "a", fresh=0, kept=30)
    assert answers.get("a", NOW) is None
    assert answers.get_stale("a", NOW) == "of a"


def test_a_clock_that_was_set_back_does_not_lengthen_a_life() -> None:
    answers = filled(3, "a")
    assert answers.get("a", NOW - 1) is None
    assert answers.get_stale("a", NOW - 1) is None
    assert answers.get("a", NOW) == "of a"


def test_what_is_dropped_is_gone() -> None:
    answers = filled(3, "a", "b")
    answers.drop("a")
    answers.drop("never there")
    assert held(answers, "a", "b") == ["b"]
