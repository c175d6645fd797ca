"""Who may have which topic: patterns are readable in one way only."""

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.decision import Identity
from sluicegate.core.topics import InvalidPattern, InvalidTopic, canonical, is_allowed, pattern

OWN = "user-{http.auth.user.id}-*"
UUID = "550e8400-e29b-41d4-a716-446655440000"
IDS = st.text("ab-*", min_size=1, max_size=6)


def who(user: str, **meta: str) -> Identity:
    return Identity(id=user, meta=MappingProxyType(meta))


@pytest.mark.parametrize(
    ("patterns", "topic", "user", "expected"),
    [
        (["news"], "news", "alice", True),
        (["news"], "news2", "alice", False),
        (["news"], "News", "alice", False),
        (["*"], "anything at all", "alice", True),
        (["public-*"], "public-1", "alice", True),
        (["public-*"], "public-", "alice", False),
        (["public-*"], "publi", "alice", False),
        (["*-public"], "x-public", "alice", True),
        ([OWN], "user-alice-inbox", "alice", True),
        ([OWN], "user-bob-inbox", "alice", False),
        ([OWN], "user-alice-", "alice", False),
        ([OWN], f"user-{UUID}-inbox", UUID, True),
        ([OWN], "user-alice-bob-x", "alice", False),
        ([OWN], "user-alice-bob-x", "alice-bob", True),
        ([OWN], "user-bob-x", "*", False),
        ([OWN], "user-*-x", "*", True),
        (["{http.auth.user.id}"], UUID.replace("-", ""), UUID, True),
        (["{http.auth.user.id}"], UUID.upper(), UUID, True),
        (["{http.auth.user.tier}-*"], "PRO-x", "alice", True),
        (["{http.auth.user.missing}-*"], "-x", "alice", False),
        (["public-*", OWN], "user-alice-x", "alice", True),
        ([], "news", "alice", False),
    ],
)
def test_a_pattern_gives_a_topic_or_not(patterns: list[str], topic: str, user: str, *, expected: bool) -> None:
    assert is_allowed(patterns, topic, who(user, tier="PRO")) is expected


def test_nobody_has_what_only_somebody_can_have() -> None:
    assert is_allowed(["public-*"], "public-x", None)
    assert not is_allowed([OWN], "user--x", None)
    assert not is_allowed([OWN], "user-{http.auth.user.id}-x", None)


@pytest.mark.parametrize("topic", [None, "", "a\nb", "\udc80", "x" * 257])
def test_what_names_no_topic_is_given_by_no_pattern(topic: str | None) -> None:
    assert not is_allowed(["*"], topic, who("alice"))


@given(one=IDS, other=IDS, topic=st.text("ab-*user", max_size=14))
def test_no_topic_has_two_owners(one: str, other: str, topic: str) -> None:
    """Whatever a user is called, he cannot read what another user's pattern gives to that other."""
    for name in (topic, f"user-{one}-{topic}", f"user-{other}-{topic}"):
        assert one == other or not (is_allowed([OWN], name, who(one)) and is_allowed([OWN], name, who(other)))


@given(one=st.tuples(IDS, IDS), other=st.tuples(IDS, IDS), rest=st.text("ab-*", min_size=1, max_size=5))
def test_nor_where_two_placeholders_stand(one: tuple[str, str], other: tuple[str, str], rest: str) -> None:
    for text in (
        "{http.auth.user.org}-{http.auth.user.id}",
        "{http.auth.user.org}-{http.auth.user.id}-*",
        "{http.auth.user.org}-*-{http.auth.user.id}",
        "*-{http.auth.user.org}-{http.auth.user.id}",
    ):
        for org, user in (one, other):
            name = text.replace("{http.auth.user.org}", org).replace("{http.auth.user.id}", user).replace("*", rest)
            mine, theirs = who(one[1], org=one[0]), who(other[1], org=other[0])
            assert one == other or not (is_allowed([text], name, mine) and is_allowed([text], name, theirs))


@pytest.mark.parametrize(
    "text",
    ["a*b*", "{http.auth.user.id}*", "*{http.auth.user.id}", "{http.auth.user.id}{http.auth.user.jti}", "", "a\n"],
)
def test_a_pattern_that_could_be_read_in_two_ways_is_none(text: str) -> None:
    with pytest.raises(InvalidPattern):
        pattern(text)


def test_a_uuid_is_one_topic_however_it_is_spelt() -> None:
    plain = UUID.replace("-", "")
    assert {canonical(spelt) for spelt in (UUID, UUID.upper(), plain, f"{{{UUID}}}", f"urn:uuid:{UUID}")} == {plain}
    assert canonical("News") == "News"
    with pytest.raises(InvalidTopic):
        canonical("")
