"""`serve` and `check`."""

from typing import Annotated

import typer

from sluicegate import compose, supervise
from sluicegate.certificates import certificate_of
from sluicegate.cli.arguments import AsJson, Config, print_json
from sluicegate.cli.exits import Exit, reported
from sluicegate.summary import summary, warnings
from sluicegate.upstreams import upstreams_of


def serve(
    *,
    config: Config = None,
    log_format: Annotated[
        compose.LogForm, typer.Option(help="How the log is written; auto is text on a terminal and JSON elsewhere.")
    ] = "auto",
) -> None:
    """Run the gateway in the foreground, until SIGTERM or Ctrl-C. It serves once it says "ready".

    SIGHUP reads the settings again. Exits with 1 when requests had to be broken off.
    """
    with reported():
        settings = compose.settings_of(config)
        if not supervise.serve(settings, reread=lambda: compose.settings_of(config), log_form=log_format):
            raise typer.Exit(Exit.REFUSED)


def check(*, config: Config = None, as_json: AsJson = False) -> None:
    """Read the settings, try the keys and the store, and say what would be guarded by what. Nothing is started.

    Exits with 2 when there are faults, with 3 when the store or published keys are out of reach.
    """
    with reported(), compose.opened(config) as assembly:
        upstreams_of(assembly.settings)
        lines, warned = list(summary(assembly)), list(warnings(assembly))
        certificate = certificate_of(assembly.settings, compose.log)
        warned += () if certificate is None else certificate.warnings()
        report = None if assembly.inspected is None else assembly.inspected.inspect()
        keys = assembly.try_keys()
    if report is not None:
        warned += report.warnings
    warned += (f"{one.service}: {warning}" for one in keys for warning in one.warnings)
    if as_json:
        store = None if report is None else {"kind": report.kind, "reachable": report.reachable}
        said = {"summary": lines, "warnings": warned, "unsafe": list(assembly.unsafe), "store": store}
        print_json(said | ({"keys": {one.service: one.keys for one in keys}} if keys else {}))
    else:
        for line in lines:
            print(line)
        if report is not None:
            print(f"store: {report.kind}, {'reachable' if report.reachable else 'OUT OF REACH'}")
        for one in keys:
            print(f"{one.service}: {f'{one.keys} fetched' if one.keys else f'OUT OF REACH ({one.failure})'}")
        for line in warned:
            print(f"warning: {line}")
    if not (report is None or report.reachable) or not all(one.keys for one in keys):
        raise typer.Exit(Exit.UNAVAILABLE)
