"""Prints every vector as JSON, for other gates and libraries: `python -m tests.vectors > vectors.json`.

`token` is base64 of the bytes to send, which are not always text; `now` is when to judge them.
"""

import base64
import json
import sys

from sluicegate.core.algorithms import ALGORITHMS
from tests.vectors import contents, encodings, public_keys, signatures
from tests.vectors.keys import GATE
from tests.vectors.vector import NOW, genuine


def main() -> None:
    """Write the keys, a genuine token of each, and what must be refused."""
    vectors = [
        {
            "algorithm": vector.algorithm,
            "name": vector.name,
            "token": base64.b64encode(vector.token).decode(),
            "reasons": sorted(vector.reasons),
        }
        for group in (signatures, public_keys, encodings, contents)
        for vector in group.vectors()
    ]
    keys = {name: {"sign_key": GATE.sign_key(name), "genuine": genuine(name).decode()} for name in ALGORITHMS}
    json.dump({"now": NOW, "keys": keys, "vectors": vectors}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
