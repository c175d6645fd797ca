"""Keys of one issuer or of several: what stands together, and what an operator probably did not mean."""

import pytest

from tests.settings.reading import fault, faults, read

ISSUER = '[[issuer]]\nname = "main"\niss = "https://main.example"\n'
SIGNED = 'sign_alg = "RS256"\n'
TENANTS = (
    '[[issuer]]\nname = "corp-{tenant}"\niss = "https://{tenant}.example"\n'
    'jwk_url = "https://{tenant}.example/keys"\n' + SIGNED
)


def found(text: str) -> list[tuple[str, str]]:
    return [(one.key, one.problem) for one in faults(text)]


@pytest.mark.parametrize(
    "keys",
    [
        'sign_key = "k"\n',
        'sign_key = "k"\nprevious_sign_key = "p"\nprevious_sign_key_until = 2027-01-31T12:00:00Z\n',
        SIGNED + 'jwk_url = "https://main.example/keys"\n',
        SIGNED + 'jwk_url = "http://localhost:8000/keys"\n',
        SIGNED + "discover = true\n",
    ],
)
def test_one_way_to_hold_the_key_is_enough(keys: str) -> None:
    assert read(ISSUER + keys).warnings == ()


def test_every_way_may_stand_in_the_gates_own_section_beside_the_tables() -> None:
    for keys in (
        'sign_key = "k"\n',
        SIGNED + 'jwk_url = "https://a.example"\n',
        SIGNED + 'jwk_issuer = "https://a.example"\n',
    ):
        assert read(f"[stateful_jwt]\n{keys}{ISSUER}sign_key = 'k'\n").warnings == ()


@pytest.mark.parametrize(
    ("keys", "key", "problem"),
    [
        ("", "[[issuer]] #1", "has no key"),
        ('sign_key = "k"\ndiscover = true\n' + SIGNED, "[[issuer]] #1 discover", "stands beside sign_key"),
        (
            'jwk_url = "https://main.example/k"\ndiscover = true\n' + SIGNED,
            "[[issuer]] #1 discover",
            "stands beside jwk_url",
        ),
        (
            'sign_key = "k"\njwk_url = "https://main.example/k"\n' + SIGNED,
            "[[issuer]] #1 jwk_url",
            "stands beside sign_key",
        ),
        ('jwk_url = "https://main.example/k"\n', "[[issuer]] #1 sign_alg", "is HS256, an algorithm of secrets"),
        ("discover = true\n", "[[issuer]] #1 sign_alg", "is HS256, an algorithm of secrets"),
        ('jwk_url = "http://main.example/k"\n' + SIGNED, "[[issuer]] #1 jwk_url", "over http from another machine"),
        ('sign_key = "k"\nprevious_sign_key = "p"\n', "[[issuer]] #1 previous_sign_key", "would be good for ever"),
        (
            'sign_key = "k"\nprevious_sign_key_until = 2027-01-31T12:00:00Z\n',
            "[[issuer]] #1 previous_sign_key_until",
            "stands without previous_sign_key",
        ),
        (
            SIGNED + 'discover = true\nprevious_sign_key = "p"\nprevious_sign_key_until = 2027-01-31T12:00:00Z\n',
            "[[issuer]] #1 previous_sign_key",
            "stands without sign_key",
        ),
        ('sign_key = "k"\ntenants = []\njwk_url = "{tenant}"\n', "[[issuer]] #1 jwk_url", "does not begin with"),
    ],
)
def test_what_does_not_go_together_is_a_fault(keys: str, key: str, problem: str) -> None:
    one = fault(ISSUER + keys)
    assert one.key == key
    assert problem in one.problem


@pytest.mark.parametrize(
    ("keys", "key", "problem"),
    [
        ('jwk_url = "https://a.example"\njwk_issuer = "https://a.example"\n', "jwk_issuer", "stands beside jwk_url"),
        ('sign_key = "k"\njwk_issuer = "https://a.example"\n', "jwk_issuer", "stands beside sign_key"),
        ('sign_key = "k"\njwk_url = "https://a.example"\n', "jwk_url", "stands beside sign_key"),
        ('jwk_issuer = "http://a.example"\n', "jwk_issuer", "over http from another machine"),
        ('jwk_issuer = "https://a.example?tenant=b"\n', "jwk_issuer", "carries a query"),
        ('jwk_issuer = "https://a.example#b"\n', "jwk_issuer", "carries a fragment"),
        ('jwk_issuer = "https://u:p@a.example"\n', "jwk_issuer", "carries a user name"),
        ('jwk_url = "https://{http.request.host}/keys"\n', "jwk_url", "must not choose where keys come from"),
        ('jwk_url = "https://a.example/{kid}"\n', "jwk_url", "must not choose where keys come from"),
        ('jwk_url = "https://a.example/{tenant"\n', "jwk_url", "must not choose where keys come from"),
        ('jwk_url = "file:///etc/keys"\n', "jwk_url", "does not begin with"),
    ],
)
def test_the_gates_own_section_obeys_the_same_rules(keys: str, key: str, problem: str) -> None:
    one = fault(f"[stateful_jwt]\n{SIGNED}{keys}")
    assert one.key == f"[stateful_jwt] {key}"
    assert problem in one.problem


