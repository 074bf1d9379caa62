"""Sessions as clients use them, and how every member comes to know.

A change of a session is answered when every living member of the view has
accepted it: the session's locks may be anywhere, and may move. Where one does
not answer, the others wait for it or for a view without it, as with locks.

Invariants
  X1  An extension is acknowledged only when every living member has it.
  X2  Where one member knows that a session is over, it is over everywhere,
      and no extension of it is acknowledged.
  X3  Who has not been told of all sessions yet, or may have missed what others
      were told, says of none that it is over.
Elsewhere: what a session is (sessions), what becomes of its locks (queueing).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lockcore.core.events import Event, EventKind
from lockcore.core.holding import digest
from lockcore.core.limits import MEMBERS_MAX, NS_PER_MS, SESSIONS_MAX
from lockcore.core.messages import (
    Code,
    Emit,
    EndSession,
    KeepAlive,
    OpenSession,
    Outcome,
    Result,
    SessionEnded,
    SessionId,
    SessionIs,
    SessionProof,
)
from lockcore.core.ring import position_of
from lockcore.core.state import Keeping

if TYPE_CHECKING:
    from lockcore.core.outbox import Told
    from lockcore.core.requests import Request
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState

LOST_TEXT: Final = "this session has ended: open another, and ask again for what is needed"
UNHEARD_TEXT: Final = "this node may not have heard yet which sessions there are; retry"
ELSEWHERE_TEXT: Final = "the same operation was asked again elsewhere, and is answered there"
FORGED_TEXT: Final = "the secret is not that of this session; show what opening it returned"


def keep(state: NodeState, request: Request) -> None:
    """Open, extend or end a session; the caller has asked whether this node serves."""
    match request.operation:
        case OpenSession() as wanted:
            _open(state, request, wanted)
        case KeepAlive(proof):
            session = known(state, proof) or _take_back(state, request.operation)
            if session is None:
                refuse_lost(state, request, proof)
            else:
                if request.operation.healed == state.view_number:
                    session.healed = state.view_number
                if session.ttl_ms == 0:  # learned of from a lock that came before its session
                    session.ttl_ms, session.label = request.operation.ttl_ms, request.operation.label
                state.sessions.extend(session, state.now.boot_ns)
                _spread(state, session, request)
        case EndSession(proof):
            _end(state, request, proof)


def known(state: NodeState, proof: SessionProof) -> Session | None:
    """Return the living session that a proof is of."""
    session = state.sessions.get(proof.ref)
    if session is None or not state.mint.good(proof) or not session.alive(state.now.boot_ns):
        return None
    return session


def refuse_lost(state: NodeState, request: Request, proof: SessionProof | None) -> None:
    """Say that a session is over, or that this node cannot know (X3)."""
    if proof is not None and state.mint.good(proof) and may_live(state, proof.ref):
        state.refuse(request, Code.HANDOFF, UNHEARD_TEXT)
    else:
        state.refuse(request, Code.SESSION_LOST, LOST_TEXT)


def may_live(state: NodeState, ref: SessionId) -> bool:
    """Say whether a session that is not alive here may live on among others.

    They may not have told yet; or they go on without this node, in a view
    that it has not heard of: who leaves has asked for one. Incarnations are
    above the number of the view in which they began. And of a view in which the master has acknowledged a
    heartbeat that was sent after the lapse there was none newer then.
    """
    session = state.sessions.get(ref)
    if session is None:
        return state.handover.acquiring() or state.leaving or ref.incarnation > state.view_number
    if session.ended:
        return False
    current_ns = state.lease.until_ns - state.config.node_lease_ms * NS_PER_MS
    return current_ns < session.expires_ns or (session.unsure and state.handover.acquiring())


def asked_elsewhere(state: NodeState, before: Request, key: str) -> None:
    """Answer who waited where the same operation waits anew; a place is promised when the backup knows of it."""
    state.refuse(before, Code.WAITING if state.with_backup(key) else Code.TIMEOUT, ELSEWHERE_TEXT)


def _open(state: NodeState, request: Request, wanted: OpenSession) -> None:
    if wanted.again is not None and not state.mint.good(wanted.again):
        state.refuse(request, Code.SESSION_LOST, FORGED_TEXT)
        return
    if len(state.sessions) >= SESSIONS_MAX:
        state.refuse(request, Code.OVERLOADED, f"there are {SESSIONS_MAX} sessions, which is the most; retry later")
        return
    life = _new_incarnation(state)
    ref = SessionId(wanted.again.id if wanted.again else f"{life:x}", life)
    session = state.sessions.open(ref, wanted.label, wanted.ttl_ms, state.now.boot_ns)
    session.healed = state.view_number  # it has nothing to lose yet
    tell(state, EventKind.OPENED, session)
    _spread(state, session, request)


def _new_incarnation(state: NodeState) -> int:
    """Return a number that no other node, and no other life of this one, gives.

    Views are far more nanoseconds apart than a node opens sessions in one,
    times the number of members.
    """
    state.opened += 1
    place = sorted(m.address for m in state.view.members).index(state.me.address) if state.view else 0
    return state.view_number + state.opened * MEMBERS_MAX + place


def _take_back(state: NodeState, wanted: KeepAlive) -> Session | None:
    """Admit a session that nobody who lives knows any more, after a double failure."""
    now_ns = state.now.boot_ns
    proof = wanted.session
    if state.handover.grace_ends_ns(now_ns) <= now_ns or state.sessions.get(proof.ref) or not state.mint.good(proof):
        return None
    return state.sessions.open(proof.ref, wanted.label, wanted.ttl_ms, now_ns)


def _end(state: NodeState, request: Request, proof: SessionProof) -> None:
    session = state.sessions.get(proof.ref)
    if session is None or not state.mint.good(proof):
        refuse_lost(state, request, proof)
        return
    if not session.ended:
        state.sessions.end(session, state.now.boot_ns)
        tell(state, EventKind.ENDED, session)
    _spread(state, session, request)


def _spread(state: NodeState, session: Session, request: Request | None = None) -> None:
    for link in state.links.values():
        link.put_session(session.ref)
    if request is None:
        return
    waiting = Keeping(session.stamp, request, set(state.links))
    if waiting.missing and state.config.durability == "backup":
        state.keeping.setdefault(session.ref, []).append(waiting)
    else:
        _answer(state, session, request)


def _answer(state: NodeState, session: Session, request: Request) -> None:
    result: Result
    if isinstance(request.operation, EndSession):
        result = SessionEnded()
    elif session.ended:
        state.refuse(request, Code.SESSION_LOST, LOST_TEXT)
        return
    else:
        result = SessionIs(state.mint.prove(session.ref), session.ttl_ms, digest(state, session))
    state.answer(request, result)


def told(state: NodeState, item: Told, peer: str) -> None:
    """Take a peer's answer about a session (X1, X2)."""
    session = state.sessions.get(item.ref)
    if session is None:
        return
    if item.outcome is Outcome.STALE and not session.ended:
        state.sessions.end(session, state.now.boot_ns)
        _spread(state, session)
    waiting = state.keeping.pop(item.ref, [])
    rest = []
    for one in waiting:
        if one.stamp <= item.stamp:
            one.missing.discard(peer)
        if not one.missing or (session.ended and not isinstance(one.request.operation, EndSession)):
            _answer(state, session, one.request)
        elif not one.request.done:
            rest.append(one)
    if rest:
        state.keeping[item.ref] = rest


