"""What the webhook is sent, byte for byte, and what of its answers is a verdict."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.flow import Reply
from sluicegate.core.token import digest, peek
from sluicegate.core.webhook_call import Failure, No, Unnamed, Yes, body_of, read, sign
from tests.table.tokens import mint

TOPIC = "a1b2c3d4e5f67890abcdef1234567890"


def reply(body: str | bytes, status: int = 200) -> Reply:
    return Reply(status, (), body.encode() if isinstance(body, str) else body)


@pytest.mark.parametrize("length", range(0, 70, 7))
def test_the_question_is_the_token_as_it_was_sent_and_the_topic(length: int) -> None:
    token = mint(padding="x" * length)
    peeked = peek(token.encode(), digest(token.encode()))
    assert json.loads(body_of(peeked, TOPIC)) == {"jwt": token, "topic": TOPIC}
    assert list(json.loads(body_of(peeked, ""))) == ["jwt", "topic"]


@given(st.binary(min_size=0, max_size=70))
def test_whatever_the_signature_the_token_is_sent_unchanged(signature: bytes) -> None:
    head = mint().rpartition(".")[0]
    token = f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert json.loads(body_of(peek(token.encode(), b""), ""))["jwt"] == token


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ('{"valid": true, "user_id": "user123", "expires_at": 1735689600}', Yes("user123", 1735689600.0)),
        ('{"valid":true,"user_id":"user123","expires_at":null}', Yes("user123", None)),
        ('{"valid":true,"user_id":"user123"}', Yes("user123", None)),
        ('{"valid":true,"user_id":"ü","expires_at":1.5,"more":{"a":[1]}}', Yes("ü", 1.5)),
        ('{"user_id":"user123","valid":true}\n', Yes("user123", None)),
        ('{"valid":false,"user_id":null,"expires_at":null}', No()),
        ('{"valid":false}', No()),
        ('{"valid":false,"user_id":7,"expires_at":"never"}', No()),
        ('{"valid":true}', Unnamed()),
        ('{"valid":true,"user_id":null}', Unnamed()),
        ('{"valid":true,"user_id":""}', Unnamed()),
        ('{"valid":true,"user_id":"  "}', Unnamed()),
        ('{"valid":true,"user_id":7}', Unnamed()),
        ('{"valid":true,"user_id":["user123"]}', Unnamed()),
        ('{"valid":true,"user_id":"a\\nb"}', Unnamed()),
        (
            '{"valid":true,"user_id":"\\ud800"}',
            Failure("answered 200 without a JSON object that can be read in one way"),
        ),
        (json.dumps({"valid": True, "user_id": "x" * 257}), Unnamed()),
    ],
)
def test_a_clear_answer_is_a_verdict(answer: str, verdict: object) -> None:
    assert read(reply(answer)) == verdict


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html><body>Please log in</body></html>",
        "true",
        "null",
        "[]",
        '"valid"',
        '["valid", true]',
        "{}",
        '{"valid": "yes", "user_id": "u"}',
        '{"valid": "true", "user_id": "u"}',
        '{"valid": 1, "user_id": "u"}',
        '{"valid": null, "user_id": "u"}',
        '{"valid": [true], "user_id": "u"}',
        '{"VALID": true, "user_id": "u"}',
        '{"valid": true, "user_id": "u"',
        '{"valid": true, "user_id": "u"} {"valid": false}',
        '{"valid": true, "user_id": "u", "valid": false}',
        '{"valid": false, "valid": true, "user_id": "u"}',
        '{"valid": true, "user_id": "u", "user_id": "root"}',
        '{"valid": true, "user_id": "u", "more": {"a": 1, "a": 2}}',
        '{"valid": true, "user_id": "u", "expires_at": "1735689600"}',
        '{"valid": true, "user_id": "u", "expires_at": true}',
        '{"valid": true, "user_id": "u", "expires_at": NaN}',
        '{"valid": true, "user_id": "u", "expires_at": Infinity}',
        '{"valid": true, "user_id": "u", "expires_at": 1e300}',
        '{"valid": true, "user_id": "u", "expires_at": 1' + "0" * 400 + "}",
        '{"valid": true, "user_id": "u", "expires_at": {}}',
        "﻿" + '{"valid": true, "user_id": "u"}',
        '{"valid": true, "user_id": "u", "deep": ' + "[" * 20_000 + "]" * 20_000 + "}",
        b'{"valid": true, "user_id": "\xff"}',
    ],
)
def test_anything_else_is_none_and_may_be_asked_again(answer: str | bytes) -> None:
    found = read(reply(answer))
    assert isinstance(found, Failure)
    assert not found.is_final


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 408, 425, 429])
def test_what_may_pass_is_asked_again_whatever_its_body_says(status: int) -> None:
    assert read(reply('{"valid": true, "user_id": "u"}', status)) == Failure(f"answered {status}")


@pytest.mark.parametrize("status", [201, 202, 204, 206, 301, 302, 307, 308, 400, 401, 403, 404, 405, 413, 415, 422])
def test_any_other_status_is_no_verdict_either_and_would_be_the_same_again(status: int) -> None:
    for body in ('{"valid": true, "user_id": "u"}', '{"valid": false}'):
        assert read(reply(body, status)) == Failure(f"answered {status}", is_final=True)


def test_a_call_is_signed_over_its_time_and_its_body() -> None:
    """As the documented receivers check it, reckoned here with another library call."""
    body = b'{"jwt":"x","topic":""}'
    stamp, _, signature = sign(b"a secret", body, 1_800_000_000.7).partition(",v1=")
    assert stamp == "t=1800000000"
    assert signature == hmac.new(b"a secret", b"1800000000." + body, hashlib.sha256).hexdigest()
