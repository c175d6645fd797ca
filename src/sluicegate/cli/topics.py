"""`topic`: the id of a topic."""

from typing import Annotated

import typer

from sluicegate.cli.exits import fail
from sluicegate.core.topics import InvalidTopic, topic_id


def topic(name: Annotated[str, typer.Argument(help="The topic's name, or its id in any spelling.")]) -> None:
    """Print the id of a topic: the 32 hex digits that a webhook is sent."""
    try:
        print(topic_id(name))
    except InvalidTopic as invalid:
        fail(str(invalid))
