from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sluicegate.errors import SettingsError
from sluicegate.settings import from_mapping, load
from tests.settings.reading import KEY, fault, faults, read

TWELVE = """\
log_level = "loud"
[http]
bind_address = "everywhere"
workers = "2"
max_headerz = 100
trusted_proxies = [
    "10.0.0.0/8",
    "localhost",
]
[stateful_jwt]
sign_key = "{env.UNSET}"
sign_alg = ["RS256", "HS256"]
timeout = 50
leeway = "1h"
[[route]]
path = "/a"
respond = "{http.auth.user.name}"
[[route]]
path = "/b//c"
upstream = "http://127.0.0.1:8081"
[jwt]
"""


def test_a_file_with_twelve_faults_reports_all_twelve_in_file_order_with_their_lines() -> None:
    assert [(fault.line, fault.key) for fault in faults(TWELVE)] == [
        (1, "log_level"),
        (3, "[http] bind_address"),
        (4, "[http] workers"),
        (5, "[http] max_headerz"),
        (8, "[http] trusted_proxies item 2"),
        (11, "[stateful_jwt] sign_key"),
        (12, "[stateful_jwt] sign_alg"),
        (13, "[stateful_jwt] timeout"),
        (14, "[stateful_jwt] leeway"),
        (17, "[[route]] #1 respond"),
        (19, "[[route]] #2 path"),
        (21, "jwt"),
    ]


def test_a_fault_reads_as_place_key_problem_and_remedy() -> None:
    assert str(fault(KEY + '[http]\nworkers = "3"\n')) == (
        "/etc/gate/sluicegate.toml:4: [http] workers: is a string where an integer belongs; "
        "write an integer, 0 to 1024: 1, without quotes"
    )


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('proxi_id = "a"\n' + KEY, 1, "did you mean proxy_id?"),
        (KEY + "[http]\nworker = 1\n", 4, "did you mean workers?"),
        (KEY + "[httpd]\nworkers = 1\n", 3, "did you mean http?"),
        (KEY + "[http]\nqqqq = 1\n", 4, "take it out"),
        (KEY + "[forward_auth]\nx = 1\n", 4, "known are path, proxy"),
        (KEY + '[http]\nlog_level = "info"\n', 4, "it belongs above the first section"),
        (KEY + '[http]\nuser_claims = ["sub"]\n', 4, "it belongs below [stateful_jwt]"),
        (KEY + '[tls]\ncert_file = ""\n', 3, "it belongs below [http] or [stateful_jwt]"),
        (KEY + '[[route]]\npath = "/"\nrespond = ""\nrequire = { scope = [] }\n', 6, "did you mean scopes?"),
    ],
)
def test_an_unknown_name_is_a_fault_that_names_the_nearest_one_or_its_place(text: str, line: int, says: str) -> None:
    found = fault(text)
    assert found.line == line
    assert found.problem.startswith("is not a")
    assert says in found.remedy


def test_a_misspelt_key_is_one_fault_and_not_also_a_missing_key() -> None:
    assert fault('[stateful_jwt]\nsing_key = "c2VjcmV0"\n').remedy == "did you mean sign_key?"
    assert fault('[statefull_jwt]\nsign_key = "c2VjcmV0"\n').remedy == "did you mean stateful_jwt?"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = = 2\n", 2),
        ("[http]\nworkers = 1\nworkers = 2\n", 3),
        ("[http]\n[http]\n", 2),
        ('a = """\n\nnever closed', 3),
        ("a = " + "[" * 5000, 1),
        ("a = [1,\n2", 2),
    ],
)
def test_what_is_not_toml_is_one_fault_with_its_line(text: str, line: int) -> None:
    found = fault(text)
    assert (found.line, found.key) == (line, "syntax")


def test_a_byte_order_mark_before_the_first_line_is_passed_over() -> None:
    assert read("\ufeff" + KEY).stateful_jwt.sign_key


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "none.toml", environ={})
    assert [(fault.line, fault.problem) for fault in caught.value.faults] == [
        (None, "cannot be read (No such file or directory)")
    ]


def test_a_file_that_is_not_utf_8_is_a_fault_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "sluicegate.toml"
    file.write_bytes(b'a = "1"\nb = "\xff"\n')
    with pytest.raises(SettingsError) as caught:
        load(file, environ={})
    assert [(fault.line, fault.problem) for fault in caught.value.faults] == [(2, "is not UTF-8")]


def test_a_real_file_is_read_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("c2VjcmV0\n", encoding="utf-8")
    file = tmp_path / "sluicegate.toml"
    file.write_text('state_dir = "state"\n[stateful_jwt]\nsign_key = "{file.key}"\n', encoding="utf-8")
    settings = load(file, environ={})
    assert settings.stateful_jwt.sign_key.get_secret_value() == "c2VjcmV0"
    assert settings.state_dir == tmp_path / "state"


