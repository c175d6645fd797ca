"""The built wheel, installed as a stranger installs it: without the source tree, and without extras."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]

WHEELHOUSE: Final = Path(sys.prefix) / "wheelhouse"
"""What `tools/setup` downloaded: the base dependencies, as requirements/base.txt names them."""

LOOK: Final = """
import importlib.metadata, json
import sluicegate
print(json.dumps({
    "file": sluicegate.__file__,
    "exports": list(sluicegate.__all__),
    "missing": [name for name in sluicegate.__all__ if not hasattr(sluicegate, name)],
    "distributions": [found.name.lower() for found in importlib.metadata.distributions()],
}))
"""


def run(*command: str | Path) -> str:
    """Run a command in a clean environment; a failure shows what it said."""
    done = subprocess.run(command, cwd=ROOT, env={"LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    target = tmp_path_factory.mktemp("wheel")
    build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", target)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *build, ROOT)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh environment says about the package, after `pip install sluicegate` without extras."""
    python = tmp_path_factory.mktemp("fresh") / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", python.parents[1])
    install = ("install", "--quiet", "--no-index", "--find-links", WHEELHOUSE)
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *install, wheel)
    # -I: no PYTHONPATH, no current directory, so the source tree cannot stand in for the wheel.
    found: dict[str, Any] = json.loads(run(python, "-I", "-W", "error", "-c", LOOK))
    assert Path(found["file"]).is_relative_to(python.parents[1])
    return found


def test_the_base_install_brings_none_of_the_extras(installed: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {re.split(r"[^a-z0-9-]", line)[0] for extra in project["optional-dependencies"].values() for line in extra}
    assert {"hiredis", "uvloop"} <= extras
    assert extras.isdisjoint(installed["distributions"])


def test_every_exported_name_is_there_in_the_base_install(installed: dict[str, Any]) -> None:
    assert installed["exports"]
    assert installed["missing"] == []


def test_the_wheel_holds_the_package_and_its_licence_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "sluicegate/py.typed" in names
    described = {name for name in names if name.startswith("sluicegate-")}
    assert any(name.endswith("/licenses/LICENSE") for name in described)
    assert all(name.startswith("sluicegate/") for name in names - described)
    source = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert source <= names
