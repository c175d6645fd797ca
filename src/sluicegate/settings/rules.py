"""The rules over several keys, as a table. Adding one is adding a line."""

from collections.abc import Callable, Iterable
from typing import Final

from sluicegate.settings import event_rules, issuer_rules, key_rules, route_rules, store_rules
from sluicegate.settings.finding import Finding, Findings
from sluicegate.settings.not_yet import not_yet
from sluicegate.settings.schema import Settings
from sluicegate.settings.toml_lines import KeyPath

RULES: Final[tuple[Callable[[Settings], Findings], ...]] = (
    key_rules.verifier,
    issuer_rules.one_key,
    issuer_rules.previous_key,
    issuer_rules.key_set,
    issuer_rules.issuers,
    key_rules.sources,
    key_rules.webhook,
    store_rules.prefixes,
    store_rules.redis_only,
    store_rules.login,
    store_rules.store_tls,
    store_rules.certificates,
    store_rules.operators,
    store_rules.announcers,
    store_rules.trust,
    route_rules.actions,
    route_rules.upstream_tls,
    route_rules.access,
    route_rules.reachable,
    route_rules.placeholders,
    event_rules.readers,
    event_rules.patterns,
    event_rules.served,
    event_rules.tickets,
    event_rules.pace,
    event_rules.apart,
    not_yet,
)


def findings(settings: Settings, faulty: Iterable[KeyPath]) -> list[Finding]:
    """Return what the rules find, without what rests on keys that are faulty themselves."""
    known = tuple(faulty)
    return [finding for rule in RULES for finding in rule(settings) if not finding.is_moot(known)]
