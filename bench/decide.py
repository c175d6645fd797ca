"""What a decision costs, and what it keeps in memory.

Run `python -m bench decide`; `-- --quick` takes a tenth of the tokens. Costs are CPU time of this process, so that
neighbours on the machine do not count, in medians of interleaved rounds. A warm token has been seen before; a cold one
has not. The peer is `jwt.decode` of PyJWT, which checks the same signature and no state.
"""

import argparse
import base64
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from bench.report import record
from sluicegate import Gate
from sluicegate.backends.memory import MemoryStore
from sluicegate.core.decision import Admit, Decision
from sluicegate.core.keys import load
from sluicegate.core.policy import ClaimNames, Policy
from sluicegate.core.request import Request
from sluicegate.core.revocation import Entry
from sluicegate.core.signing import Sign, private_signer, secret_signer
from sluicegate.core.verify import LocalKeys
from sluicegate.engine import Engine

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
ROUNDS = 7
WARM = 20_000
COLD = 1_000
CACHED = 100_000
IN_PROCESS = "A decision in process, embedded store"
UNIT = "µs of CPU"
TARGETS = {"warm": 15.0, "cold HS256": 60.0}
NAMES = ClaimNames(meta=(("tier", "tier"),))
OTHER_HEADERS = (
    (b"host", b"api.example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"en-US,en;q=0.5"),
    (b"cache-control", b"no-cache"),
    (b"referer", b"https://app.example.com/"),
    (b"x-forwarded-for", b"203.0.113.7"),
    (b"x-request-id", b"5f2b1c3e-0d0e-4a55-9a3b-7d2f6a1e9c10"),
)


class Issuer:
    """Signs tokens of about 400 bytes with one algorithm. `sign_key` is what the gate is given."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.key: bytes
        if algorithm == "HS256":
            self.key = os.urandom(32)
            self.sign_key = base64.b64encode(self.key).decode()
            self._sign: Sign = secret_signer(self.sign_key, algorithm)
        else:
            private = _private_key(algorithm)
            form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            public = serialization.PublicFormat.SubjectPublicKeyInfo
            self.key = private.public_key().public_bytes(serialization.Encoding.PEM, public)
            self.sign_key = self.key.decode()
            self._sign = private_signer(private.private_bytes(serialization.Encoding.PEM, form, plain), algorithm)
        self._header = _base64url(msgspec.json.encode({"alg": algorithm, "typ": "JWT"}))

    def token(self, number: int) -> bytes:
        """Return the token of this number."""
        claims = {
            "iss": "https://auth.example.com",
            "sub": f"user_{number % 5000}",
            "aud": ["https://api.example.com"],
            "exp": 4102444800,
            "iat": 1700000000,
            "jti": f"{number:08x}-4f1c-4a2b-9d3e-{number * 2654435761 % 2**48:012x}",
            "tier": "PREMIUM",
            "scope": "read write",
            "org_id": "org_456",
            "name": "A user whose name makes the token as long as tokens are",
        }
        signed = self._header + b"." + _base64url(msgspec.json.encode(claims))
        return signed + b"." + _base64url(self._sign(signed))


def _private_key(algorithm: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


Decide = Callable[[Request], Decision]


def with_token(token: bytes) -> Request:
    """Return a request with ten headers, the token in the last but one."""
    return Request(headers=(*OTHER_HEADERS[:8], (b"authorization", b"Bearer " + token), *OTHER_HEADERS[8:]))


def engine(issuer: Issuer, *, revoked: int = 0, cached: int = CACHED) -> Decide:
    """Return the decision of an engine on a store in memory in which so many revocations stand."""
    store = MemoryStore()
    for number in range(revoked):
        store.put(f"BLACKLIST:key:revoked-{number}", Entry("cancelled"))
    keys = LocalKeys(load(issuer.sign_key, [issuer.algorithm]), NAMES, cache_size=cached)
    return Engine(Policy(), keys, state=store).decide


def gate(issuer: Issuer, directory: Path) -> Gate:
    """Open a gate on the embedded store."""
    return Gate(sign_key=issuer.sign_key, sign_alg=issuer.algorithm, meta_claims=["tier"], state_dir=str(directory))


def cost(decide: Decide, requests: Sequence[Request], *, times: int = 1) -> float:
    """Return microseconds of CPU that one decision takes; every one of them has to admit."""
    begin = time.process_time_ns()
    for _ in range(times):
        for request in requests:
            decide(request)
    spent = time.process_time_ns() - begin
    for request in requests:
        if not isinstance(decision := decide(request), Admit):
            raise SystemExit(f"refused: {decision}")
    return spent / (times * len(requests)) / 1000


def peer_cost(issuer: Issuer, tokens: Sequence[bytes]) -> float:
    """Return the same for `jwt.decode`."""
    key = issuer.key if issuer.algorithm == "HS256" else serialization.load_pem_public_key(issuer.key)
    decoder = jwt.PyJWT(options={"verify_aud": False})
    begin = time.process_time_ns()
    for token in tokens:
        decoder.decode(token, key, algorithms=[issuer.algorithm])  # type: ignore[arg-type]
    return (time.process_time_ns() - begin) / len(tokens) / 1000


def costs(algorithm: str, *, warm: int, cold: int) -> dict[str, float]:
    """Measure one algorithm through the engine, the gate, and the peer, in turns."""
    issuer = Issuer(algorithm)
    tokens = [issuer.token(number) for number in range(cold)]
    requests = [with_token(token) for token in tokens]
    seen = requests[:10]
    found: dict[str, list[float]] = {
        name: [] for name in ("engine warm", "gate warm", "engine cold", "gate cold", "peer")
    }
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as directory:
            decide, opened = engine(issuer), gate(issuer, Path(directory))
            with opened:
                opened.decide(Request())  # the store is opened with the first question
                found["engine cold"].append(cost(decide, requests))
                found["gate cold"].append(cost(opened.decide, requests))
                found["peer"].append(peer_cost(issuer, tokens))
                found["engine warm"].append(cost(decide, seen, times=warm // 10))
                found["gate warm"].append(cost(opened.decide, seen, times=warm // 10))
    return {name: statistics.median(rounds) for name, rounds in found.items()}


def resident() -> float:
    """Return how much memory this process holds, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def different(issuer: Issuer, count: int, *, steps: int) -> Iterator[tuple[int, float, float]]:
    """Decide about so many different tokens; yield, at each step, how many, MB held, and the worst decision in ms."""
    decide = engine(issuer)
    worst = 0
    for number in range(count):
        request = with_token(issuer.token(number))
        begin = time.process_time_ns()
        decide(request)
        worst = max(worst, time.process_time_ns() - begin)
        if (number + 1) % (count // steps) == 0:
            yield number + 1, resident(), worst / 1e6


def show_costs(*, warm: int, cold: int) -> None:
    """Print the table of costs."""
    print("\nmicroseconds of CPU a decision       engine, memory store    Gate, embedded store    PyJWT")
    print("                                        warm       cold          warm       cold    decode")
    for algorithm in ALGORITHMS:
        row = costs(algorithm, warm=warm, cold=cold)
        print(
            f"{algorithm:32}{row['engine warm']:12.1f}{row['engine cold']:11.1f}"
            f"{row['gate warm']:14.1f}{row['gate cold']:11.1f}{row['peer']:10.1f}"
        )
        title = f"{algorithm}, a token never seen, above a warm one"
        asked = {"HS256": 30.0, "RS256": 70.0}.get(algorithm)
        record(IN_PROCESS, title, row["gate cold"] - row["gate warm"], UNIT, asked=asked)
        if algorithm == "HS256":
            record(IN_PROCESS, "HS256, warm", row["gate warm"], UNIT, asked=TARGETS["warm"])
            for name, reached in (("warm", row["gate warm"]), ("cold HS256", row["gate cold"])):
                verdict = "reached" if reached <= TARGETS[name] else "MISSED"
                print(f"  {name} through Gate: at most {TARGETS[name]:.0f}, {verdict}")


def show_growth(sizes: Sequence[int], *, warm: int) -> None:
    """Print that a warm decision costs the same however much is stored or remembered."""
    issuer = Issuer("HS256")
    requests = [with_token(issuer.token(number)) for number in range(10)]
    print("\nmicroseconds of CPU a warm decision  " + "".join(f"{size:>12,}" for size in sizes))
    for title in ("revoked keys", "remembered tokens"):
        rounds = []
        for size in sizes:
            decide = engine(issuer, revoked=size) if title == "revoked keys" else _filled(issuer, size)
            rounds.append(min(cost(decide, requests, times=warm // 10) for _ in range(ROUNDS)))
        print(f"  {title:35}" + "".join(f"{one:12.1f}" for one in rounds))
        for size, one in zip(sizes, rounds, strict=True):
            record("A warm decision does not grow", f"{size:,} {title}", one, UNIT)


def _filled(issuer: Issuer, size: int) -> Decide:
    decide = engine(issuer, cached=2 * size)
    for number in range(size):
        decide(with_token(issuer.token(number)))
    return decide


def show_memory(count: int) -> None:
    """Print what different tokens leave behind."""
    print(f"\n{count:,} different tokens, {CACHED:,} remembered    MB held    worst decision, ms of CPU")
    flat = 0.0
    for number, held, worst in different(Issuer("HS256"), count, steps=10):
        flat = flat or (held if number >= 2 * CACHED or number == count else 0.0)
        print(f"  {number:>12,}{held:33.1f}{worst:20.1f}")
    print(f"  grown by {(held / flat - 1) * 100:.1f} % since the cache was full and turned over once")


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def main() -> None:
    """Measure, and print three tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a tenth of the tokens, in half a minute")
    quick = options.parse_args().quick
    show_memory(250_000 if quick else 1_000_000)  # first: what else this process held would be counted too
    show_costs(warm=WARM // 10 if quick else WARM, cold=COLD // 5 if quick else COLD)
    show_growth((1_000, 10_000) if quick else (1_000, 100_000, 1_000_000), warm=WARM)


if __name__ == "__main__":
    main()
