import pytest

from sluicegate.settings import Settings
from sluicegate.settings.not_yet import NOT_YET
from sluicegate.settings.rules import findings
from tests.settings.reading import KEY, fault, faults, read

ROUTE = KEY + '[[route]]\npath = "/events/{topic}"\n'

ASKED = {
    "sentinel": (KEY + 'redis_addr = "redis+sentinel://a,b:1/main"\n', "[stateful_jwt] redis_addr"),
    "cluster": (KEY + 'redis_addr = "redis+cluster://a,b:1"\n', "[stateful_jwt] redis_addr"),
    "tracked": (KEY + 'redis_addr = "h:1"\nconsistency = "tracked"\n', "[stateful_jwt] consistency"),
    "snapshot": (KEY + 'redis_addr = "h:1"\nfail_snapshot = "1s"\n', "[stateful_jwt] fail_snapshot"),
}


@pytest.mark.parametrize(("text", "key"), ASKED.values(), ids=ASKED)
def test_a_part_that_is_asked_for_and_not_there_is_one_fault_that_says_what_works(text: str, key: str) -> None:
    found = fault(text)
    assert found.key == key
    assert found.problem.endswith("is not served by this version yet")
    assert found.remedy


def test_every_row_of_the_table_is_asked_for_above() -> None:
    said = {found.problem + found.remedy for text, _ in ASKED.values() for found in faults(text)}
    assert said == {f"{row.part} is not served by this version yet{row.instead}" for row in NOT_YET}


def test_an_event_route_names_its_topic() -> None:
    problems = [found.problem for found in faults(KEY + '[[route]]\npath = "/e"\nevents = true\n')]
    assert any("names no {topic}" in problem for problem in problems)


@pytest.mark.parametrize(
    ("host", "warnings"), [("127.0.0.1", 0), ("localhost", 0), ("[::1]", 0), ("auth.example", 1), ("10.0.0.1", 1)]
)
def test_tokens_sent_to_a_webhook_in_the_clear_are_warned_about(host: str, *, warnings: int) -> None:
    settings = Settings.model_validate({"jwt_verifier": {"webhook_url": f"http://{host}:9000/v"}})
    doubts = [found for found in findings(settings, ()) if not found.serious]
    assert [found.loc for found in doubts] == [("jwt_verifier", "webhook_url")] * warnings


def test_what_only_some_kinds_of_redis_have_is_not_asked_of_others() -> None:
    tracked = [found.problem for found in faults(KEY + 'consistency = "tracked"\n')]
    assert "is something that only Redis can do" in tracked
    cluster = [found.problem for found in faults(KEY + 'redis_addr = "redis+cluster://a"\nredis_db = 1\n')]
    assert "is not 0, and a cluster has only database 0" in cluster


def test_keys_written_with_their_defaults_ask_for_nothing() -> None:
    settings = read(
        KEY + 'consistency = "strict"\nfail_snapshot = "0s"\njwk_url = ""\ntls = { enabled = false, cert_file = "" }\n'
        '[http]\nworkers = 1\nrate_limit_per_ip = 0\ntls = { cert_file = "", key_file = "" }\n'
        '[jwt_verifier]\nwebhook_url = ""\n[events]\nhistory = 1000\nsubscribe = []\n'
    )
    assert settings.warnings == ()
