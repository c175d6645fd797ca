"""Every key of `[jwt_verifier]` does what it says: each test fails when its key is ignored."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from sluicegate import compose
from sluicegate.core.decision import Admit, Refuse
from sluicegate.core.request import Request
from sluicegate.core.topics import topic_id
from sluicegate.errors import SettingsError
from sluicegate.settings.verifiers import JwtVerifier, WebhookTls
from tests.servers.certificates import Authority
from tests.table.tokens import ABSENT, EXPIRES, NOW, SECRET, base64url, mint
from tests.webhook.endpoint import Behaviour, Endpoint, answers, endpoint, in_turn, says

YES = answers({"valid": True, "user_id": "user123", "expires_at": EXPIRES})
NO = answers({"valid": False, "user_id": None, "expires_at": None})
DOWN = answers(b"", status=500)
TOKEN = mint()


class Case:
    """A gate and its webhook. `now` is the gate's clock."""

    def __init__(self, server: Endpoint, directory: Path, tokens: dict[str, Any], keys: dict[str, Any]) -> None:
        self.now = float(NOW)
        self.server = server
        settings = compose.from_keywords(
            {
                "state_dir": str(directory / "state"),
                "stateful_jwt": tokens,
                "jwt_verifier": {"webhook_url": server.url, **keys},
            }
        )
        self.assembly = compose.assemble(settings, asynchronous=False, clock=lambda: self.now)

    def outcome(self, token: str = TOKEN, topic: str | None = "news") -> str:
        """The user who is let in, or the reason why nobody is."""
        headers = ((b"authorization", b"Bearer " + token.encode()),)
        match self.assembly.engine.decide(Request(headers=headers, topic=topic)):
            case Admit(identity=identity):
                return "anonymous" if identity is None else identity.id
            case Refuse(reason=reason):
                return reason.value

    @property
    def calls(self) -> int:
        return len(self.server.received)


Cases = Callable[..., Case]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Cases]:
    """Makes a case: how the webhook behaves, and keys of `[jwt_verifier]` and `[stateful_jwt]`."""
    with ExitStack() as stack:

        def make(behaviour: Behaviour = YES, *, tokens: dict[str, Any] | None = None, **keys: Any) -> Case:  # noqa: ANN401 - any setting
            server = stack.enter_context(endpoint(behaviour))
            made = Case(server, tmp_path, tokens or {}, keys)
            stack.callback(made.assembly.close)
            return made

        yield make


def another(number: int) -> str:
    return mint(jti=f"another-{number}")


def test_webhook_url_is_who_is_asked(case: Cases) -> None:
    asked = case()
    assert asked.outcome() == "user123"
    (request,) = asked.server.received
    assert request.line == "POST /verify HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {"jwt": TOKEN, "topic": topic_id("news")}


def test_webhook_url_empty_asks_nobody_and_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sign_key"):
        compose.from_keywords({"state_dir": str(tmp_path), "jwt_verifier": {"webhook_url": ""}})


def test_timeout_ms_ends_a_call(case: Cases) -> None:
    hanging = case(says(then="hang"), timeout_ms=300, retry_attempts=0)
    began = time.monotonic()
    assert hanging.outcome() == "webhook_unavailable"
    assert 0.29 < time.monotonic() - began < 3.0
    slow = case(in_turn(says(b"HTTP/1.1 200 OK\r\n", then="hang"), YES), timeout_ms=300, retry_attempts=1)
    assert slow.outcome() == "user123"


@pytest.mark.parametrize("retries", [0, 2])
def test_retry_attempts_is_how_often_it_is_asked_again(case: Cases, retries: int) -> None:
    down = case(DOWN, retry_attempts=retries)
    began = time.monotonic()
    assert down.outcome() == "webhook_unavailable"
    assert down.calls == 1 + retries
    assert time.monotonic() - began >= sum(0.1 * number for number in range(1, retries + 1))


def test_cache_ttl_sec_is_how_long_a_yes_is_remembered(case: Cases) -> None:
    asked = case(cache_ttl_sec=120)
    for passed, calls in ((0, 1), (119, 1), (120, 2), (121, 2)):
        asked.now = NOW + passed
        assert asked.outcome() == "user123"
        assert asked.calls == calls


def test_cache_max_size_is_how_many_are_remembered(case: Cases) -> None:
    asked = case(cache_max_size=2)
    for number in (1, 2, 3, 3, 2):
        assert asked.outcome(another(number)) == "user123"
    assert asked.calls == 3
    asked.outcome(another(1))
    assert asked.calls == 4


def test_circuit_breaker_threshold_is_how_many_failures_open_it(case: Cases) -> None:
    down = case(DOWN, circuit_breaker_threshold=3, retry_attempts=0)
    outcomes = [down.outcome(another(number)) for number in range(5)]
    assert outcomes == ["webhook_unavailable"] * 3 + ["breaker_open"] * 2
    assert down.calls == 3


def test_circuit_breaker_timeout_sec_is_how_long_it_stays_open(case: Cases) -> None:
    asked = case(in_turn(DOWN, YES), circuit_breaker_threshold=1, circuit_breaker_timeout_sec=7, retry_attempts=0)
    assert asked.outcome() == "webhook_unavailable"
    asked.now += 6.9
    assert asked.outcome() == "breaker_open"
    asked.now = NOW + 7.0
    assert asked.outcome() == "user123"


def test_rate_limit_per_sec_is_how_many_calls_a_second_has(case: Cases) -> None:
    asked = case(rate_limit_per_sec=4)
    outcomes = [asked.outcome(another(number)) for number in range(6)]
    assert outcomes == ["user123"] * 4 + ["verification_rate"] * 2
    asked.now += 1
    assert asked.outcome(another(4)) == "user123"
    assert asked.calls == 5


