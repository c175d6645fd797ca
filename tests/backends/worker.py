"""A process with a store of its own, told by lines of JSON what to do: `python -m tests.backends.worker DIRECTORY`.

With `--spin` it asks its store all the time while it waits, so that nothing escapes it.
"""

import json
import os
import select
import sys
import time
from pathlib import Path

from sluicegate.backends.sqlite.store import SqliteStore
from sluicegate.core.revocation import Entry


def obey(store: SqliteStore, line: str) -> None:
    match json.loads(line):
        case ["put", *keys]:
            for key in keys:
                store.put(key, Entry("cancelled", time.time() + 3600))
                say(key)
        case ["remove", key]:
            say(store.remove(key))
        case ["find", *keys]:
            say(dict(store.find(tuple(keys))))
        case command:
            raise ValueError(command)


def say(answer: object) -> None:
    # one write, and nothing kept in a buffer: what is said is said
    os.write(sys.stdout.fileno(), json.dumps(answer).encode() + b"\n")


def main(directory: str, *flags: str) -> None:
    store = SqliteStore(Path(directory))
    store.find(())
    say("ready")
    while True:
        if "--spin" in flags:
            while not select.select([sys.stdin], [], [], 0)[0]:
                for _ in range(20):
                    store.find(("never written",))
        line = sys.stdin.readline()
        if not line:
            return store.close()
        obey(store, line)


if __name__ == "__main__":
    main(*sys.argv[1:])
