"""The webhook's flow: what is asked, how often, what is remembered, and what becomes of a failure."""

from collections.abc import Iterator
from typing import Any

import pytest

from sluicegate.core.attempts import Terms
from sluicegate.core.decision import Admit, Reason, Refuse
from sluicegate.core.events import Attempted, BreakerChanged, Limited, Looked
from sluicegate.core.flow import Call, Reply
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy, Requirement
from sluicegate.core.topics import topic_id
from sluicegate.core.verify import LocalKeys
from sluicegate.errors import FetchFailed
from tests.table.tokens import ABSENT, EXPIRES, NOW, SECRET, base64url, mint
from tests.webhook.world import GONE, URL, World, no, said, yes

TOKEN = mint()
ANOTHER = mint(jti="key-2")
FORGED = mint(secret=b"somebody else's secret, just as long")


def local_keys() -> LocalKeys:
    return LocalKeys(load(base64url(SECRET), ["HS256"]), ClaimNames(meta=(("tier", "tier"),)))


# what is asked, and who is let in


def test_a_yes_admits_the_webhooks_user_with_what_the_token_says_of_him() -> None:
    world = World(yes("user123", expires_at=NOW + 600))
    decision = world.decide(mint(tier="PREMIUM", scope="read write"))
    assert isinstance(decision, Admit)
    identity = decision.identity
    assert identity is not None
    assert (identity.id, identity.jti, identity.issuer) == ("user123", "key-1", "https://auth.example.com")
    assert (identity.scopes, dict(identity.meta)) == (("read", "write"), {"tier": "PREMIUM"})
    assert identity.expires_at == NOW + 600


def test_the_webhook_is_sent_token_and_topic_id_in_one_post() -> None:
    world = World()
    world.decide(TOKEN, "news")
    (call,) = world.calls
    assert (call.method, call.url, call.max_bytes) == ("POST", URL, 65_536)
    assert ("Content-Type", "application/json") in call.headers
    assert world.asked == [(TOKEN, topic_id("news"))]


def test_a_request_without_a_topic_asks_about_the_empty_one() -> None:
    world = World()
    world.decide(TOKEN, None)
    assert world.asked == [(TOKEN, "")]


def test_a_topic_that_is_a_uuid_is_sent_as_it_is() -> None:
    world = World()
    world.decide(TOKEN, "A1B2C3D4-E5F6-7890-ABCD-EF1234567890")
    assert world.asked == [(TOKEN, "a1b2c3d4e5f67890abcdef1234567890")]


@pytest.mark.parametrize("topic", ["", "a\nb", "x" * 257])
def test_what_can_name_no_topic_is_refused_unasked(topic: str) -> None:
    world = World()
    assert world.outcome(TOKEN, topic) == "topic"
    assert world.calls == []


def test_a_no_refuses_and_is_not_asked_again() -> None:
    world = World(no())
    assert world.outcome(TOKEN) == "denied"
    assert world.attempts == ["no"]


def test_a_yes_without_a_user_lets_nobody_in_and_is_no_fault_of_the_webhook() -> None:
    """A genuine token without a subject must not open the breaker for everybody."""
    world = World(yes(user_id=None), breaker_threshold=1, negative_ttl=0.0)
    assert [world.outcome(TOKEN) for _ in range(5)] == ["user_claim"] * 5
    assert world.attempts == ["unnamed"] * 5
    assert world.webhook.breaker == "closed"


def test_who_the_webhook_names_goes_before_what_the_token_says() -> None:
    assert World(yes("from the webhook")).outcome(mint(sub="from the token")) == "from the webhook"


def test_a_token_that_names_nobody_is_whose_the_webhook_says() -> None:
    assert World(yes("user123")).outcome(mint(sub=ABSENT)) == "user123"
    keys = local_keys()
    assert World(yes("user123"), keys=keys).outcome(mint(sub=ABSENT)) == "user123"


# the rules run as always


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": NOW - 1}, "expired"),
        ({"exp": NOW}, "expired"),
        ({"nbf": NOW + 60}, "not_yet_valid"),
        ({"iat": NOW + 60}, "not_yet_valid"),
        ({"exp": "tomorrow"}, "malformed"),
        ({"aud": 7}, "malformed"),
    ],
)
def test_what_no_yes_could_mend_is_refused_without_a_call(changed: dict[str, Any], reason: str) -> None:
    world = World()
    assert world.outcome(mint(**changed)) == reason
    assert world.calls == []


