"""The commands, gathered."""

from importlib.metadata import version
from typing import Annotated

import typer

from sluicegate.cli import demo, explain, publish, revocations, serve, tokens, topics

app = typer.Typer(
    name="sluicegate",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show local variables, and tokens are among them
    help="A gate for HTTP requests and event streams: tokens that can be revoked at any moment.",
    epilog="Exit codes: 0 done or admitted, 1 refused or not found, 2 faults in settings or arguments, "
    "3 the revocation store is out of reach.",
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - the form of a typer callback
    if wanted:
        print(f"sluicegate {version('sluicegate')}")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """A gate for HTTP requests and event streams: tokens that can be revoked at any moment."""


app.command()(serve.serve)
app.command()(serve.check)
app.command()(demo.demo)
app.add_typer(tokens.app, name="token")
app.command()(revocations.revoke)
app.command()(revocations.restore)
app.command("list")(revocations.list_)
app.command()(explain.explain)
app.command()(topics.topic)
app.command()(publish.publish)
