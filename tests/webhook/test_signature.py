"""A call's signature, checked by the receivers that docs/webhook.md prints, in Python and in JavaScript."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from sluicegate.core.webhook_call import sign
from tests.servers.process import program

PAGE: Final = (Path(__file__).parents[2] / "docs" / "webhook.md").read_text(encoding="utf-8")
SECTION: Final = PAGE.partition("## Knowing who asks")[2]
SECRET: Final = "the secret of the calls"
BODY: Final = '{"jwt":"a.b.c","topic":""}'

Case = tuple[str, str]
"""A header and a body."""


def good(now: int) -> list[Case]:
    """What the gate signs: now, and as far off as clocks may differ."""
    return [
        (signed(now), BODY),
        (signed(now - 200), BODY),
        (signed(now + 200), BODY),
        (sign(SECRET.encode(), "{…}".encode(), now), "{…}"),
    ]


def bad(now: int) -> list[Case]:
    """What it did not sign, or long ago."""
    right = signed(now)
    return [
        (right, BODY + " "),
        (right.replace(f"t={now}", f"t={now + 1}"), BODY),
        (signed(now - 400), BODY),
        (signed(now + 400), BODY),
        (sign(b"another secret", BODY.encode(), now), BODY),
        (sign(b"", BODY.encode(), now), BODY),
        ("", BODY),
        (f"t={now}", BODY),
        (f"t={now},v1=", BODY),
        (right.partition(",")[2], BODY),
        (right[:-1], BODY),
        (right.replace("v1=", "v0="), BODY),
        (f"t=,v1={right.rpartition('=')[2]}", BODY),
        (f"t=-1,v1={right.rpartition('=')[2]}", BODY),
        ("nonsense", BODY),
        ("t=\u0661,v1=x", BODY),
    ]


def signed(moment: int) -> str:
    return sign(SECRET.encode(), BODY.encode(), moment)


def snippet(language: str) -> str:
    found = re.search(f"```{language}\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None
    return found[1]


def python(cases: Sequence[Case], _: Path) -> list[bool]:
    scope: dict[str, Any] = {}
    exec(snippet("python"), scope)  # noqa: S102 - our own page
    return [scope["is_from_gate"](header, body.encode(), SECRET.encode()) for header, body in cases]


def javascript(cases: Sequence[Case], directory: Path) -> list[bool]:
    path = directory / "signature.js"
    path.write_text(
        snippet("javascript")
        + "const cases = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));\n"
        + f"console.log(JSON.stringify(cases.map(([h, b]) => isFromGate(h, Buffer.from(b), {json.dumps(SECRET)}))));\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [program("node"), str(path)], input=json.dumps(cases), capture_output=True, text=True, check=True, timeout=50
    )
    verdicts: list[bool] = json.loads(done.stdout)
    return verdicts


@pytest.mark.parametrize("receiver", [python, javascript])
def test_what_the_gate_signed_is_accepted_and_nothing_else(
    receiver: Callable[[Sequence[Case], Path], list[bool]], tmp_path: Path
) -> None:
    # by the clock of this moment, not of the moment when the run began: the receivers have clocks of their own
    now = int(time.time())
    assert receiver(good(now), tmp_path) == [True] * len(good(now))
    assert receiver(bad(now), tmp_path) == [False] * len(bad(now))