def test_leeway_holds_for_the_webhook_too() -> None:
    world = World(yes(expires_at=None), policy=Policy(leeway=10), leeway=10.0)
    assert world.outcome(mint(exp=NOW - 5)) == "user123"
    assert world.outcome(mint(exp=NOW - 10)) == "expired"
    assert world.outcome(mint(nbf=NOW + 5)) == "user123"


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Policy(issuers=frozenset({"https://other.example.com"})), "issuer"),
        (Policy(audiences=frozenset({"https://other.example.com"})), "audience"),
        (Policy(requirement=Requirement(scopes=frozenset({"admin"}))), "scope"),
        (Policy(requirement=Requirement(claims=(("tier", ("PREMIUM",)),))), "claim"),
    ],
)
def test_a_yes_overrules_no_rule_of_the_gate(policy: Policy, reason: str) -> None:
    world = World(policy=policy)
    assert [world.outcome(TOKEN) for _ in range(2)] == [reason] * 2


def test_an_answer_that_has_run_out_is_no_yes() -> None:
    world = World(yes(expires_at=NOW))
    assert [world.outcome(TOKEN) for _ in range(2)] == ["expired"] * 2
    assert len(world.calls) == 1


def test_a_token_that_runs_out_while_the_webhook_is_asked_is_refused() -> None:
    world = World(yes(expires_at=None))
    world.took = 5.0
    assert world.outcome(mint(exp=NOW + 4)) == "expired"
    assert world.outcome(mint(exp=NOW + 5 + 6)) == "user123"


# what is remembered, and for how long


def test_a_yes_is_remembered_for_its_ttl() -> None:
    world = World(yes(expires_at=None), cache_ttl=300.0)
    token = mint(exp=ABSENT)
    for passed, calls in ((0, 1), (299, 1), (300, 2), (301, 2)):
        world.now = NOW + passed
        assert world.outcome(token) == "user123"
        assert len(world.calls) == calls


def test_a_yes_is_remembered_no_longer_than_it_says_itself() -> None:
    world = World(yes(expires_at=NOW + 60), cache_ttl=300.0)
    world.decide(TOKEN)
    world.now = NOW + 59.0
    assert world.outcome(TOKEN) == "user123"
    assert len(world.calls) == 1
    world.now = NOW + 60.0
    assert world.outcome(TOKEN) == "expired"
    assert len(world.calls) == 2


def test_a_yes_is_remembered_no_longer_than_the_token_lives() -> None:
    world = World(yes(expires_at=None), cache_ttl=300.0)
    token = mint(exp=NOW + 60)
    world.decide(token)
    world.now = NOW + 60.0
    assert world.outcome(token) == "expired"


def test_a_yes_that_took_long_is_not_remembered_longer_for_it() -> None:
    """The webhook may have judged as soon as it was asked."""
    world = World(yes(expires_at=None), cache_ttl=10.0)
    world.took = 4.0
    world.decide(TOKEN)
    world.now = NOW + 9.0
    world.decide(TOKEN)
    assert len(world.calls) == 1
    world.now = NOW + 10.0
    world.decide(TOKEN)
    assert len(world.calls) == 2


def test_with_a_ttl_of_0_the_webhook_is_asked_each_time() -> None:
    world = World(cache_ttl=0.0)
    assert [world.outcome(TOKEN) for _ in range(3)] == ["user123"] * 3
    assert len(world.calls) == 3


def test_a_yes_to_one_topic_opens_no_other() -> None:
    """A cache that forgets the topic turns one permission into all."""
    allowed = topic_id("user-1-inbox")
    world = World(lambda call: yes() if allowed.encode() in call.body else no())
    assert world.outcome(TOKEN, "user-1-inbox") == "user123"
    assert world.outcome(TOKEN, "user-2-inbox") == "denied"
    assert world.outcome(TOKEN, None) == "denied"
    assert world.outcome(TOKEN, "user-1-inbox") == "user123"
    assert len(world.calls) == 3


def test_a_yes_without_a_topic_opens_none_and_the_other_way_round() -> None:
    world = World(lambda call: yes() if b'"topic":""' in call.body else no())
    assert [world.outcome(TOKEN, topic) for topic in (None, "news", None, "news")] == ["user123", "denied"] * 2
    world = World(lambda call: no() if b'"topic":""' in call.body else yes())
    assert [world.outcome(TOKEN, topic) for topic in ("news", None, "news", None)] == ["user123", "denied"] * 2