def test_keys_over_http_from_another_machine_are_a_matter_of_saying_so_and_then_shown() -> None:
    text = f'[stateful_jwt]\n{SIGNED}jwk_url = "http://a.example"\njwk_allow_http = true\n'
    settings = read(text)
    assert [warning.key for warning in settings.warnings] == ["[stateful_jwt] jwk_url"]
    assert settings.unsafe == ("jwk_allow_http",)


@pytest.mark.parametrize("iss", ["main", "https://main.example#x", "ftp://main.example", "https://a b"])
def test_an_issuer_that_is_discovered_is_a_url(iss: str) -> None:
    one = fault(f'[[issuer]]\nname = "main"\niss = "{iss}"\ndiscover = true\n{SIGNED}')
    assert one.key == "[[issuer]] #1 iss"
    assert "is discovered" in one.problem


def test_a_table_with_tenants_is_one_issuer_for_each_of_them() -> None:
    settings = read(TENANTS + 'tenants = ["acme", "globex"]\n' + ISSUER + 'sign_key = "k"\n')
    assert [(one.name, one.iss, one.jwk_url) for one in settings.issuers] == [
        ("corp-acme", "https://acme.example", "https://acme.example/keys"),
        ("corp-globex", "https://globex.example", "https://globex.example/keys"),
        ("main", "https://main.example", ""),
    ]


@pytest.mark.parametrize("tenant", ["a/b", "..", ".", "a@b", "a:b", "a?b", "a#b", "a b", "%2f", "é", "", "a" * 65])
def test_a_tenant_cannot_change_what_a_url_means(tenant: str) -> None:
    (key, _), *others = found(TENANTS + f'tenants = ["{tenant}"]\n')
    assert key.startswith("[[issuer]] #1 tenants")
    assert {other for other, _ in others} <= {"[[issuer]] #1 name", "[[issuer]] #1 iss", "[[issuer]] #1 jwk_url"}


def test_tenants_without_their_placeholder_and_the_placeholder_without_tenants_are_faults() -> None:
    assert found(TENANTS) == [
        (f"[[issuer]] #1 {key}", "holds {tenant}, and there are no tenants") for key in ("name", "iss", "jwk_url")
    ]
    assert found(ISSUER + 'sign_key = "k"\ntenants = ["a"]\n') == [
        ("[[issuer]] #1 name", "is the same for every tenant"),
        ("[[issuer]] #1 iss", "is the same for every tenant"),
    ]


def test_no_two_issuers_share_a_name_or_an_iss_tenants_included() -> None:
    other = '[[issuer]]\nname = "corp-b"\niss = "https://b.example"\nsign_key = "k"\n'
    assert found(TENANTS + 'tenants = ["a", "b"]\n' + other) == [
        ("[[issuer]] #2 name", "is that of [[issuer]] #1 too"),
        ("[[issuer]] #2 iss", "is that of [[issuer]] #1 too"),
    ]


@pytest.mark.parametrize(
    "until", ["2027-01-31", "12:00:00", "2027-01-31T12:00:00", '"2027-01-31"', '"tomorrow"', "1801396800", "true"]
)
def test_a_moment_has_a_date_a_time_and_an_offset(until: str) -> None:
    one = fault(f'[stateful_jwt]\nsign_key = "k"\nprevious_sign_key = "p"\nprevious_sign_key_until = {until}\n')
    assert one.key == "[stateful_jwt] previous_sign_key_until"
    assert "2027-01-31T12:00:00Z" in one.remedy


def test_a_moment_is_the_same_wherever_it_is_written() -> None:
    for until in (
        "2027-01-31T12:00:00Z",
        "2027-01-31T14:00:00+02:00",
        '"2027-01-31T12:00:00Z"',
        "2027-01-31 12:00:00Z",
    ):
        text = f'[stateful_jwt]\nsign_key = "k"\nprevious_sign_key = "p"\nprevious_sign_key_until = {until}\n'
        assert read(text).stateful_jwt.previous_sign_key_until == 1801396800.0
