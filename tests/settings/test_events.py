"""What only several keys together say about event streams."""

import pytest

from tests.settings.reading import KEY, fault, faults, read

ROUTE = '[[route]]\npath = "/events/{topic}"\nevents = true\n'
READERS = '[events]\nsubscribe = ["public-*"]\n'
WEBHOOK = '[jwt_verifier]\nwebhook_url = "https://auth.example/v"\n'


@pytest.mark.parametrize("who", [READERS, WEBHOOK, "[jwt_verifier]\nrequire_authentication = false\n"])
def test_an_event_route_starts_where_somebody_says_who_may_read(who: str) -> None:
    assert read(KEY + who + ROUTE).route[0].events


def test_a_hub_that_nobody_may_read_does_not_start() -> None:
    found = fault(KEY + ROUTE)
    assert (found.key, "webhook" in found.remedy) == ("[events] subscribe", True)


def test_streams_are_never_open_to_whoever_asks() -> None:
    found = fault(KEY + READERS + ROUTE + 'auth = "none"\n')
    assert (found.key, "optional" in found.remedy) == ("[[route]] #1 auth", True)


@pytest.mark.parametrize("pattern", ["a*b*", "{http.auth.user.id}*", "*{http.auth.user.id}"])
@pytest.mark.parametrize("key", ["subscribe", "publish"])
def test_a_pattern_that_could_be_read_in_two_ways_does_not_start(pattern: str, key: str) -> None:
    other = "" if key == "subscribe" else 'subscribe = ["x"]\n'
    found = fault(KEY + f'[events]\n{other}{key} = ["{pattern}"]\n' + ROUTE)
    assert found.problem == "is no topic pattern"


def test_more_than_one_worker_without_redis_does_not_start() -> None:
    found = [one for one in faults(KEY + READERS + "[http]\nworkers = 2\n" + ROUTE) if "publishes" in one.problem]
    assert [one.key for one in found] == ["[http] workers"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (KEY + READERS, "[events]"),
        (KEY + READERS + "[http]\nkeepalive_interval_sec = 300\n" + ROUTE, "[http] keepalive_interval_sec"),
        (KEY + READERS + 'history = 10\n[http]\nbackpressure_policy = "block"\n' + ROUTE, "[http] backpressure_policy"),
    ],
)
def test_what_is_served_and_probably_not_meant_is_warned_about(text: str, key: str) -> None:
    assert [warning.key for warning in read(text).warnings] == [key]


def test_the_path_of_tickets_is_nobody_elses() -> None:
    other = '[[route]]\npath = "/tickets"\nrespond = "hello"\n'
    found = fault(KEY + READERS + ROUTE + other)
    assert (found.key, 'tickets = ""' in found.remedy) == ("[[route]] #2 path", True)
    assert read(KEY + READERS.replace("\n", '\ntickets = ""\n', 1) + ROUTE + other).events.tickets == ""


@pytest.mark.parametrize("prefix", ["sluicegate:", "sluicegate:events:", "sluicegate:events:topic:x", "s"])
@pytest.mark.parametrize("key", ["blacklist_prefix", "selector_prefix"])
def test_a_prefix_that_could_spell_the_name_of_kept_events_does_not_start(key: str, prefix: str) -> None:
    redis = f'redis_addr = "h:1"\n{key} = "{prefix}"\n'
    found = [one for one in faults(KEY + redis + READERS + ROUTE) if "events are kept" in one.problem]
    assert [one.key for one in found] == [f"[stateful_jwt] {key}"]


def test_an_event_route_beside_redis_starts_with_prefixes_that_are_its_own() -> None:
    read(KEY + 'redis_addr = "h:1"\nblacklist_prefix = "revoked:"\n' + READERS + ROUTE)
