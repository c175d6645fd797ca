import tomllib

from sluicegate.settings import json_schema, reference
from tests.settings.keys import KEYS
from tests.settings.reading import KEY, read


def test_every_key_stands_in_the_reference_with_a_form_a_default_and_one_sentence() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(key.name for key in KEYS)
    for row in rows:
        form, default, meaning = (cell.strip() for cell in row.replace("\\|", "").split("|")[2:5])
        assert form, row
        assert default, row
        assert meaning.endswith("."), row


def test_the_defaults_that_the_reference_shows_are_the_defaults() -> None:
    schema = json_schema()
    lines = []
    for section, table in (("http", "Http"), ("stateful_jwt", "StatefulJwt"), ("jwt_verifier", "JwtVerifier")):
        lines.append(f"[{section}]")
        lines += (
            f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
            for name, key in schema["$defs"][table]["properties"].items()
            if (value := key.get("default")) is not None and name != "sign_key"
        )
    written = read("\n".join([*lines, "[stateful_jwt.tls]", "[http.tls]"]).replace("[stateful_jwt]", KEY.strip()))
    plain = read(KEY)
    assert written.http == plain.http
    assert written.stateful_jwt == plain.stateful_jwt
    assert written.jwt_verifier == plain.jwt_verifier


def test_the_schema_refuses_unknown_keys_and_describes_every_known_one() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    for table in (schema, *schema["$defs"].values()):
        assert table["additionalProperties"] is False
        assert all(key.get("description") for key in table["properties"].values())


def test_the_schema_allows_a_placeholder_where_a_number_belongs() -> None:
    workers = json_schema()["$defs"]["Http"]["properties"]["workers"]
    assert {option["type"] for option in workers["anyOf"]} == {"integer", "string"}


def test_the_reference_names_sections_as_toml_heads_them() -> None:
    heads = [line.removeprefix("## ").strip("`") for line in reference().splitlines() if line.startswith("## ")]
    assert heads[0] == "Above the first section"
    tomllib.loads("\n".join(heads[1:]))
