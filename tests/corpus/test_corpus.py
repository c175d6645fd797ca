"""Every case of the corpus, through a real gateway to a real upstream: what the data says, and nothing else."""

import itertools

import pytest

from tests.corpus import generate
from tests.corpus.case import DATA, Case, read
from tests.corpus.generate import FAMILIES
from tests.corpus.stage import Stage, judged, performed, stage
from tests.server.gate import TOKEN

AFTER = b"GET /open/after HTTP/1.1\r\nHost: a.test\r\n\r\n"
AFTERWARDS = "GET /open/after 0"
SHORT = 110
"""Cases of at most so many bytes are cut at every place."""
MANY = 5
"""Of the line ends of a longer one so many are cut from each side."""


@pytest.mark.parametrize("family", [*FAMILIES, "replies"])
def test_the_data_is_what_the_generator_makes(family: str) -> None:
    assert (DATA / f"{family}.jsonl").read_text("ascii") == generate.texts()[family]


def test_no_two_cases_of_a_family_have_one_name() -> None:
    names = [(family, one.id) for family in FAMILIES for one in read(family)]
    assert len(names) > 1500
    assert [name for name, again in itertools.pairwise(sorted(names)) if name == again] == []


async def _played(cases: list[Case], *, then: bytes) -> list[str]:
    async with stage() as here:
        return [fault for one in cases if (fault := await _play(here, one, then=then))]


async def _play(here: Stage, one: Case, *, then: bytes) -> str:
    sent = one.sent(TOKEN)
    if not then or one.end == "waits":
        return judged(one, await here.play(sent))
    return judged(one, await here.play(sent + then), then=(AFTERWARDS,) if one.end == "open" else ())


@pytest.mark.parametrize("family", FAMILIES)
def test_each_case_becomes_what_the_data_says(family: str) -> None:
    assert performed(_played(list(read(family)), then=b"")) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_what_follows_is_served_where_the_connection_goes_on_and_never_read_elsewhere(family: str) -> None:
    assert performed(_played(list(read(family)), then=AFTER)) == []


def _short(family: str) -> list[tuple[Case, bytes]]:
    """Return the short cases; of the families that try byte after byte, every third."""
    cases = ((one, one.sent(TOKEN)) for one in read(family))
    short = [(one, sent) for one, sent in cases if len(sent) <= SHORT]
    return short[:: 3 if family in {"chunks", "fields", "hosts", "lines", "published", "targets"} else 1]


async def _cut(family: str) -> list[str]:
    async with stage() as here:
        return [
            f"cut at {place}: {fault}"
            for one, sent in _short(family)
            for place in range(1, len(sent))
            if (fault := judged(one, await here.play(sent[:place], sent[place:])))
        ]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_short_case_cut_in_two_anywhere_is_the_same_case(family: str) -> None:
    assert performed(_cut(family)) == []


async def _cut_in_line_ends(family: str) -> list[str]:
    async with stage() as here:
        return [
            f"cut at {place}: {fault}"
            for one in read(family)
            if len(sent := one.sent(TOKEN)) > SHORT
            for place in _in_line_ends(sent)
            if (fault := judged(one, await here.play(sent[:place], sent[place:])))
        ]


def _in_line_ends(sent: bytes) -> list[int]:
    """Return the places between CR and LF, the first and the last of many."""
    places = [place + 1 for place in range(len(sent)) if sent.startswith(b"\r\n", place)]
    return places if len(places) <= 2 * MANY else places[:MANY] + places[-MANY:]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_case_cut_between_cr_and_lf_is_the_same_case(family: str) -> None:
    """Where a limit counts half of a line's end, it shows here."""
    assert performed(_cut_in_line_ends(family)) == []


async def _trickled(family: str) -> list[str]:
    async with stage() as here:
        return [
            fault
            for one, sent in _short(family)[::10]
            if (fault := judged(one, await here.play(*(sent[place : place + 1] for place in range(len(sent))))))
        ]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_short_case_that_comes_byte_by_byte_is_the_same_case(family: str) -> None:
    assert performed(_trickled(family)) == []


async def _again(family: str) -> list[str]:
    """Play each case that leaves its connection open twice: heads and blocks that come again are not read again."""
    async with stage() as here:
        return [
            fault
            for one in read(family)
            if one.end == "open" and len(one.gets) < 10
            if (fault := judged(one, await here.play(one.sent(TOKEN), one.sent(TOKEN)), then=_gets(one)))
        ]


def _gets(one: Case) -> tuple[str | int, ...]:
    return tuple(get.replace("$TOKEN", TOKEN) if isinstance(get, str) else get for get in one.gets)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_case_that_comes_again_on_its_connection_becomes_the_same(family: str) -> None:
    assert performed(_again(family)) == []


async def _behind_a_good_one(family: str) -> list[str]:
    """Play each case behind a request with the same fields: whatever is wrong is in a head whose block may be known."""
    async with stage() as here:
        found = []
        for one in read(family):
            sent = one.sent(TOKEN)
            result = await here.play(b"GET /open/before HTTP/1.1\r\nHost: a.test\r\n\r\n", sent)
            wanted = ("GET /open/before 0", *_gets(one))
            if result.gets != wanted or result.faults:
                found.append(f"{one.id}: {result.gets[:5]} {result.faults}")
        return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_case_on_a_used_connection_becomes_the_same(family: str) -> None:
    assert performed(_behind_a_good_one(family)) == []
