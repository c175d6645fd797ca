"""The README, used as a stranger uses it: in an empty directory, pasted as printed."""

import re
import subprocess
import sys
from pathlib import Path

from tests.servers.ports import reserved_port
from tests.servers.process import prints, program, running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECRET = "ZmlmdHktdHdvIGJ5dGVzIG9mIGEgc2VjcmV0IHRoYXQgbm9ib2R5IGtub3dzLi4="


def block(text: str, language: str = "") -> str:
    found = re.search(f"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_commands_under_use_it_do_what_they_say(tmp_path: Path) -> None:
    section = README.partition("## Use it")[2].partition("## Coming from")[0]
    commands = block(section.partition("Then:")[2])
    with reserved_port() as port:
        operators = '[admin]\nbind_address = "127.0.0.1:0"\n'
        (tmp_path / "sluicegate.toml").write_text(
            f'state_dir = "{tmp_path}/state"\n{operators}[http]\nbind_address = "127.0.0.1:{port}"\n'
            + block(section, "toml")
        )
        environment = {
            "JWT_SECRET": SECRET,
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        }
        serve = [program("sluicegate"), "serve", "--config", "sluicegate.toml"]
        with running(serve, prints("ready"), environment=environment, directory=tmp_path):
            typed = [
                line.partition(" #")[0]
                for line in commands.splitlines()
                if not re.match("export|sluicegate serve|#", line)
            ]
            script = "\n".join(typed).replace("127.0.0.1:8080", f"127.0.0.1:{port}")
            done = subprocess.run(
                ["bash", "-euc", script],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=50,
            )
    assert done.returncode == 0, done.stderr
    assert "Hello alice! Your tier: PREMIUM" in done.stdout
    assert '{"error":"api_key_blacklisted","message":"API key has been disabled' in done.stdout


def test_every_page_that_is_linked_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_code_block_of_python_can_be_read() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            compile(code, page.name, "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT
