"""A case: the bytes of one connection, and what the gate must make of them.

A line of JSON each. `raw` holds one character a byte; a pair in it, `["a", 9000]`, is that text so many times. `gets`
says, in order, what becomes of each request: `"POST /x 5"` reaches the upstream with that method and target and a body
of 5 bytes, and a number is the status with which the gate itself answers. `end` says what follows: `open`, another
request would be served; `closed`, none would; `waits`, the last one is not whole yet and has reached nobody whole.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, final

import msgspec

DATA: Final = Path(__file__).parent / "data"

Piece = str | tuple[str, int]
Get = str | int
End = Literal["open", "closed", "waits"]


@final
class Case(msgspec.Struct, frozen=True):
    """One connection. `$TOKEN` in `raw` stands for a token that is good."""

    id: str
    raw: tuple[Piece, ...]
    gets: tuple[Get, ...]
    end: End

    def sent(self, token: str) -> bytes:
        """Return the bytes that the client sends."""
        pieces = (piece if isinstance(piece, str) else piece[0] * piece[1] for piece in self.raw)
        return "".join(pieces).replace("$TOKEN", token).encode("latin-1")


def case(name: str, raw: bytes | tuple[bytes | tuple[bytes, int], ...], *gets: Get, end: End | None = None) -> Case:
    """Make a case. Unless `end` says otherwise, a status of 400 and above closes the connection."""
    pieces = raw if isinstance(raw, tuple) else (raw,)
    written = tuple(
        piece.decode("latin-1") if isinstance(piece, bytes) else (piece[0].decode("latin-1"), piece[1])
        for piece in pieces
    )
    last = gets[-1] if gets else ""
    return Case(name, written, gets, end or ("closed" if isinstance(last, int) and last >= 400 else "open"))


def written(cases: Iterable[msgspec.Struct]) -> str:
    """Write cases as the lines of a file."""
    return "".join(json.dumps(msgspec.to_builtins(one), separators=(",", ":")) + "\n" for one in cases)


def read(name: str) -> Iterator[Case]:
    """Read the cases of one file."""
    for line in (DATA / f"{name}.jsonl").read_text("ascii").splitlines():
        yield msgspec.json.decode(line, type=Case)
