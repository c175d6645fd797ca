"""What a run of `make bench` found, as one table and one picture: docs/figures.md and docs/figures.svg.

A measurement says what it found by `record`; `python -m bench` gathers that of all that ran, and `write` draws it.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from tests.servers.process import ServerFailed, program

RESULTS: Final = "SLUICEGATE_BENCH_RESULTS"
"""Names the file that figures are gathered in; where it is not set, a measurement only prints."""

DOCS: Final = Path(__file__).parents[1] / "docs"

_WIDTH: Final = 860
_LEFT: Final = 330
_RIGHT: Final = 60
_BAR: Final = 18
_STEP: Final = 26
_OWN: Final = "#0f766e"
_OTHERS: Final = "#94a3b8"
_PROGRAMS: Final = {
    "nginx": ("nginx", "-v"),
    "HAProxy": ("haproxy", "-v"),
    "Caddy": ("caddy", "version"),
    "Envoy": ("envoy", "--version"),
    "Redis": ("redis-server", "--version"),
}
_PACKAGES: Final = ("sluicegate", "uvloop", "httptools", "cryptography", "pyjwt", "uvicorn", "flask-jwt-extended")
_NUMBER: Final = re.compile(r"\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. `ratio` is what it is of `peer`, measured in the same run; `asked` is what it should be at least.

    A figure without a ratio is compared with `asked` itself, in `unit`; less is better then.
    """

    area: str
    name: str
    value: float
    unit: str
    ratio: float | None = None
    peer: str = ""
    asked: float | None = None

    @property
    def is_own(self) -> bool:
        """Tell whether it is Sluicegate's."""
        return self.name.startswith("Sluicegate")

    @property
    def is_met(self) -> bool | None:
        """Tell whether it is what was asked for; None where nothing was."""
        if self.asked is None:
            return None
        return self.value <= self.asked if self.ratio is None else self.ratio >= self.asked


def record(
    area: str,
    name: str,
    value: float,
    unit: str,
    *,
    ratio: float | None = None,
    peer: str = "",
    asked: float | None = None,
) -> None:
    """Take note of one figure, where a run gathers them."""
    if (results := os.environ.get(RESULTS)) is None:
        return
    figure = Figure(area, name, value, unit, ratio, peer, asked)
    with Path(results).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(figure)) + "\n")


def write(results: Path, how: str) -> None:
    """Write the table and the picture of what was gathered; `how` is what was asked for."""
    # a file that is missing is an error: an empty page must not replace what was found before
    figures = [Figure(**json.loads(line)) for line in results.read_text(encoding="utf-8").splitlines()]
    (DOCS / "figures.md").write_text(table(figures, how), encoding="utf-8")
    (DOCS / "figures.svg").write_text(picture(figures), encoding="utf-8")
    print(f"\nwrote {len(figures)} figures to docs/figures.md and docs/figures.svg")


def table(figures: Sequence[Figure], how: str) -> str:
    """Write the page."""
    lines = [
        "# Figures",
        "",
        "Written by `make bench`, from one run; how they are taken is told in [performance](performance.md). CPU is",
        "user and system time of the whole process tree. A ratio is a peer's cost divided by this one's, taken in",
        "turns in the same run: more is better. Absolute figures are one machine's, of one day, and differ between",
        "starts of the same server.",
        "",
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, by {how}, {_machine()}. {', '.join(_versions())}.",
        "",
        "![The same request, what it costs beside nginx](figures.svg)",
    ]
    for area in dict.fromkeys(figure.area for figure in figures):
        lines += ["", f"## {area}", "", "| | figure | ÷ peer | asked | |", "|---|---|---|---|---|"]
        for figure in figures:
            if figure.area == area:
                lines.append(_row(figure))
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f} of {figure.peer}"
    bound = "≥" if figure.ratio is not None else "≤"
    asked = "" if figure.asked is None else f"{bound} {figure.asked:g}"
    met = {True: "reached", False: "**short**", None: ""}[figure.is_met]
    return f"| {figure.name} | {figure.value:,.2f} {figure.unit} | {ratio} | {asked} | {met} |"


def picture(figures: Iterable[Figure]) -> str:
    """Draw the ratios, an area a group, the best first."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        if figure.ratio is not None:
            groups.setdefault(figure.area, []).append(figure)
    drawn: list[str] = []
    y = 16
    for area, members in groups.items():
        peers = ", ".join(dict.fromkeys(member.peer for member in members))
        drawn.append(f'<text x="12" y="{y + 14}" font-weight="600">{escape(area)}: part of {escape(peers)}</text>')
        y += _STEP + 4
        most = max(1.0, *(member.ratio or 0 for member in members))
        for member in sorted(members, key=lambda one: -(one.ratio or 0)):
            ratio = member.ratio or 0
            length = ratio / most * (_WIDTH - _LEFT - _RIGHT)
            colour = _OWN if member.is_own else _OTHERS
            drawn += [
                f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(member.name)}</text>',
                f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3" fill="{colour}"/>',
                f'<text x="{_LEFT + length + 6:.1f}" y="{y + 13}">{ratio:.2f}</text>',
            ]
            y += _STEP
        y += 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" font-family="system-ui, sans-serif" '
        'font-size="13" fill="#0f172a" role="img" aria-label="CPU per request beside peers">'
        f'<rect width="{_WIDTH}" height="{y}" fill="#ffffff"/>'
    )
    return "\n".join((head, *drawn, "</svg>")) + "\n"


def _machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    name = model[1] if model is not None else platform.machine()
    return f"{os.cpu_count()} cores of {name}, Linux {platform.release().partition('-')[0]}"


def _versions() -> Iterable[str]:
    yield f"Python {platform.python_version()}"
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    for name, (command, option) in _PROGRAMS.items():
        try:
            found = shutil.which(program(command))
        except ServerFailed:
            continue
        said = subprocess.run([found or command, option], capture_output=True, text=True, check=False)
        if (number := _NUMBER.search(said.stdout + said.stderr)) is not None:
            yield f"{name} {number[0]}"


if __name__ == "__main__":
    write(Path(sys.argv[1]), " ".join(sys.argv[2:]))
