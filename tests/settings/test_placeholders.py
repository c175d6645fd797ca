from collections.abc import Mapping
from pathlib import Path

import pytest

from sluicegate.errors import SettingsError
from sluicegate.settings import Settings, load
from tests.settings.reading import KEY, fault, faults, read

ENVIRON: Mapping[str, str] = {
    "KEY": "c2VjcmV0",
    "HOST": "10.1.2.3",
    "PORT": "9000",
    "DB": "3",
    "YES": "true",
    "LIST": "a, b c",
    "EMPTY": "",
    "TRICK": "{env.KEY}",
}
FILES: Mapping[str, str] = {"/run/key": "c2VjcmV0\n", "/etc/gate/near": "near\r\n", "/run/two": "a\n\n"}


def settings(text: str) -> Settings:
    return read(text, environ=ENVIRON, files=FILES)


def test_placeholders_are_replaced_at_any_depth_and_several_in_one_string() -> None:
    found = settings(
        KEY + '[http]\nbind_address = "{env.HOST}:{env.PORT}"\n'
        '[[route]]\npath = "/"\nrespond = "{env.HOST} {file./run/two}"\nrequire = { claims = { t = ["{env.DB}"] } }\n'
    )
    assert str(found.http.bind_address) == "10.1.2.3:9000"
    assert found.route[0].respond == "10.1.2.3 a\n"
    assert found.route[0].require.claims == (("t", ("3",)),)


def test_a_file_loses_its_last_newline_and_no_more() -> None:
    assert (
        settings('[stateful_jwt]\nsign_key = "{file./run/key}"\n').stateful_jwt.sign_key.get_secret_value()
        == "c2VjcmV0"
    )
    assert settings(KEY + 'redis_username = "{file.near}"\nredis_addr = "h:1"').stateful_jwt.redis_username == "near"
    assert settings(KEY + '[[route]]\npath = "/"\nrespond = "{file./run/two}"\n').route[0].respond == "a\n"


def test_a_replaced_value_is_never_replaced_again() -> None:
    assert (
        settings('[stateful_jwt]\nsign_key = "{env.TRICK}"\n').stateful_jwt.sign_key.get_secret_value() == "{env.KEY}"
    )


def test_other_braces_stay_as_they_are() -> None:
    found = settings(KEY + '[[route]]\npath = "/e/{topic}"\nrespond = "{http.auth.user.id} {x} { env.KEY }"\n')
    assert found.route[0].path == "/e/{topic}"
    assert found.route[0].respond == "{http.auth.user.id} {x} { env.KEY }"


def test_the_whole_text_of_a_placeholder_becomes_a_number_a_boolean_a_list_or_a_size() -> None:
    jwt = settings(
        KEY
        + 'redis_addr = "h:1"\nredis_db = "{env.DB}"\nfail_open = "{env.YES}"\nuser_claims = "{env.LIST}"\n'
        'meta_claims = "{env.LIST}"\nsign_alg = "{env.ALG}"\n[http]\nmax_body_size = "{env.PORT}"\n'.replace(
            "{env.ALG}", "HS256"
        )
    )
    assert (jwt.stateful_jwt.redis_db, jwt.stateful_jwt.fail_open) == (3, True)
    assert jwt.stateful_jwt.user_claims == ("a", "b", "c")
    assert jwt.stateful_jwt.meta_claims == (("a", "a"), ("b", "b"), ("c", "c"))
    assert jwt.http.max_body_size == 9000


def test_text_around_a_placeholder_makes_it_a_string_and_no_number() -> None:
    assert "a string where an integer belongs" in fault(KEY + 'redis_db = "{env.DB}0"\n', environ=ENVIRON).problem


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{env.NOPE}", '"NOPE", which is not set'),
        ("{env.}", '"", which is not set'),
        ("{file./nope}", '"/nope", which cannot be read (No such file or directory)'),
        ("{file.}", "names a file without a path"),
    ],
)
def test_a_placeholder_that_cannot_be_replaced_is_a_fault_that_names_it(value: str, says: str) -> None:
    found = fault(KEY + f'[http]\nbind_address = "a{value}b"\n', environ=ENVIRON, files=FILES)
    assert found.line == 4
    assert says in found.problem


def test_a_file_that_holds_no_text_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    file = tmp_path / "sluicegate.toml"
    file.write_text('[stateful_jwt]\nsign_key = "{file.key}"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match='"key", which is not UTF-8 text'):
        load(file, environ={})


def test_each_broken_placeholder_of_a_string_is_a_fault_of_its_own() -> None:
    found = faults(KEY + '[http]\nbind_address = "{env.A}:{env.B}"\n')
    assert [fault.line for fault in found] == [4, 4]


@pytest.mark.parametrize(
    "line",
    [
        'sign_key = "{env.EMPTY}"',
        'redis_addr = "{env.EMPTY}"\nsign_key = "k"',
        'jwk_url = "{env.EMPTY}"\nsign_key = "k"',
        'issuer_whitelist = "{env.EMPTY}"\nsign_key = "k"',
        'issuer_whitelist = ["{env.EMPTY}"]\nsign_key = "k"',
        'from_query = "{env.EMPTY}"\nsign_key = "k"',
        'tls = { ca_file = "{env.EMPTY}" }\nsign_key = "k"',
        'sign_key = "k"\n[admin]\ntoken = "{env.EMPTY}"',
        'sign_key = "k"\n[jwt_verifier]\nsecret = "{env.EMPTY}"',
        'sign_key = "k"\n[jwt_verifier]\nwebhook_url = "{env.EMPTY}"',
    ],
)
def test_what_protects_is_never_quietly_switched_off_by_an_empty_variable(line: str) -> None:
    assert "is empty" in fault(f"[stateful_jwt]\n{line}\n", environ=ENVIRON).problem


def test_a_user_and_password_of_redis_may_be_empty_as_redis_itself_decides() -> None:
    jwt = settings(
        KEY + 'redis_addr = "h:1"\nredis_password = "{env.EMPTY}"\nredis_username = "{env.EMPTY}"\n'
    ).stateful_jwt
    assert not jwt.redis_password
    assert jwt.redis_username == ""


def test_the_operators_token_comes_from_its_variable_unless_the_file_names_another() -> None:
    environ = {"SLUICEGATE_ADMIN_TOKEN": "a"}
    assert read(KEY, environ=environ).admin.token.get_secret_value() == "a"
    assert read(KEY + '[admin]\ntoken = "b"\n', environ=environ).admin.token.get_secret_value() == "b"
    assert not read(KEY, environ={"SLUICEGATE_ADMIN_TOKEN": ""}).admin.token