def test_a_request_that_the_store_held_up_finds_the_answer_that_came_meanwhile() -> None:
    world = World()
    world.took = 1.0
    held_up = iter([True])

    def find(keys: tuple[str, ...]) -> dict[str, str]:
        if next(held_up, False):
            world.now += 0.5
            assert world.outcome(TOKEN) == "user123"
        return {key: world.revoked[key] for key in keys if key in world.revoked}

    world.find = find  # type: ignore[method-assign]
    assert world.outcome(TOKEN) == "user123"
    assert len(world.calls) == 1


def test_a_yes_to_one_token_opens_for_no_other() -> None:
    world = World(lambda call: yes() if TOKEN.encode() in call.body else no())
    assert [world.outcome(token) for token in (TOKEN, FORGED, ANOTHER, TOKEN)] == [
        "user123",
        "denied",
        "denied",
        "user123",
    ]


def test_a_no_is_remembered_for_its_own_ttl() -> None:
    world = World(no(), negative_ttl=5.0)
    for passed, calls in ((0, 1), (4.9, 1), (5, 2)):
        world.now = NOW + passed
        assert world.outcome(TOKEN) == "denied"
        assert len(world.calls) == calls


def test_a_no_takes_an_earlier_yes_away() -> None:
    world = World([yes(), no(), GONE], cache_ttl=60.0, negative_ttl=1.0, stale_if_error=600.0, retries=0)
    assert world.outcome(TOKEN) == "user123"
    world.now += 60
    assert world.outcome(TOKEN) == "denied"
    world.now += 1
    assert world.outcome(TOKEN) == "webhook_unavailable"


def test_the_cache_holds_so_many_and_the_longest_unused_goes_first() -> None:
    world = World(cache_size=3)
    tokens = [mint(jti=f"key-{number}") for number in range(4)]
    for token in (*tokens[:3], tokens[0], tokens[3]):
        world.decide(token)
    assert len(world.calls) == 4
    for token in (tokens[0], tokens[2], tokens[3]):
        world.decide(token)
    assert len(world.calls) == 4
    world.decide(tokens[1])
    assert len(world.calls) == 5


def test_a_flood_of_forged_tokens_pushes_no_genuine_one_out() -> None:
    world = World(lambda call: yes() if TOKEN.encode() in call.body else no(), cache_size=3, rate=10_000)
    world.decide(TOKEN)
    for number in range(100):
        assert world.outcome(mint(jti=f"forged-{number}")) == "denied"
    world.decide(TOKEN)
    assert len(world.calls) == 101


# state


def test_a_revoked_token_is_refused_at_once_whatever_is_remembered() -> None:
    world = World(cache_ttl=3600.0)
    assert world.outcome(TOKEN) == "user123"
    world.revoked["BLACKLIST:key:key-1"] = "cancelled"
    assert world.outcome(TOKEN) == "revoked"
    assert len(world.calls) == 1


def test_the_webhook_is_never_asked_about_a_revoked_token_and_its_bearer_learns_nothing() -> None:
    world = World()
    world.revoked["BLACKLIST:key:key-1"] = "cancelled"
    assert world.outcome(TOKEN) == "denied"
    assert world.outcome(FORGED) == "denied"
    assert world.calls == []


def test_a_token_revoked_while_the_webhook_is_asked_is_refused() -> None:
    world = World()

    def answer(_: Call) -> Reply:
        world.revoked["BLACKLIST:key:key-1"] = "cancelled"
        return yes()

    world.answer = answer
    assert world.outcome(TOKEN) == "revoked"


# local keys in front


def test_with_local_keys_forgeries_never_reach_the_webhook() -> None:
    world = World(keys=local_keys(), breaker_threshold=1)
    for number in range(1000):
        assert world.outcome(mint(jti=f"key-{number}", secret=b"x" * 32)) == "signature"
    assert world.calls == []


def test_with_local_keys_a_genuine_token_is_asked_about_and_remembered() -> None:
    world = World(keys=local_keys())
    assert [world.outcome(TOKEN) for _ in range(3)] == ["user123"] * 3
    assert len(world.calls) == 1