def test_without_a_file_the_defaults_stand_and_a_warning_says_that_there_is_no_key() -> None:
    settings = load(None, environ={"HOME": "/home/op"})
    assert settings.http.bind_address.port == 8080
    assert not settings.stateful_jwt.sign_key
    assert [warning.key for warning in settings.warnings] == ["[stateful_jwt] sign_key"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_STATE_HOME": "/var/state", "HOME": "/home/op"}, "/var/state/sluicegate"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/op"}, "/home/op/.local/state/sluicegate"),
        ({"HOME": "/home/op"}, "/home/op/.local/state/sluicegate"),
        ({}, "/var/lib/sluicegate"),
    ],
)
def test_state_lives_where_the_xdg_specification_says(environ: Mapping[str, str], expected: str) -> None:
    assert load(None, environ=environ).state_dir == Path(expected)


def test_keywords_are_read_like_a_file_and_their_faults_have_no_line() -> None:
    keywords: Mapping[str, Any] = {
        "stateful_jwt": {"sign_key": "c2VjcmV0", "from_query": ()},
        "state_dir": Path("/srv/state"),
    }
    settings = from_mapping(keywords, environ={})
    assert settings.stateful_jwt.from_query == ()
    assert settings.state_dir == Path("/srv/state")
    with pytest.raises(SettingsError) as caught:
        from_mapping({"http": {"workers": -1}, 3: 4}, environ={}, source="Gate()")  # type: ignore[dict-item]
    assert {(fault.file, fault.line, fault.key) for fault in caught.value.faults} == {
        ("Gate()", None, "3"),
        ("Gate()", None, "[http] workers"),
        ("Gate()", None, "[stateful_jwt] sign_key"),
    }


def test_a_fault_found_later_still_knows_its_line() -> None:
    found = read("\n\n" + KEY).fault("stateful_jwt.sign_key", "is weak", "make a longer one")
    assert str(found) == "/etc/gate/sluicegate.toml:4: [stateful_jwt] sign_key: is weak; make a longer one"


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f'[stateful_jwt]\nsign_key = ["{SECRET}"]\n',
        f'[stateful_jwt]\nsign_key = "a"\nredis_addr = "redis://u:{SECRET}@h:99999"\n',
        f'[stateful_jwt]\nsign_key = "a"\nredis_addr = "redis://u:{SECRET}@h/x"\n',
        f'[stateful_jwt]\nsign_key = "a"\nredis_addr = "redis://u:{SECRET}@"\n',
        f'[stateful_jwt]\nsign_key = "a"\nredis_addr = "{SECRET}"\n',
        f'[stateful_jwt]\nsign_key = "a"\nredis_addr = "redis://:other@h"\nredis_password = "{SECRET}"\n',
        f'[stateful_jwt]\nsign_key = "a"\nredis_password = "{SECRET}"\n',
        f'[stateful_jwt]\nsign_key = "a"\njwk_url = "https://u:{SECRET}@h"\n',
        f'[stateful_jwt]\nsign_key = "{SECRET}\\u0000"\n',
        f'{KEY}[jwt_verifier]\nwebhook_url = "https://u:{SECRET}@h"\nsecret = {{ a = "{SECRET}" }}\n',
        f'{KEY}[admin]\ntoken = [["{SECRET}"]]\n',
        f'{KEY}[[route]]\npath = "/"\nupstream = "http://u:{SECRET}@h"\n',
        f'{KEY}[http]\nbind_address = "{{env.SECRET}}"\nworkers = "{{env.SECRET}}"\nmax_body_size = "{{env.SECRET}}"\n',
        f'{KEY}log_blocked = "{{env.SECRET}}"\ntimeout = "{{env.SECRET}}"\nconsistency = "{{env.SECRET}}"\n',
        f'{KEY}meta_claims = ["a{{env.SECRET}} b"]\nfrom_header = ["{{env.SECRET}} x"]\n',
        f'{KEY}from_query = "{{env.SECRETS}}"\nuser_claims = ["{{env.SECRET}}", "{{env.SECRET}}"]\n',
    ],
)
def test_no_fault_repeats_a_secret_nor_what_came_through_a_placeholder(text: str) -> None:
    found = faults(text, environ={"SECRET": SECRET, "SECRETS": f"{SECRET},{SECRET}"})
    assert SECRET not in "\n".join(map(str, found))


def test_no_representation_of_settings_shows_a_secret() -> None:
    settings = read(
        f'[stateful_jwt]\nsign_key = "{SECRET}1"\nredis_addr = "redis://u:{SECRET}2@h"\n'
        f'[jwt_verifier]\nsecret = "{SECRET}3"\n[admin]\ntoken = "{SECRET}4"\n'
    )
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in repr(settings.stateful_jwt.store)
    assert SECRET not in str(settings.model_dump())


def test_a_value_is_quoted_shortly_and_without_what_a_terminal_obeys() -> None:
    found = fault(KEY + f'[http]\nbind_address = "{"x" * 500}\\u202e"\n')
    assert "\u202e" not in str(found)
    assert len(str(found)) < 300
