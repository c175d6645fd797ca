"""docs/conformance.md, drawn from the tests that declare what they hold the gate to."""

from typing import Final

from tests.conformance import test_bodies, test_connections, test_messages, test_semantics, test_tls, test_upstreams
from tests.conformance.requirement import DECLARED, Requirement

DECLARING: Final = (test_messages, test_bodies, test_connections, test_semantics, test_upstreams, test_tls)

_INTRODUCTION: Final = """\
# Conformance

What RFC 9110 (semantics) and RFC 9112 (HTTP/1.1) demand with MUST and MUST NOT of servers, gateways, recipients and
senders, in other words than theirs, and what Sluicegate does; a few SHOULDs that others test for are marked. Each row
is declared by the test that holds the gate to it, and this page is drawn from them (`make docs`). `tests/corpus` goes
further into framing: 8,900 requests and 800 responses as data.

Where an RFC lets a recipient choose between refusing and repairing, Sluicegate refuses: who repairs has understood
something that the next one may understand in another way.

"""

NOT_OURS: Final = (
    ("9110 2.2 to 2.4", "grammar, roles and lengths of everything: each row is a part of it"),
    ("9110 4.2, 4.3 of authorities", "who makes a URI, and for whom a certificate is made out"),
    ("9110 5.6.7", "old forms of dates: no date of a message is read, all pass on as they came"),
    ("9110 6.5", "merging trailers into the header: none is"),
    ("9110 6.5.2, 16", "what registrations and the definitions of fields must say"),
    ("9110 7.3, 7.5", "how a client finds a server and matches responses"),
    ("9110 7.6.3", "combining members of Via: none are combined"),
    ("9110 7.7", "transforming proxies: content is not transformed"),
    ("9110 8.2 to 8.8", "representations, validators, ranges of languages: the upstream's, and passed on as they came"),
    ("9110 9.2.1, 9.3.1, 9.3.3 to 9.3.5", "what a method does to a resource: the upstream's"),
    ("9110 9.3.6", "CONNECT and tunnels by it: answered with 501"),
    ("9110 9.3.8", "answering TRACE: answered with 405"),
    ("9110 10.1.2 to 10.1.6, 10.2", "context that clients and origins write: passed on as it came"),
    (
        "9110 11.3 to 11.5, 11.7",
        "clients' choice of a scheme, and authentication by proxies: `Proxy-*` fields end here",
    ),
    ("9110 12, 13, 14", "negotiation, conditions, ranges: the upstream's, and passed on as they came"),
    (
        "9110 15.3 to 15.4",
        "what clients do with a response; 205, 206 and 304 are the upstream's, and none is of the gate's own",
    ),
    ("9110 15.5.8, 15.5.20", "407 and 421: none is of the gate's own"),
    ("9111", "caches: nothing is stored, and answers of the gate's own say `no-store` where they depend on a token"),
    ("9112 3.2.3, 6.3 (2)", "CONNECT, and its responses"),
    ("9112 7.2 to 7.4", "compressing transfer codings: none is offered (no `TE` is sent), each one is refused"),
    ("9112 7.3", "what registrations of codings must say"),
    (
        "9112 9.3 of proxies",
        "dropping HTTP/1.0 clients: a gateway is the origin to them, and keeps who asks to be kept",
    ),
    ("9112 9.3.1, 9.4, 9.5 for user agents", "what clients do about connections that break"),
    ("9112 10", "message/http and application/http are media types, not messages"),
)
"""What applies to somebody else, and why not to this gate."""


def requirements() -> list[Requirement]:
    """Return all rows, in the order of the RFCs."""
    return sorted(DECLARED, key=_place)


def _place(row: Requirement) -> tuple[str, tuple[int, ...], str]:
    rfc, section = row.section.split(" ")
    return rfc, tuple(int(number) for number in section.split(".")), row.test


def page() -> str:
    """Return the page's text."""
    rows = [
        f"| {row.section} | {row.who} | {row.asks.replace('|', chr(92) + '|')} | {row.does} | `{row.test}` |\n"
        for row in requirements()
    ]
    others = [f"| {section} | {why} |\n" for section, why in NOT_OURS]
    return "".join(
        (
            _INTRODUCTION,
            "## What applies\n\n| RFC, section | who | what is asked | what it does | test |\n|---|---|---|---|---|\n",
            *rows,
            "\n## What does not\n\n| RFC, section | why |\n|---|---|\n",
            *others,
        )
    )