def test_with_local_keys_the_webhook_may_still_say_no() -> None:
    assert World(no(), keys=local_keys()).outcome(TOKEN) == "denied"


def test_with_local_keys_a_genuine_revoked_token_is_told_so_without_a_call() -> None:
    world = World(keys=local_keys())
    world.revoked["BLACKLIST:key:key-1"] = "cancelled"
    assert world.outcome(TOKEN) == "revoked"
    assert world.outcome(FORGED) == "signature"
    assert world.calls == []


def test_a_remembered_yes_counts_for_nothing_once_the_keys_in_front_forget_the_token() -> None:
    """A withdrawn key takes its tokens along, whatever the webhook once said of them."""
    keys = local_keys()
    rotated = LocalKeys(load(base64url(b"another secret of thirty-two byte"), ["HS256"]), ClaimNames())

    class Rotating:
        now = keys
        recall = property(lambda self: self.now.recall)
        verify = property(lambda self: self.now.verify)
        prove = property(lambda self: self.now.prove)

    front = Rotating()
    world = World(keys=front)
    assert [world.outcome(TOKEN) for _ in range(2)] == ["user123"] * 2
    front.now = rotated
    assert world.outcome(TOKEN) == "signature"


# failures


@pytest.mark.parametrize(
    "failure",
    [
        GONE,
        FetchFailed("timeout", "no whole answer within 5 s"),
        FetchFailed("protocol", "no HTTP/1.1 response"),
        FetchFailed("too_large", "answered with more than 65536 bytes"),
        FetchFailed("tls", "the certificate is not trusted"),
        Reply(200, (), b"<html>"),
        said({"valid": "yes", "user_id": "u"}),
        said({"valid": True, "user_id": "u"}, status=500),
        said({"valid": True, "user_id": "u"}, status=503),
    ],
)
def test_what_may_pass_is_tried_again_after_100_200_300_milliseconds(failure: Reply | FetchFailed) -> None:
    world = World([failure, failure, failure, yes()])
    assert world.outcome(TOKEN) == "user123"
    assert world.waits == pytest.approx([0.1, 0.2, 0.3])
    assert world.attempts == ["failed"] * 3 + ["yes"]


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_it_is_tried_as_often_as_configured_and_then_given_up(retries: int) -> None:
    world = World(GONE, retries=retries)
    assert world.outcome(TOKEN) == "webhook_unavailable"
    assert len(world.calls) == 1 + retries
    assert world.waits == pytest.approx([0.1 * number for number in range(1, retries + 1)])


@pytest.mark.parametrize("status", [204, 302, 400, 401, 403, 404])
def test_what_would_be_the_same_again_is_not_tried_again_and_admits_nobody(status: int) -> None:
    world = World(said({"valid": True, "user_id": "u"}, status=status))
    assert world.outcome(TOKEN) == "webhook_unavailable"
    assert world.attempts == ["refused"]


def test_a_failure_is_never_remembered() -> None:
    world = World([GONE, yes()], retries=0)
    assert [world.outcome(TOKEN) for _ in range(2)] == ["webhook_unavailable", "user123"]


def test_no_verdict_is_asked_for_twice() -> None:
    world = World([GONE, no()])
    assert world.outcome(TOKEN) == "denied"
    assert world.attempts == ["failed", "no"]


def test_each_call_has_its_timeout_and_the_whole_has_an_end() -> None:
    world = World(FetchFailed("timeout", "no whole answer"), timeout=5.0, retries=3)
    world.took = 5.0
    assert world.outcome(TOKEN) == "webhook_unavailable"
    assert [call.timeout for call in world.calls] == [5.0] * 4
    assert world.now - NOW == pytest.approx(4 * 5 + 0.6)


def test_a_webhook_slower_than_its_timeout_allows_no_call_past_the_end_of_the_whole() -> None:
    world = World(GONE, timeout=1.0, retries=3)
    world.took = 2.0
    world.decide(TOKEN)
    assert [call.timeout for call in world.calls] == pytest.approx([1.0, 1.0, 0.3])


def test_a_stale_yes_counts_while_the_webhook_is_away_and_for_no_longer() -> None:
    world = World(cache_ttl=60.0, stale_if_error=30.0, retries=0)
    world.decide(TOKEN)
    world.answer = GONE
    for passed, outcome in ((60, "user123"), (89, "user123"), (90, "webhook_unavailable")):
        world.now = NOW + passed
        assert world.outcome(TOKEN) == outcome
    assert Looked("stale") in world.events


