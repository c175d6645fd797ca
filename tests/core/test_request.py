"""What came in, and what of it may be shown."""

import pytest

from sluicegate.core.request import Credential, Request, Source, is_preflight

ORIGIN = (b"origin", b"https://app.example.com")
METHOD = (b"access-control-request-method", b"PUT")


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        pytest.param("OPTIONS", [ORIGIN, METHOD], True, id="as browsers send it"),
        pytest.param("OPTIONS", [ORIGIN, METHOD, (b"content-length", b"0")], True, id="with an empty body"),
        pytest.param("OPTIONS", [ORIGIN], False, id="without the method that is asked for"),
        pytest.param("OPTIONS", [METHOD], False, id="without an origin"),
        pytest.param("OPTIONS", [], False, id="plain OPTIONS"),
        pytest.param("GET", [ORIGIN, METHOD], False, id="another method"),
        pytest.param("options", [ORIGIN, METHOD], False, id="methods have a case"),
        pytest.param("OPTIONS", [ORIGIN, METHOD, (b"content-length", b"5")], False, id="with a body"),
        pytest.param("OPTIONS", [ORIGIN, METHOD, (b"content-length", b"00")], False, id="with a doubtful length"),
        pytest.param(
            "OPTIONS",
            [ORIGIN, METHOD, (b"content-length", b"0"), (b"content-length", b"5")],
            False,
            id="with two lengths",
        ),
        pytest.param(
            "OPTIONS", [ORIGIN, METHOD, (b"transfer-encoding", b"chunked")], False, id="with a body in chunks"
        ),
    ],
)
def test_a_preflight_is_what_a_browser_sends_and_has_no_body(
    method: str,
    headers: list[tuple[bytes, bytes]],
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert is_preflight(Request(method=method, headers=headers)) is expected


def test_no_repr_shows_a_token() -> None:
    """Tracebacks and debuggers end in logs."""
    request = Request(id="1", query=b"token=secret", headers=[(b"authorization", b"Bearer secret")])
    credential = Credential(b"secret", Source("header", "Authorization"))
    assert "secret" not in repr(request) + repr(credential)
    assert "header Authorization" in repr(credential)
