"""Step 4: THE decision. The only place where one is made, and the only maker of `Admit`.

Each credential is judged whole: the token whose state was asked is the token that is verified, and the identity
comes from it alone. A junk token beside it can add nothing and hide nothing.
"""

import msgspec

from sluicegate.core.check_state import UNKNOWN, Said, Unknown, check_state
from sluicegate.core.claims import Identifiers, MalformedClaim, Verified, check, identify, unmet
from sluicegate.core.decision import Admit, Decision, Grounds, Identity, Reason, Refuse
from sluicegate.core.extract import TooMuch, extract
from sluicegate.core.flow import NOW, Flow, Hits, Redeem, ask
from sluicegate.core.policy import Policy, Requirement
from sluicegate.core.request import Credential, Request, Source
from sluicegate.core.revocation import Revocation
from sluicegate.core.ticket import SOURCE, Sealed, has_met, is_from, name_of, ticket_in, unseal
from sluicegate.core.token import MalformedToken, Peeked, digest, peek
from sluicegate.core.topics import InvalidTopic, canonical, is_allowed
from sluicegate.core.verify import Verifier
from sluicegate.errors import StateUnavailable

_Known = tuple[Credential, bytes, Verified | None]
"""A credential, its SHA-256, and the verdict on it that is recalled."""


def decide(
    request: Request, policy: Policy, verifier: Verifier, now: float, *, said: Said | None = None
) -> Flow[Decision]:
    """Decide about one request, at `now` seconds since the epoch.

    Returns a generator: it yields questions and is sent their answers (see `flow`). What the store has `said` already,
    it is not asked again.
    """
    refuse: Refuse | None = None
    ticket = ticket_in(request.query) if policy.tickets is not None and request.query else None
    try:
        credentials = extract(request, policy.sources)
    except TooMuch as much:
        credentials, ticket = (), None
        refuse = Refuse(reason=Reason.MALFORMED, detail=str(much))
    if len(credentials) == 1 and ticket is None:  # what nearly all requests come to
        return _decide_one(credentials[0], request, policy, verifier, now, said=said)
    count = len(credentials) + (ticket is not None)
    if count > 1 and policy.multiple_tokens == "refuse":
        # a ticket is one of them, and is not used up by it
        refuse = Refuse(reason=Reason.MULTIPLE_TOKENS, detail=f"{count} different tokens in one request")
        credentials, ticket = (), None
    return _decide_all(credentials, request, policy, verifier, now, ticket=ticket, refuse=refuse, said=said)


def _decide_one(
    credential: Credential, request: Request, policy: Policy, verifier: Verifier, now: float, *, said: Said | None
) -> Flow[Decision]:
    """Decide about a request with this credential and no ticket.

    Of one that is recalled, all that is left to ask is the state: that is done here, since each generator on the way
    costs as much as the rules do. Where a rule fails or something stands, it is judged like any other.
    """
    known = _recognise(credential, request, policy, verifier, now)
    _, fingerprint, recalled = known
    if recalled is not None and said is None and not _lacks_jti(recalled.identifiers, policy):
        grounds = Grounds(policy, recalled, fingerprint)
        foreseen = _settle(
            recalled, None, source=credential.source, request=request, policy=policy, now=now, grounds=grounds
        )
        if isinstance(foreseen, Admit):
            if policy.state == "none":
                return foreseen
            question = recalled.identifiers.question
            try:
                hits: Hits = yield question
            except StateUnavailable as away:
                said = question, away
            else:
                if len(hits) == 0:
                    return foreseen
                said = question, hits
    decision = yield from _judge(known, request, policy, verifier, now, store_silent=False, said=said)
    return Admit() if policy.auth == "off" and isinstance(decision, Refuse) else decision


def _decide_all(
    credentials: tuple[Credential, ...],
    request: Request,
    policy: Policy,
    verifier: Verifier,
    now: float,
    *,
    ticket: bytes | None,
    refuse: Refuse | None,
    said: Said | None,
) -> Flow[Decision]:
    """Decide about a request with a ticket, several credentials or none. `refuse` says what is wrong so far."""
    if ticket is not None:
        redeemed = yield from _redeem(ticket, request, policy, now)
        if isinstance(redeemed, Admit):
            return redeemed
        refuse = redeemed
    store_silent = False
    for credential in credentials:
        known = _recognise(credential, request, policy, verifier, now)
        decision = yield from _judge(known, request, policy, verifier, now, store_silent=store_silent, said=said)
        if isinstance(decision, Admit):
            # behind one that was refused: it is let in only for as long as the other is not
            return decision if refuse is None else msgspec.structs.replace(decision, grounds=None)
        if refuse is None or decision.stage > refuse.stage:
            refuse = decision
        store_silent = store_silent or decision.state_unknown
    # an anonymous caller meets no requirement but that of a topic that everybody may have, so a route that has one
    # refuses even where tokens are optional
    optional = refuse is None and policy.auth == "optional" and _is_met_by_nobody(request, policy.requirement)
    if policy.auth == "off" or optional:
        return Admit()
    return refuse or Refuse(reason=Reason.MISSING)


