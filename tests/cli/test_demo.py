"""What `make run` starts, used as its own text says."""

import re
import subprocess
from pathlib import Path

from tests.servers.process import prints, program, running


def test_the_printed_commands_work_when_pasted_one_by_one(tmp_path: Path) -> None:
    command = [program("sluicegate"), "demo", "--port", "0", "--admin-port", "0"]
    with running(command, prints("Ctrl-C ends it."), environment={"XDG_STATE_HOME": str(tmp_path)}) as demo:
        text = demo.output().partition("Paste these into another terminal")[2]
        commands = [line.strip() for line in text.splitlines() if re.match("  (TOKEN=|curl|.*sluicegate) ?", line)]
        script = "\n".join(["set -u", *commands])
        (config,) = (tmp_path / "sluicegate" / "demo").glob("*.toml")
        assert config.stat().st_mode & 0o777 == 0o600
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=50)
        assert demo.stop() == 0
    assert re.findall(r"^HTTP/1.1 (\d+)", done.stdout, re.MULTILINE) == ["200", "401", "200"], done.stderr
    assert '"X-Auth-User-Id": "alice"' in done.stdout
    assert '"error":"api_key_blacklisted"' in done.stdout
    assert "decision  admitted as alice" in done.stdout
    assert not config.exists()


def test_two_demos_at_once_keep_out_of_each_other_s_way(tmp_path: Path) -> None:
    command = [program("sluicegate"), "demo", "--port", "0", "--admin-port", "0"]
    state = {"XDG_STATE_HOME": str(tmp_path)}
    with (
        running(command, prints("Ctrl-C ends it."), environment=state) as first,
        running(command, prints("Ctrl-C ends it."), environment=state),
    ):
        lines = [
            line.strip() for line in first.output().splitlines() if re.match("  (TOKEN=|.*sluicegate explain)", line)
        ]
        done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=False, timeout=50)
    assert "decision  admitted as alice" in done.stdout, done.stdout
