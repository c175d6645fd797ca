"""What must not be admitted is not, for every algorithm; and what is genuine is."""

import functools
from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Final
from urllib.parse import quote_from_bytes

import pytest

from sluicegate.backends.memory import MemoryStore
from sluicegate.core.algorithms import ALGORITHMS
from sluicegate.core.decision import Admit, Refuse
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine
from tests.vectors import contents, encodings, public_keys, signatures
from tests.vectors.keys import GATE
from tests.vectors.vector import NOW, Vector, genuine


def gate(algorithm: str) -> Engine:
    key = load(GATE.sign_key(algorithm), [algorithm])
    store = MemoryStore(clock=lambda: NOW)
    return Engine(Policy(), LocalKeys(key, ClaimNames()), state=store, clock=lambda: NOW)


GROUPS: Final = (signatures, public_keys, encodings, contents)
GATES: Final = {algorithm: gate(algorithm) for algorithm in ALGORITHMS}


@functools.cache
def made(group: ModuleType) -> tuple[Vector, ...]:
    return tuple(group.vectors())


def sent(token: bytes) -> Iterator[Request]:
    """The ways in which these bytes, all of them, can reach the gate."""
    yield Request(query=b"token=" + quote_from_bytes(token).encode())
    if b"," not in token:  # in a header it is the end of one token
        yield Request(headers=[(b"authorization", b"Bearer " + token)])
        yield Request(headers=[(b"x-api-key", token)])


def faults(vector: Vector) -> Iterator[str]:
    for request in sent(vector.token):
        match GATES[vector.algorithm].decide(request):
            case Admit():
                yield f"{vector.algorithm}: {vector.name}: admitted"
            case Refuse(reason=reason) if reason not in vector.reasons:
                yield f"{vector.algorithm}: {vector.name}: refused as {reason}, not {set(vector.reasons)}"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__.rpartition(".")[2])
def test_every_defect_is_refused_for_what_it_is(group: ModuleType) -> None:
    """No vector is admitted, and each is refused with the reason of its defect."""
    assert [fault for vector in made(group) for fault in faults(vector)] == []


def test_every_algorithm_has_its_hundreds() -> None:
    """A generator that ran dry would pass for a gate that admits nothing."""
    counted = Counter(vector.algorithm for group in GROUPS for vector in made(group))
    assert set(counted) == set(ALGORITHMS)
    assert min(counted.values()) >= 200
    assert sum(counted.values()) >= 7000


def test_every_run_makes_the_same_tokens() -> None:
    """What one machine refuses is what another is asked."""
    assert tuple(contents.vectors()) == made(contents)
    assert [genuine(algorithm) for algorithm in ALGORITHMS] == [genuine(algorithm) for algorithm in ALGORITHMS]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_genuine_token_is_admitted(algorithm: str) -> None:
    """The positive control: without it, a gate that refuses everything would pass."""
    for request in sent(genuine(algorithm)):
        assert isinstance(GATES[algorithm].decide(request), Admit)
