import pytest

from tests.settings.reading import KEY, fault, read

# The snippets of RevenProx's page on JWT authentication, each as it stands there.
SNIPPETS = (
    'webhook_url = "https://auth.example.com/verify"',
    "timeout_ms = 5000",
    "retry_attempts = 3",
    "cache_ttl_sec = 300",
    "cache_max_size = 10000",
    "circuit_breaker_threshold = 10",
    "circuit_breaker_timeout_sec = 60",
    "rate_limit_per_sec = 1000",
    "require_authentication = true",
    'webhook_url = ""\nrequire_authentication = false',
)
PROXY_TOML = """\
proxy_id = "proxy-prod-1"
log_level = "warn"
metrics_enabled = true
[http]
bind_address = "0.0.0.0:8080"
max_connections = 100000
connection_timeout_sec = 300
keepalive_interval_sec = 30
max_message_queue_size = 1000
thread_pool_size = 1
max_request_line_size = 8192
max_header_size = 8192
max_headers = 100
rate_limit_window_sec = 60
cors_allowed_origins = "*"
backpressure_policy = "drop_newest"
[jwt_verifier]
webhook_url = ""
require_authentication = false
[nng]
listen_addresses = ["tcp://*:5555"]
peer_addresses = ["tcp://proxy-2.internal:5555"]
[distributed_state]
gossip_interval_sec = 30
"""


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_snippet_of_its_documentation_is_read_as_it_stands(snippet: str) -> None:
    text = f"[jwt_verifier]\n{snippet}\n" + ("" if "false" in snippet or "https" in snippet else KEY)
    assert read(text).warnings == () or "false" in snippet


def test_its_proxy_toml_starts_and_two_warnings_say_what_is_named_otherwise() -> None:
    settings = read(PROXY_TOML)
    assert settings.http.workers == 1
    assert settings.log_level == "warning"
    assert settings.unsafe == ("authentication_off",)
    assert [(warning.line, warning.key) for warning in settings.warnings] == [
        (10, "[http] thread_pool_size"),
        (20, "nng"),
    ]
    assert "write workers" in str(settings.warnings[0])


def test_its_mesh_is_answered_by_one_warning_that_says_what_stands_in_for_it() -> None:
    warnings = [warning for warning in read(PROXY_TOML).warnings if "mesh" in warning.text]
    assert len(warnings) == 1
    assert "[nng], [distributed_state]" in warnings[0].text
    assert "redis_addr" in warnings[0].remedy


def test_only_sections_are_taken_for_its_mesh() -> None:
    assert fault('mesh = "a"\n' + KEY).line == 1


def test_a_fault_of_a_renamed_key_names_it_as_the_file_does() -> None:
    found = fault(KEY + "[http]\nthread_pool_size = -1\n")
    assert (found.line, found.key) == (4, "[http] thread_pool_size")


def test_an_old_name_beside_the_new_one_is_a_fault() -> None:
    assert fault(KEY + "[http]\nworkers = 1\nthread_pool_size = 1\n").line == 5


def test_nothing_within_its_mesh_is_looked_at() -> None:
    assert read(KEY + '[mesh]\npeers = ["{env.UNSET}"]\n').warnings
