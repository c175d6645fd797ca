"""`serve` and `check`."""

from typing import Annotated

import typer

from sluicegate import compose, serving
from sluicegate.cli.arguments import AsJson, Config, print_json
from sluicegate.cli.exits import Exit, reported
from sluicegate.summary import summary, warnings


def serve(
    *,
    config: Config = None,
    log_format: Annotated[
        compose.LogForm, typer.Option(help="How the log is written; auto is text on a terminal and JSON elsewhere.")
    ] = "auto",
) -> None:
    """Run the gateway in the foreground, until SIGTERM or Ctrl-C. It serves once it says "ready"."""
    with reported():
        settings = compose.settings_of(config)
        serving.serve(settings, log_form=log_format)


def check(*, config: Config = None, as_json: AsJson = False) -> None:
    """Read the settings, try the key and the store, and say what would be guarded by what. Nothing is started.

    Exits with 2 when there are faults, with 3 when the store is out of reach.
    """
    with reported(), compose.opened(config) as assembly:
        lines, warned = list(summary(assembly)), list(warnings(assembly))
        report = None if assembly.store is None else assembly.store.inspect()
    if report is not None:
        warned += report.warnings
    if as_json:
        store = None if report is None else {"kind": report.kind, "reachable": report.reachable}
        print_json({"summary": lines, "warnings": warned, "unsafe": list(assembly.unsafe), "store": store})
    else:
        for line in lines:
            print(line)
        if report is not None:
            print(f"store: {report.kind}, {'reachable' if report.reachable else 'OUT OF REACH'}")
        for line in warned:
            print(f"warning: {line}")
    if report is not None and not report.reachable:
        raise typer.Exit(Exit.UNAVAILABLE)
