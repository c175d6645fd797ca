"""When what is open ends by itself."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.server.events.ends import Ends, is_past

YEAR = 31_536_000


@dataclass(frozen=True, eq=False)
class One:
    """Something that ends."""

    ends: float


@given(
    st.lists(st.one_of(st.floats(0, 100), st.just(float("inf")))), st.lists(st.floats(0, 110)), st.sets(st.integers(0))
)
def test_everything_is_taken_once_when_its_time_has_come_and_not_before(
    times: list[float], looks: list[float], left: set[int]
) -> None:
    ends, ones = Ends[One](), [One(time) for time in times]
    for one in ones:
        ends.add(one)
    for place in left:
        if place < len(ones):
            ends.discard(ones[place])
    expected = {one for place, one in enumerate(ones) if place not in left}
    for now in sorted(looks):
        taken = list(ends.take(now))
        assert set(taken) == {one for one in expected if is_past(one, now)}
        assert len(taken) == len(set(taken))
        assert all(one.ends <= now for one in taken)
        expected -= set(taken)
    assert all(one.ends > max(looks, default=0) - 0.5 for one in expected)


def test_of_what_has_ended_long_before_its_token_nothing_is_kept() -> None:
    ends, open_all_along = Ends[One](), One(YEAR)
    ends.add(open_all_along)
    for number in range(10_000):  # tokens of a year, one a second
        one = One(float(YEAR + number))
        ends.add(one)
        ends.discard(one)
    assert len(ends) < 100
    assert list(ends.take(2 * YEAR)) == [open_all_along]