def test_a_stale_yes_counts_while_the_breaker_is_open_and_while_the_limit_is_reached() -> None:
    world = World(cache_ttl=60.0, stale_if_error=600.0, retries=0, breaker_threshold=1, rate=1)
    world.decide(TOKEN)
    world.now += 60
    world.answer = GONE
    assert world.outcome(ANOTHER) == "webhook_unavailable"
    assert world.webhook.breaker == "open"
    assert world.outcome(TOKEN) == "user123"
    world = World(cache_ttl=60.0, stale_if_error=600.0, rate=1)
    world.decide(TOKEN)
    world.now += 60
    world.decide(ANOTHER)
    assert world.outcome(TOKEN) == "user123"


def test_a_stale_yes_never_outlives_token_or_answer() -> None:
    world = World(yes(expires_at=NOW + 70), cache_ttl=60.0, stale_if_error=600.0, retries=0)
    world.decide(TOKEN)
    world.answer = GONE
    world.now = NOW + 69.0
    assert world.outcome(TOKEN) == "user123"
    world.now = NOW + 70.0
    assert world.outcome(TOKEN) == "webhook_unavailable"


def test_without_the_setting_nothing_stale_counts() -> None:
    world = World(cache_ttl=60.0, retries=0)
    world.decide(TOKEN)
    world.answer = GONE
    world.now += 60
    assert world.outcome(TOKEN) == "webhook_unavailable"


# the breaker


def distinct() -> Iterator[str]:
    return (mint(jti=f"key-{number}") for number in range(10**6))


def test_the_breaker_opens_after_so_many_questions_that_failed_and_closes_after_one_probe() -> None:
    world = World(GONE, breaker_threshold=3, breaker_timeout=60.0, retries=1)
    tokens = distinct()
    assert [world.outcome(next(tokens)) for _ in range(5)] == ["webhook_unavailable"] * 3 + ["breaker_open"] * 2
    assert len(world.calls) == 3 * 2
    world.now += 60
    world.answer = yes()
    assert world.outcome(next(tokens)) == "user123"
    assert world.outcome(next(tokens)) == "user123"
    changes = [event.state for event in world.events if isinstance(event, BreakerChanged)]
    assert changes == ["open", "half_open", "closed"]


def test_a_probe_is_one_call_without_repetition() -> None:
    world = World(GONE, breaker_threshold=1, breaker_timeout=60.0, retries=3)
    tokens = distinct()
    world.decide(next(tokens))
    calls = len(world.calls)
    world.now += 60
    assert [world.outcome(next(tokens)) for _ in range(3)] == ["webhook_unavailable", "breaker_open", "breaker_open"]
    assert len(world.calls) == calls + 1


def test_ten_thousand_forged_tokens_do_not_open_it() -> None:
    world = World(no(), breaker_threshold=1, rate=10**6)
    for number in range(10_000):
        assert world.outcome(mint(jti=f"forged-{number}", secret=b"x" * 32)) == "denied"
    assert world.webhook.breaker == "closed"
    assert not any(isinstance(event, BreakerChanged) for event in world.events)


def test_a_token_that_draws_a_4xx_does_not_open_it() -> None:
    """Whoever finds one must not shut out everybody."""
    world = World(said({}, status=413), breaker_threshold=1)
    tokens = distinct()
    assert [world.outcome(next(tokens)) for _ in range(5)] == ["webhook_unavailable"] * 5
    assert world.webhook.breaker == "closed"


def test_what_is_remembered_works_while_it_is_open() -> None:
    world = World(breaker_threshold=1, retries=0)
    world.decide(TOKEN)
    world.answer = GONE
    world.decide(ANOTHER)
    assert world.outcome(mint(jti="key-3")) == "breaker_open"
    assert world.outcome(TOKEN) == "user123"


def test_a_question_stops_repeating_itself_when_the_breaker_opens_meanwhile() -> None:
    world = World(breaker_threshold=1, retries=3)
    others = distinct()

    def answer(_: Call) -> FetchFailed:
        if len(world.calls) == 1:  # while the first one waits, another fails for good
            world.answer = GONE
            world.decide(next(others))
            world.answer = answer
        return GONE

    world.answer = answer
    assert world.outcome(TOKEN) == "webhook_unavailable"
    assert world.asked.count((TOKEN, topic_id("news"))) == 1


