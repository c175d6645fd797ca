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
NOW: Final = int(time.time())

Case = tuple[str, str]
"""A header and a body."""

SIGNED: Final = sign(SECRET.encode(), BODY.encode(), NOW)
GOOD: Final[Sequence[Case]] = (
    (SIGNED, BODY),
    (sign(SECRET.encode(), BODY.encode(), NOW - 200), BODY),
    (sign(SECRET.encode(), BODY.encode(), NOW + 200), BODY),
    (sign(SECRET.encode(), "{…}".encode(), NOW), "{…}"),
)
BAD: Final[Sequence[Case]] = (
    (SIGNED, BODY + " "),
    (SIGNED.replace(f"t={NOW}", f"t={NOW + 1}"), BODY),
    (sign(SECRET.encode(), BODY.encode(), NOW - 400), BODY),
    (sign(SECRET.encode(), BODY.encode(), NOW + 400), BODY),
    (sign(b"another secret", BODY.encode(), NOW), BODY),
    (sign(b"", BODY.encode(), NOW), BODY),
    ("", BODY),
    (f"t={NOW}", BODY),
    (f"t={NOW},v1=", BODY),
    (SIGNED.partition(",")[2], BODY),
    (SIGNED[:-1], BODY),
    (SIGNED.replace("v1=", "v0="), BODY),
    (f"t=,v1={SIGNED.rpartition('=')[2]}", BODY),
    (f"t=-1,v1={SIGNED.rpartition('=')[2]}", BODY),
    ("nonsense", BODY),
    ("t=\u0661,v1=x", BODY),
)


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
    assert receiver(GOOD, tmp_path) == [True] * len(GOOD)
    assert receiver(BAD, tmp_path) == [False] * len(BAD)
