from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.errors import Fault, SettingsError
from sluicegate.settings import from_mapping

_WORDS = """
    http stateful_jwt jwt_verifier issuer route events forward_auth admin mesh x [key] bind_address tls redis_addr
    sign_alg meta_claims from_header path upstream require claims header_up name thread_pool_size workers scopes
    state_dir token
"""
names = st.sampled_from(["", *_WORDS.split()])
leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.just(1.5) | st.text("aé\0{}/*:.-> 1\ud800", max_size=4)
anything = st.recursive(
    leaves | st.sampled_from(["{env.UNSET}", "{env.SET}", "{file./x}", "redis://h", "a->b", "HS256"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def faults_of(mapping: dict[str, Any]) -> tuple[Fault, ...]:
    try:
        from_mapping(mapping, environ={"SET": "a"})
    except SettingsError as error:
        assert error.faults, "an error without a fault"  # noqa: PT017 - either way out is good
        return error.faults
    return ()


@given(st.dictionaries(names, anything))
def test_whatever_is_given_the_answer_is_settings_or_faults_with_remedies(mapping: dict[str, Any]) -> None:
    assert all(found.problem and found.remedy and found.key for found in faults_of(mapping))
