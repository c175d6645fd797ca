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
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=50)
        assert demo.stop() == 0
    assert re.findall(r"^HTTP/1.1 (\d+)", done.stdout, re.MULTILINE) == ["200", "401", "200"], done.stderr
    assert '"X-Auth-User-Id": "alice"' in done.stdout
    assert '"error":"api_key_blacklisted"' in done.stdout
    assert "decision  admitted as alice" in done.stdout
    assert (tmp_path / "sluicegate" / "demo" / "sluicegate.toml").stat().st_mode & 0o777 == 0o600