def decide_again(admitted: Admit, request: Request, policy: Policy, verifier: Verifier, now: float) -> Flow[Decision]:
    """Decide about a request with the headers, query and topic of one that was admitted under the same policy.

    Comes to what `decide` does, and leaves out what cannot have changed: the same credential is found in the same
    words, and has the same digest. A verifier that recalls the very verdict of before vouches for the very claims, so
    the question to the store is the same, and so is what a route requires of claims and topic. Asked and applied anew
    is what may have changed: verdict, rules, state. Where one of them has, `decide` says what follows.
    """
    grounds = admitted.grounds
    said: Said | None = None
    if grounds is not None and grounds.policy is policy:
        verified = grounds.verified
        if verifier.recall(grounds.digest, request, now) is verified and check(verified, policy, now) is None:
            if policy.state == "none":
                return admitted
            question = verified.identifiers.question
            try:
                hits: Hits = yield question
            except StateUnavailable as away:
                said = question, away
            else:
                if len(hits) == 0:
                    return admitted
                said = question, hits
    return (yield from decide(request, policy, verifier, now, said=said))


def _recognise(credential: Credential, request: Request, policy: Policy, verifier: Verifier, now: float) -> _Known:
    fingerprint = digest(credential.token)
    recalled = verifier.recall(fingerprint, request, now)
    if recalled is not None:
        layout = recalled.identifiers.layout
        # one verifier may serve two gates: a verdict whose question was written for the other is forgotten
        if layout is not policy.layout and layout != policy.layout:
            recalled = None
    return credential, fingerprint, recalled


def _lacks_jti(identifiers: Identifiers, policy: Policy) -> bool:
    return identifiers.jti is None and policy.require_jti and policy.state != "none"


def _judge(
    known: _Known,
    request: Request,
    policy: Policy,
    verifier: Verifier,
    now: float,
    *,
    store_silent: bool,
    said: Said | None,
) -> Flow[Admit | Refuse]:
    """Judge one credential from its bytes to its claims.

    A store that was silent once is not asked again: one deadline a request, however many tokens it carries.
    """
    credential, fingerprint, recalled = known
    peeked: Peeked | None = None
    if recalled is not None:
        identifiers = recalled.identifiers
    else:
        try:
            peeked = peek(credential.token, fingerprint)
            identifiers = identify(peeked, policy)
        except (MalformedToken, MalformedClaim) as malformed:
            return Refuse(reason=Reason.MALFORMED, detail=str(malformed), source=credential.source)
    if _lacks_jti(identifiers, policy):
        return Refuse(reason=Reason.JTI_MISSING, source=credential.source)

    # The signature goes first where it can be checked here. A forged token then costs the store nothing, and how long
    # its refusal takes says nothing about the `jti` that it names: reading why a key stands takes another round trip.
    verified: Verified | Reason = recalled or Reason.DENIED
    if peeked is not None:
        verified = yield from verifier.prove(peeked, identifiers, now)
        if isinstance(verified, Reason) and verified is not Reason.DENIED:
            return Refuse(reason=verified, source=credential.source)
    state = UNKNOWN if store_silent else (yield from check_state(identifiers, policy, said))
    if state is UNKNOWN and policy.state == "refuse":
        return Refuse(reason=Reason.STATE_UNAVAILABLE, source=credential.source, state_unknown=True)
    is_far = verifier.asks or (isinstance(verified, Verified) and verified.asked)
    if is_far and peeked is not None and not isinstance(state, Revocation):
        if verifier.asks:
            verified = yield from verifier.verify(peeked, identifiers, request, now)
        now, state, verified = yield from _meanwhile(now, state, verified, identifiers, policy)
    if not isinstance(verified, Verified):
        return Refuse(reason=verified, source=credential.source, state_unknown=state is UNKNOWN)
    grounds = Grounds(policy, verified, fingerprint) if state is None else None
    return _settle(verified, state, source=credential.source, request=request, policy=policy, now=now, grounds=grounds)


