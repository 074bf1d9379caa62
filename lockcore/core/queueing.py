"""Named locks of sessions: held while the session lives, waited for in a queue.

First come, first served. A place in the queue is part of the lock's state: it
is replicated and handed over with it, and a client attaches to its place again
by the id of its operation. The operation's answer is part of that state too,
so a repetition is answered and not done twice.

Invariants
  U1  A lock is granted to the first in its queue whose session is alive, and
      to nobody past a queue.
  U2  A session that has lapsed or ended is granted nothing (Gluster 3182).
  U3  An operation that was answered is not carried out again.
  U4  A migration changes the session of a lock, never its generation: nobody
      else can have held it in between, and no place in the queue is lost.
  U5  An acquisition that is given up before it comes is not carried out.
Elsewhere: locks without a session (serving), sessions themselves (keeping).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lockcore.core import ranging
from lockcore.core.events import ENDED_TEXT, LAPSED_TEXT, EventKind
from lockcore.core.keeping import (
    LOST_TEXT,
    UNHEARD_TEXT,
    asked_elsewhere,
    known,
    may_live,
    refuse_lost,
)
from lockcore.core.leases import Lease, Waiter
from lockcore.core.limits import (
    LOCKS_MAX,
    NS_PER_MS,
    PENDING_MAX,
    PLACES_MAX,
    SESSION_KEYS_MAX,
    WAITERS_MAX,
    WAITERS_OF_SESSION_MAX,
)
from lockcore.core.messages import (
    Answered,
    Code,
    Granted,
    How,
    Lock,
    Move,
    Released,
    Unlock,
)
from lockcore.core.rangefiles import is_file

if TYPE_CHECKING:
    from lockcore.core.requests import Request
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState

QUEUE_TEXT: Final = "lock already owned by the next in its queue"
WAITING_TEXT: Final = "still waiting: the place in the queue is kept; ask again with the same op_id"
OVER_TEXT: Final = "this acquisition was granted before, and its lock was released since"


def lock(state: NodeState, request: Request, operation: Lock, lease: Lease | None) -> None:
    """Acquire in a session, or answer a repetition; the caller has asked who is primary and ready."""
    session = known(state, operation.session) if operation.session else None
    if session is None:
        refuse_lost(state, request, operation.session)
    elif session.gave_up(operation.key, operation.op_id):
        state.refuse(request, Code.NOT_FOUND, "this acquisition was given up before it came")
    elif not _repeated(state, request, session, operation.op_id, lease):
        _acquire(state, request, session, operation, lease)


def _repeated(state: NodeState, request: Request, session: Session, op_id: int, lease: Lease | None) -> bool:
    """Answer what was asked before (U3); say whether it was."""
    if lease is None:
        return False
    before = lease.answered(session.ref, op_id)
    if before is None:
        return _attach(state, request, session, op_id, lease)
    if holds(lease, session, state) and before.generation == lease.generation:
        state.table.touch(lease)  # so that the pair has it in this view
        state.mutate(lease, request, granted(lease, before.how), None)
    else:
        state.refuse(request, Code.NOT_FOUND, OVER_TEXT)
    return True


def _attach(state: NodeState, request: Request, session: Session, op_id: int, lease: Lease) -> bool:
    if all(w.id != (session.ref, op_id) for w in lease.waiters):
        return False
    before = state.desk.attach(lease.key, request, session.ref, op_id)
    if before is not None and before is not request:
        asked_elsewhere(state, before, lease.key)
    return True


def _acquire(state: NodeState, request: Request, session: Session, operation: Lock, lease: Lease | None) -> None:
    full = _full(state, session, lease)
    if full:
        state.refuse(request, Code.OVERLOADED, full)
    elif free(state, lease):
        _grant(state, request, Waiter(session, operation.op_id, operation.owner, None, operation.delay_ms), lease)
    elif operation.wait_ms == 0 or lease is None:
        refuse_held(state, request, lease)
    else:
        _enqueue(state, request, session, operation, lease)


def _full(state: NodeState, session: Session, lease: Lease | None) -> str:
    crowded = len(state.table) >= LOCKS_MAX or state.table.places >= PLACES_MAX
    if crowded or state.desk.pending_count >= PENDING_MAX:
        return "this node has all the locks it can hold; retry"
    if len(session.keys) >= SESSION_KEYS_MAX:
        return f"a session holds and waits for at most {SESSION_KEYS_MAX} locks at one node; use another session"
    if lease is not None and len(lease.waiters) >= WAITERS_MAX:
        return f"{WAITERS_MAX} wait for this lock already, which is the most; retry later"
    if lease is not None and len(lease.waiters) >= WAITERS_OF_SESSION_MAX:
        mine = sum(waiter.session is session for waiter in lease.waiters)
        if mine >= WAITERS_OF_SESSION_MAX:
            return f"this session waits {mine} times for this lock already, which is the most; wait for some"
    return ""


def free(state: NodeState, lease: Lease | None) -> bool:
    """Say whether a lock may be granted to who asks now (U1)."""
    now_ns = state.now.boot_ns
    return lease is None or not (lease.live(now_ns) or lease.waiters or now_ns < lease.free_at_ns)


def refuse_held(state: NodeState, request: Request, lease: Lease | None) -> None:
    """Say that somebody else has the lock, or is to have it."""
    held = lease is not None and lease.live(state.now.boot_ns)
    owner = lease.owner if held and lease is not None else ""
    state.refuse(request, Code.HELD, f"lock already owned by {owner}" if held else QUEUE_TEXT, owner=owner)


def _enqueue(state: NodeState, request: Request, session: Session, operation: Lock, lease: Lease) -> None:
    now_ns = state.now.boot_ns
    until_ns = None if operation.wait_ms is None else now_ns + operation.wait_ms * NS_PER_MS
    lease.waiters.append(Waiter(session, operation.op_id, operation.owner, until_ns, operation.delay_ms))
    state.table.touch(lease)
    state.spread(lease, urgent=True)
    state.desk.attach(lease.key, request, session.ref, operation.op_id)
    _set_alarms(state, lease)
    state.emit_for(EventKind.QUEUED, lease, operation.owner, session, f"place {len(lease.waiters)}")


def _grant(state: NodeState, request: Request | None, to: Waiter, lease: Lease | None) -> None:
    """Grant to a session; `lease` is what the key was, its queue still whole."""
    now = state.now
    before = None if lease is None else lease.record(now.boot_ns)
    key = lease.key if lease is not None else request.key if request is not None else ""
    if lease is not None:
        lease.waiters = [w for w in lease.waiters if w.id != to.id]
    ttl_ms = to.session.ttl_ms
    new = state.table.grant(key, to.owner, ttl_ms, now, state.view_number, to.session)
    new.delay_ms = to.delay_ms
    new.note_answer(Answered(*to.id, new.generation))
    event = state.fact(EventKind.GRANTED, new)
    state.mutate(new, request, granted(new), event, fresh=True, before=before)


def granted(lease: Lease, how: How = How.ACQUIRED) -> Granted:
    """Return the answer to who got a lock."""
    return Granted(lease.token, lease.owner, lease.generation, lease.seq, lease.ttl_ms, how=how)


def holds(lease: Lease, session: Session, state: NodeState) -> bool:
    """Say whether a session holds a lock here."""
    return lease.session is session and lease.live(state.now.boot_ns)


# --- letting go ---------------------------------------------------------------------


def unlock(state: NodeState, request: Request, operation: Unlock, lease: Lease | None) -> None:
    """Release what an acquisition got, or leave the queue; harmless when it is over already."""
    session = known(state, operation.session) if operation.session else None
    if session is None:
        refuse_lost(state, request, operation.session)
        return
    before = None if lease is None else lease.answered(session.ref, operation.op_id)
    mine = operation.op_id == 0 or (before is not None and lease is not None and before.generation == lease.generation)
    if lease is not None and holds(lease, session, state) and mine:
        _release(state, lease, request, EventKind.RELEASED)
        advance(state, lease.key)
    elif lease is not None and _leave(state, lease, session, operation.op_id):
        state.mutate(lease, request, Released(), None)
    elif lease is not None and before is not None:
        state.mutate(lease, request, Released(), None)  # the pair may not have the release yet
    else:
        session.give_up(operation.key, operation.op_id)
        state.refuse(request, Code.NOT_FOUND, "lock not found")


def release(state: NodeState, lease: Lease, request: Request, why: str) -> None:
    """Release a lock whoever holds it."""
    _release(state, lease, request, EventKind.RELEASED, why)


def _release(state: NodeState, lease: Lease, request: Request | None, kind: EventKind, why: str = "") -> None:
    session = lease.session.ref.id if lease.session else ""
    state.table.release(lease)
    event = replace(state.fact(kind, lease, detail=why), session=session)
    if kind is EventKind.EXPIRED and lease.delay_ms:
        lease.free_at_ns = state.now.boot_ns + lease.delay_ms * NS_PER_MS
        _set_alarms(state, lease)
    state.mutate(lease, request, Released(), event)


def _leave(state: NodeState, lease: Lease, session: Session, op_id: int) -> bool:
    """Give up a place in the queue; the caller spreads it."""
    if all(w.id != (session.ref, op_id) for w in lease.waiters):
        return False
    lease.waiters = [w for w in lease.waiters if w.id != (session.ref, op_id)]
    state.table.touch(lease)
    attached = state.desk.detach(lease.key, session.ref, op_id)
    if attached is not None:
        state.refuse(attached, Code.NOT_FOUND, "the acquisition was given up")
    state.emit_for(EventKind.UNQUEUED, lease, "", session, "left the queue")
    return True


# --- whose turn it is -----------------------------------------------------------------


def advance(state: NodeState, key: str) -> None:
    """Drop who waits no longer, and grant to the first if the lock is free (U1, U2)."""
    if is_file(key):
        revive(state, key)
        return
    lease = state.table.get(key)
    if lease is None or not lease.waiters or not (lease.serving and state.decides(lease.position)):
        return
    now_ns = state.now.boot_ns
    stay = [w for w in lease.waiters if w.session.alive(now_ns) and (w.until_ns is None or now_ns < w.until_ns)]
    gone = [w for w in lease.waiters if w not in stay]
    if gone:
        lease.waiters = stay
        state.table.touch(lease)
        state.spread(lease, urgent=True)
        for waiter in gone:
            _dismiss(state, lease, waiter)
    grace = state.handover.in_grace(lease.position, now_ns)
    if stay and grace:
        state.set_alarm(key, state.handover.grace_ends_ns(now_ns))  # nobody else looks here when it ends
    elif stay and not lease.live(now_ns) and now_ns >= lease.free_at_ns:
        _grant(state, state.desk.detach(key, *stay[0].id), stay[0], lease)
    _set_alarms(state, state.table.get(key) or lease)


def _dismiss(state: NodeState, lease: Lease, waiter: Waiter) -> None:
    alive = waiter.session.alive(state.now.boot_ns)
    state.emit_for(EventKind.UNQUEUED, lease, waiter.owner, waiter.session, "its time was up" if alive else ENDED_TEXT)
    attached = state.desk.detach(lease.key, *waiter.id)
    if attached is not None and alive:
        refuse_held(state, attached, lease)
    elif attached is not None:
        unsure = may_live(state, waiter.session.ref)
        state.refuse(attached, Code.HANDOFF if unsure else Code.SESSION_LOST, UNHEARD_TEXT if unsure else LOST_TEXT)


def _set_alarms(state: NodeState, lease: Lease) -> None:
    """Have the key looked at when the first wait, or its lock-delay, is over."""
    moments = [w.until_ns for w in lease.waiters if w.until_ns is not None]
    if lease.waiters and lease.free_at_ns > state.now.boot_ns:
        moments.append(lease.free_at_ns)
    if moments:
        state.set_alarm(lease.key, min(moments))


def revive(state: NodeState, key: str) -> None:
    """Look after a lock that this node has just begun to serve, or whose session is gone."""
    file = state.files.get(key)
    if file is not None:
        ranging.look(state, file)
    lease = state.table.get(key)
    if lease is None or not (lease.waiters or lease.session) or not (lease.serving and state.decides(lease.position)):
        return
    _set_alarms(state, lease)
    _let_go(state, lease)
    advance(state, key)


def _let_go(state: NodeState, lease: Lease) -> None:
    """Release a lock whose session is gone."""
    session = lease.session
    if session is not None and not lease.gone and not session.excludes(state.now.boot_ns):
        # Nobody asked for it: who reads the fact is to know it from an unlock.
        kind, why = (EventKind.RELEASED, ENDED_TEXT) if session.ended else (EventKind.EXPIRED, LAPSED_TEXT)
        _release(state, lease, None, kind, why)


# --- migration --------------------------------------------------------------------------


def move(state: NodeState, request: Request, operation: Move, lease: Lease | None) -> None:
    """Take over what another session holds on a key (U4)."""
    session = known(state, operation.session)
    old = state.sessions.get(operation.old.ref)
    if session is None:
        refuse_lost(state, request, operation.session)
    elif not state.mint.good(operation.old):
        text = "the old session's secret does not prove that it is yours; show what opening it returned"
        state.refuse(request, Code.INVALID, text)
    elif not _repeated(state, request, session, operation.op_id, lease):
        _move(state, request, operation, session, old, lease)


def _move(  # noqa: PLR0913, PLR0917 - two sessions, one lock, one request
    state: NodeState, request: Request, operation: Move, session: Session, old: Session | None, lease: Lease | None
) -> None:
    held = lease is not None and old is not None and holds(lease, old, state)
    if lease is not None and old is not None and _take_places(lease, old, session) and not held:
        state.table.touch(lease)
        state.spread(lease, urgent=True)
    if lease is not None and held:
        lease.owner = operation.owner
        lease.ttl_ms = session.ttl_ms
        lease.note_answer(Answered(session.ref, operation.op_id, lease.generation, How.MIGRATED))
        state.table.hold(lease, session)
        event = state.fact(EventKind.MIGRATED, lease, operation.old.id, f"from session {operation.old.id}")
        state.mutate(lease, request, granted(lease, How.MIGRATED), event)
    elif operation.require_held:
        text = "the old session holds this lock no longer: it was lost, and nothing was taken"
        state.refuse(request, Code.NOT_HELD, text)
    else:
        wanted = Lock(operation.key, session.ttl_ms, operation.owner, "", operation.session, operation.op_id)
        _acquire(state, request, session, wanted, lease)


def _take_places(lease: Lease, old: Session, session: Session) -> bool:
    """Give the old session's places in the queue to the new one."""
    mine = [w for w in lease.waiters if w.session is old]
    for waiter in mine:
        waiter.session = session
    return bool(mine)