def test_a_flow_that_breaks_gives_its_probe_back() -> None:
    """What is not ours propagates, and does not jam the breaker."""
    world = World(GONE, breaker_threshold=1, breaker_timeout=60.0, retries=0)
    world.decide(TOKEN)
    world.now += 60

    def breaks(_: Call) -> Reply:
        raise ZeroDivisionError

    world.answer = breaks
    with pytest.raises(ZeroDivisionError):
        world.decide(TOKEN)
    world.answer = yes()
    assert world.outcome(TOKEN) == "user123"


# the limit


def test_past_the_limit_questions_are_refused_unasked_and_what_is_remembered_works() -> None:
    world = World(rate=5)
    outcomes = [world.outcome(token) for token, _ in zip(distinct(), range(8), strict=False)]
    assert outcomes == ["user123"] * 5 + ["verification_rate"] * 3
    assert len(world.calls) == 5
    assert world.events.count(Limited("webhook")) == 3
    assert world.outcome(mint(jti="key-0")) == "user123"


def test_repetitions_count_towards_the_limit() -> None:
    world = World(GONE, rate=2, retries=10)
    assert world.outcome(TOKEN) == "webhook_unavailable"
    assert len(world.calls) == 2


def test_the_limit_takes_no_calls_from_a_probe_that_may_not_be_made() -> None:
    world = World(GONE, rate=1, breaker_threshold=1, breaker_timeout=60.0, retries=0)
    tokens = distinct()
    world.decide(next(tokens))
    assert [world.outcome(next(tokens)) for _ in range(5)] == ["breaker_open"] * 5
    world.now += 60
    world.answer = yes()
    assert world.outcome(next(tokens)) == "user123"
    assert world.outcome(next(tokens)) == "verification_rate"
    world.now += 1
    assert world.outcome(next(tokens)) == "user123"


# what is told


def test_every_attempt_is_told_with_its_cause_and_without_the_token() -> None:
    world = World([GONE, Reply(502, (), b""), yes()])
    world.took = 0.25
    world.decide(TOKEN)
    attempts = [event for event in world.events if isinstance(event, Attempted)]
    assert [(one.number, one.outcome, one.detail) for one in attempts] == [
        (1, "failed", "no connection: Connection refused"),
        (2, "failed", "answered 502"),
        (3, "yes", ""),
    ]
    assert [one.took for one in attempts] == pytest.approx([0.25] * 3)
    signature = TOKEN.rpartition(".")[2]
    assert signature not in repr(world.events)
    assert signature not in repr(world.calls)


def test_looking_in_the_memory_is_told_where_the_decision_does_not_show_it() -> None:
    world = World(lambda call: no() if FORGED.encode() in call.body else yes())
    for token in (TOKEN, TOKEN, FORGED, FORGED):
        world.decide(token)
    assert [event.found for event in world.events if isinstance(event, Looked)] == ["miss", "miss", "no"]


def test_what_is_answered_at_sight_is_counted() -> None:
    world = World()
    for _ in range(4):
        world.decide(TOKEN)
    world.decide(ANOTHER)
    assert world.webhook.hits == 3


def test_a_refusal_says_why_in_one_word() -> None:
    decision = World(GONE, retries=0).decide(TOKEN)
    assert isinstance(decision, Refuse)
    assert decision.reason is Reason.WEBHOOK_UNAVAILABLE
    assert decision.subject is None


def test_calls_are_signed_when_there_is_a_secret() -> None:
    world = World([GONE, yes()], secret=b"a secret")
    world.decide(TOKEN)
    first, second = (dict(call.headers)["X-Sluicegate-Signature"] for call in world.calls)
    assert first.startswith(f"t={NOW},v1=")
    assert len(second) == len(first)
    unsigned = World()
    unsigned.decide(TOKEN)
    assert "X-Sluicegate-Signature" not in dict(unsigned.calls[0].headers)


def test_terms_and_calls_show_no_secret() -> None:
    assert "hush" not in repr(Terms(url=URL, secret=b"hush"))


def test_the_webhook_admits_while_authentication_is_off_whatever_it_says() -> None:
    world = World(no(), policy=Policy(auth="off"))
    assert world.outcome(TOKEN) == "anonymous"
    assert EXPIRES > NOW
