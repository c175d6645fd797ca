"""What can be asked for and is not served by this version. Deleting a line of the table enables the part."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.schema import Settings
from sluicegate.settings.stores import RedisCluster, RedisSentinel
from sluicegate.settings.toml_lines import KeyPath


class NotYet(NamedTuple):
    """`asked` says at which keys the part is asked for; `instead` is what works now."""

    part: str
    asked: Callable[[Settings], Iterable[KeyPath]]
    instead: str


def _when(key: KeyPath, is_asked: Callable[[Settings], bool]) -> Callable[[Settings], Iterable[KeyPath]]:
    return lambda settings: (key,) if is_asked(settings) else ()


NOT_YET: Final = (
    NotYet(
        "redis+sentinel://",
        _when(
            ("stateful_jwt", "redis_addr"), lambda settings: isinstance(settings.stateful_jwt.redis_addr, RedisSentinel)
        ),
        "name one server: redis://, rediss:// or unix://",
    ),
    NotYet(
        "redis+cluster://",
        _when(
            ("stateful_jwt", "redis_addr"), lambda settings: isinstance(settings.stateful_jwt.redis_addr, RedisCluster)
        ),
        "name one server: redis://, rediss:// or unix://",
    ),
    NotYet(
        "tracked state",
        _when(("stateful_jwt", "consistency"), lambda settings: settings.stateful_jwt.consistency == "tracked"),
        'write consistency = "strict", which asks Redis at every decision',
    ),
    NotYet(
        "answering from a snapshot",
        _when(("stateful_jwt", "fail_snapshot"), lambda settings: settings.stateful_jwt.fail_snapshot > 0),
        'write fail_snapshot = "0s"; fail_open says what happens while the store is away',
    ),
)


def not_yet(settings: Settings) -> Findings:
    """Find what is asked for and not there."""
    for row in NOT_YET:
        for loc in row.asked(settings):
            yield Finding(loc, f"{row.part} is not served by this version yet", row.instead)