def test_require_authentication_false_lets_everybody_in(case: Cases) -> None:
    assert case(NO).outcome() == "denied"
    off = case(NO, require_authentication=False)
    assert off.outcome() == "anonymous"
    assert off.outcome("no token at all") == "anonymous"
    assert "authentication_off" in off.assembly.unsafe


def test_negative_cache_ttl_sec_is_how_long_a_no_is_remembered(case: Cases) -> None:
    asked = case(NO, negative_cache_ttl_sec=9)
    for passed, calls in ((0, 1), (8.9, 1), (9, 2)):
        asked.now = NOW + passed
        assert asked.outcome() == "denied"
        assert asked.calls == calls


def test_stale_if_error_sec_is_how_long_past_its_end_a_yes_counts_while_the_webhook_fails(case: Cases) -> None:
    asked = case(in_turn(YES, DOWN), cache_ttl_sec=60, stale_if_error_sec=30, retry_attempts=0)
    for passed, outcome in ((0, "user123"), (60, "user123"), (89, "user123"), (90, "webhook_unavailable")):
        asked.now = NOW + passed
        assert asked.outcome() == outcome


def test_secret_signs_every_call(case: Cases) -> None:
    asked = case(secret="hush")
    asked.outcome()
    asked.outcome(another(1))
    first, second = (request.headers["x-sluicegate-signature"] for request in asked.server.received)
    assert first.startswith(f"t={NOW},v1=")
    assert first != second
    unsigned = case()
    unsigned.outcome()
    assert "x-sluicegate-signature" not in unsigned.server.received[0].headers


@contextmanager
def secured(directory: Path, authority: Authority, tls: dict[str, str], *, mutual: bool = False) -> Iterator[Case]:
    certificate = authority.server()
    with endpoint(YES, certificate=certificate, client_ca=certificate if mutual else None) as server:
        secure = Case(server, directory, {}, {"retry_attempts": 0, "tls": tls})
        yield secure
        secure.assembly.close()


def test_tls_ca_file_is_who_vouches_for_the_webhook(authority: Authority, tmp_path: Path) -> None:
    with secured(tmp_path, authority, {}) as unknown:
        assert unknown.outcome() == "webhook_unavailable"
        assert unknown.calls == 0
    with secured(tmp_path, authority, {"ca_file": str(authority.ca_file)}) as known:
        assert known.outcome() == "user123"


def test_tls_cert_file_and_key_file_are_shown_to_a_webhook_that_asks(authority: Authority, tmp_path: Path) -> None:
    ours = authority.client()
    trusted = {"ca_file": str(authority.ca_file)}
    with secured(tmp_path, authority, trusted, mutual=True) as nobody:
        assert nobody.outcome() == "webhook_unavailable"
    shown = trusted | {"cert_file": str(ours.cert_file), "key_file": str(ours.key_file)}
    with secured(tmp_path, authority, shown, mutual=True) as somebody:
        assert somebody.outcome() == "user123"


def test_files_that_are_none_are_a_fault_at_start_with_their_key(authority: Authority, tmp_path: Path) -> None:
    ours = authority.client()
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for tls, key in (
        ({"ca_file": str(broken)}, "tls.ca_file"),
        ({"ca_file": str(tmp_path / "none.pem")}, "tls.ca_file"),
        ({"cert_file": str(broken), "key_file": str(ours.key_file)}, "tls.cert_file"),
        ({"cert_file": str(ours.cert_file), "key_file": str(authority.server().key_file)}, "tls.cert_file"),
    ):
        with pytest.raises(SettingsError) as caught, secured(tmp_path, authority, tls):
            pass
        assert [fault.key.endswith(key) for fault in caught.value.faults] == [True]


def test_every_key_has_its_test_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    keys = [*JwtVerifier.model_fields, *(f"tls_{name}" for name in WebhookTls.model_fields if name != "key_file")]
    assert [key for key in keys if f"def test_{key}_" not in text] == []


def test_without_the_extra_that_it_needs_a_fault_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['httptools'] = None\n"
        "from sluicegate import Gate\n"
        f"Gate(state_dir={str(tmp_path)!r}, jwt_verifier={{'webhook_url': 'https://a.example/v'}})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50)
    assert "webhook_url: needs httptools, which is not installed; pip install 'sluicegate[webhook]'" in done.stderr


# beside keys of other sections


def test_keys_and_webhook_together_check_the_signature_first(case: Cases) -> None:
    both = case(tokens={"sign_key": base64url(SECRET)})
    assert both.outcome(mint(secret=b"x" * 32)) == "signature"
    assert both.calls == 0
    assert both.outcome() == "user123"
    assert both.calls == 1


def test_a_token_without_jti_is_good_where_the_webhook_alone_verifies_unless_one_is_asked_for(case: Cases) -> None:
    """RevenProx's own tokens have none."""
    token = mint(jti=ABSENT)
    assert case().outcome(token) == "user123"
    assert case(tokens={"require_jti": True}).outcome(token) == "jti_missing"
    assert case(tokens={"sign_key": base64url(SECRET)}).outcome(token) == "jti_missing"


def test_leeway_is_the_webhooks_too(case: Cases) -> None:
    asked = case(answers({"valid": True, "user_id": "user123"}), tokens={"leeway": "10s"})
    assert asked.outcome(mint(exp=NOW - 9)) == "user123"
    assert asked.outcome(mint(exp=NOW - 10)) == "expired"
