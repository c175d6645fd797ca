"""The command line. `main` is the console script; it needs the `server` extra."""

import sys
from io import TextIOWrapper


def main() -> None:
    """Run `sluicegate`; exit codes are those of `sluicegate.cli.exits`."""
    try:
        from sluicegate.cli.app import app  # noqa: PLC0415 - only where the extra is installed
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "sluicegate":
            raise
        sys.stderr.write(f"sluicegate: {missing.name} is not installed; run: pip install 'sluicegate[server]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale without the letters of a name is no defect of ours
    app()
