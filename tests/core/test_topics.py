"""Topic ids: what a webhook is sent for each name."""

import hashlib
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.topics import NAMESPACE, InvalidTopic, is_topic, topic_id

HEX = "a1b2c3d4e5f67890abcdef1234567890"


def by_hand(name: str) -> str:
    """RFC 9562, 5.5, without the library that the code under test uses."""
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + name.encode()).digest()[:16])  # noqa: S324 - what UUIDv5 is
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()


def test_the_namespace_is_the_published_one() -> None:
    """Changing it would change the id of every topic of every installation."""
    assert str(NAMESPACE) == "2629e416-efa9-413b-9e80-4a8f1e766226"


@pytest.mark.parametrize("name", ["news", "user-user123-inbox", "a", "é", "日本語", "🙂", " ", "a/b", "x" * 256])
def test_a_name_is_its_uuid_5(name: str) -> None:
    assert topic_id(name) == by_hand(name)


def test_an_id_that_is_known_stays_as_it_is() -> None:
    assert topic_id("news") == "fe813c8d30ea555d81ac9d90249c07e6"


@pytest.mark.parametrize(
    "spelling",
    [
        HEX,
        HEX.upper(),
        "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "A1B2C3D4-E5F6-7890-ABCD-EF1234567890",
        "urn:uuid:a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "URN:UUID:A1B2C3D4-E5F6-7890-ABCD-EF1234567890",
        "{a1b2c3d4-e5f6-7890-abcd-ef1234567890}",
    ],
)
def test_a_uuid_in_any_of_its_usual_spellings_is_itself(spelling: str) -> None:
    assert topic_id(spelling) == HEX


@pytest.mark.parametrize(
    "name",
    [
        "a1b2c3d4e5f6-7890-abcd-ef1234567890",
        "a-1b2c3d4e5f67890abcdef1234567890",
        "{a1b2c3d4e5f67890abcdef1234567890}",
        "{a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        "urn:uuid:a1b2c3d4e5f67890abcdef1234567890",
        HEX + "0",
        HEX[:-1],
        HEX[:-1] + "g",
        "\u0661" * 32,
        " " + HEX,
    ],
)
def test_what_only_looks_like_a_uuid_is_a_name(name: str) -> None:
    assert topic_id(name) == by_hand(name) != HEX


@pytest.mark.parametrize(
    "name", ["", "x" * 257, "é" * 129, "a\nb", "a\r", "\x00", "\x7f", "\x85", "news\n", HEX + "\n", "\ud800"]
)
def test_what_can_name_no_topic_has_no_id_and_is_not_repeated(name: str) -> None:
    assert not is_topic(name)
    with pytest.raises(InvalidTopic) as caught:
        topic_id(name)
    assert not name or name not in str(caught.value)


@given(st.text(min_size=1, max_size=40))
def test_every_name_has_one_id_of_32_hex_digits_or_none(name: str) -> None:
    if is_topic(name):
        assert re.fullmatch("[0-9a-f]{32}", topic_id(name))
        assert topic_id(topic_id(name)) == topic_id(name)


@given(st.uuids())
def test_every_uuid_is_itself(value: uuid.UUID) -> None:
    assert {topic_id(spelling) for spelling in (value.hex, str(value), value.urn, f"{{{value}}}")} == {value.hex}