def spread_all(state: NodeState) -> None:
    """Tell all members of a new view of all sessions, and wait for these members."""
    state.opened = 0  # counted anew above the view's number, lest it ever reach that of the next
    for session in state.sessions:
        _spread(state, session)
    if not state.is_up:
        refuse_keeping(state, "this node was marked down meanwhile: the outcome is unknown; ask another node again")
    waiting, state.keeping = state.keeping, {}
    for ref, ones in waiting.items():
        kept = state.sessions.get(ref)
        for one in ones:
            if kept is not None and not one.request.done:
                _spread(state, kept, one.request)


def refuse_keeping(state: NodeState, text: str) -> None:
    """Answer what waits here when the node may no longer serve."""
    waiting, state.keeping = state.keeping, {}
    for one in (one for ones in waiting.values() for one in ones):
        state.refuse(one.request, Code.NOT_SERVING, text)


def tell(state: NodeState, kind: EventKind, session: Session) -> None:
    """Emit a fact about a session."""
    number, version = (state.view.number, state.view.version) if state.view else (0, 0)
    about = Event(kind, owner=session.label, ttl_ms=session.ttl_ms, session=session.ref.id)
    state.out.append(Emit(replace(about, view=number, version=version)))


def speaks_for(state: NodeState, session: Session) -> bool:
    """Say whether it is this node that tells of a session's lapse: one of all is enough."""
    return state.serving() and state.owners_at(position_of(session.ref.id))[0] == state.me.address