def _settle(
    verified: Verified,
    state: Revocation | Unknown | None,
    *,
    source: Source,
    request: Request,
    policy: Policy,
    now: float,
    grounds: Grounds | None,
) -> Admit | Refuse:
    """Apply the rules. The token is genuine, and its bearer may learn what became of it."""
    revocation = state if isinstance(state, Revocation) else None
    failed = check(verified, policy, now) if revocation is None else Reason.REVOKED
    identity = verified.identity
    if failed is None and identity is not None and policy.requirement:
        failed = unmet(verified, identity, policy.requirement) or _kept_from(request, identity, policy.requirement)
    identifiers, unknown = verified.identifiers, state is UNKNOWN
    if failed is not None or identity is None:
        return Refuse(
            reason=failed or Reason.USER_CLAIM,
            detail="" if revocation is None else revocation.reason,
            source=source,
            jti=identifiers.jti,
            subject=None if identity is None else identity.id,
            needed=tuple(sorted(policy.requirement.scopes)),
            state_unknown=unknown,
        )
    return Admit(identity=identity, source=source, identifiers=identifiers, state_unknown=unknown, grounds=grounds)


def _redeem(ticket: bytes, request: Request, policy: Policy, now: float) -> Flow[Admit | Refuse]:
    """Judge the ticket of a request. It is used up first, whatever comes of it: it works once.

    It is as good as the token that it was made with is now: by the same rules, the same state, the same requirement.
    """
    name = name_of(ticket)
    try:
        record = None if name is None else (yield from ask(Redeem(name)))
    except StateUnavailable:
        return Refuse(reason=Reason.STATE_UNAVAILABLE, source=SOURCE, state_unknown=True)
    sealed = None if record is None else unseal(record, policy)
    if sealed is None or not _is_for(sealed, request):
        return Refuse(reason=Reason.TICKET, source=SOURCE)
    identity, identifiers = sealed.identity, sealed.identifiers(policy)
    state = yield from check_state(identifiers, policy)
    failed: Reason | None = None
    if isinstance(state, Revocation):
        failed = Reason.REVOKED
    elif state is UNKNOWN and policy.state == "refuse":
        failed = Reason.STATE_UNAVAILABLE
    elif identity.expires_at is not None and identity.expires_at <= now - policy.leeway:
        failed = Reason.EXPIRED
    elif not policy.requirement.scopes.issubset(identity.scopes):
        failed = Reason.SCOPE
    elif not has_met(sealed, policy.requirement):
        failed = Reason.CLAIM
    else:
        failed = _kept_from(request, identity, policy.requirement)
    unknown = state is UNKNOWN
    if failed is None:
        return Admit(identity=identity, source=SOURCE, identifiers=identifiers, state_unknown=unknown)
    return Refuse(
        reason=failed,
        detail=state.reason if isinstance(state, Revocation) else "",
        source=SOURCE,
        jti=sealed.jti,
        subject=sealed.id,
        needed=tuple(sorted(policy.requirement.scopes)),
        state_unknown=unknown,
    )


def _is_for(sealed: Sealed, request: Request) -> bool:
    try:
        return sealed.topic == canonical(request.topic or "") and is_from(sealed, request)
    except InvalidTopic:
        return False


def _kept_from(request: Request, identity: Identity, requirement: Requirement) -> Reason | None:
    patterns = requirement.topics
    return None if patterns is None or is_allowed(patterns, request.topic, identity) else Reason.TOPIC


def _is_met_by_nobody(request: Request, requirement: Requirement) -> bool:
    """Tell whether a caller without a token may have this: nothing is asked but a topic that everybody may have."""
    if requirement.scopes or requirement.claims:
        return False
    return requirement.topics is None or is_allowed(requirement.topics, request.topic, None)


def _meanwhile(
    now: float, state: Unknown | None, verified: Verified | Reason, identifiers: Identifiers, policy: Policy
) -> Flow[tuple[float, Revocation | Unknown | None, Verified | Reason]]:
    """Ask for time and state anew where somebody far away was asked: the token may have run out, or been revoked.

    A store that was silent stays so.
    """
    if not isinstance(verified, Verified) or not verified.asked:
        return now, state, verified
    now = yield from ask(NOW)
    again = state if state is UNKNOWN else (yield from check_state(identifiers, policy))
    return now, again, Reason.STATE_UNAVAILABLE if again is UNKNOWN and policy.state == "refuse" else verified
