"""Client operations: the table of DESIGN section 4, and where it is asked.

| state at the primary | no token | matching token | other token |
|---|---|---|---|
| free, or expired | grant | token on what is not held | token on what is not held |
| held | already owned | renew | token mismatch |

Invariants
  S1  Only a primary that is complete for the position grants anything new.
  S2  A node that is no longer primary, but has not handed a lock over yet,
      serves its holder (a matching token) and nobody else.
  S3  A request that had its one hop is never forwarded again: the wrong
      node says so (W15).
  S4  A new primary changes a lock for a session only when it knows all: what
      came first may be an old copy, and would outrank the newest afterwards.
  S5  An unlock that a handover caught is acknowledged when the new primary
      and its backup know of it: no copy of the lock is promoted after that.
  S6  Who holds a lock is said when the backup, in the same view, knows the
      same: a node that was put out, and has not heard of it, would name
      somebody who has released it elsewhere meanwhile.
  S7  A new primary that does not know all yet serves what the old one
      served, and no copy of another: a holder's token may be good for an old
      copy too, and what came of it would outrank the queue it lacks.
Elsewhere: lease rules (leases), who is complete (handover), locks of
sessions (queueing), sessions (keeping).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import healing, queueing, ranging
from lockcore.core.events import EventKind
from lockcore.core.forcing import force
from lockcore.core.healing import RECOVERY_TEXT
from lockcore.core.keeping import FORGED_TEXT, keep, known, refuse_lost
from lockcore.core.limits import (
    FORWARDS_MAX,
    LEASE_MS_MAX,
    LOCKS_MAX,
    NS_PER_MS,
    PARKED_MAX,
    PENDING_MAX,
    WATCHES_MAX,
)
from lockcore.core.messages import (
    ClearRange,
    Code,
    EndSession,
    FindConflict,
    FindOwner,
    ForceRelease,
    Forward,
    KeepAlive,
    ListHeld,
    Lock,
    Move,
    MoveRanges,
    OpenSession,
    OwnerIs,
    Released,
    SendPeer,
    SetRange,
    Unlock,
)
from lockcore.core.requests import Request, fault_of, invalid
from lockcore.core.ring import position_of

if TYPE_CHECKING:
    from lockcore.core.leases import Lease
    from lockcore.core.messages import RangeOperation
    from lockcore.core.state import NodeState
    from lockcore.core.tokens import TokenClaims

HANDOFF_TEXT = "lock already owned by ring-handoff"
"""SeaweedFS's clients retry on "lock already owned"; nobody holds this name, nor RECOVERY_TEXT's."""


def begin(state: NodeState, request: Request) -> None:
    """Take a request in: check it, give it its deadline, decide."""
    state.operations += 1
    fault = fault_of(request.operation)
    if fault is not None:
        state.answer(request, invalid(fault))
        return
    handle(state, request)
    if not request.done:
        state.desk.watch(request)


def handle(state: NodeState, request: Request) -> None:
    """Decide a request, or pass it on, or let it wait."""
    view = state.view
    if view is None or not state.serving():
        _refuse_unserving(state, request)
        return
    if isinstance(request.operation, ListHeld):
        _list_held(state, request, request.operation)
        return
    if isinstance(request.operation, ForceRelease):
        force(state, request, request.operation)
        return
    if isinstance(request.operation, OpenSession | KeepAlive | EndSession):
        keep(state, request)
        return
    primary, _ = view.ring.owners(request.key)
    if primary == state.me.address or _in_transfer_window(state, request):
        _serve(state, request)
    elif request.forwarded:
        text = f"this node is not the primary of the key in view {view.number}; retry"
        state.refuse(request, Code.NOT_PRIMARY, text, moved_to=primary or "")
    else:
        pass_on(state, request, primary or "")


def _refuse_unserving(state: NodeState, request: Request) -> None:
    primary = None
    if state.view is not None and not state.closed and request.key:
        primary = state.view.ring.primary(request.key)
    if getattr(request.operation, "token", ""):
        state.emit_refusal(request.key, "", "fenced: this node has no right to serve now")
    moved_to = primary if primary and primary != state.me.address else ""
    text = "this node may not serve now (no view, marked down, or no contact with the master); try another node"
    state.refuse(request, Code.NOT_SERVING, text, moved_to=moved_to)


def _in_transfer_window(state: NodeState, request: Request) -> bool:
    lease = state.table.get(request.key)
    operation = request.operation
    if lease is None or not lease.serving or not lease.live(state.now.boot_ns):
        return False
    if isinstance(operation, Unlock) and operation.session is not None:
        return lease.session is not None and lease.session.ref == operation.session.ref
    token = getattr(operation, "token", "")
    return bool(token) and state.table.accepts(lease, token) is not None


def pass_on(state: NodeState, request: Request, primary: str) -> None:
    """Send a request on its one hop to the primary."""
    operation = request.operation
    link = state.links.get(primary)
    if isinstance(operation, OpenSession | KeepAlive | EndSession | ListHeld | ForceRelease):
        return  # handle() has answered it
    if link is None or len(state.desk.forwards) >= FORWARDS_MAX:
        state.refuse(request, Code.OVERLOADED, "too many requests are being forwarded; retry")
        return
    remaining_ms = max(1, (request.deadline_ns - state.now.boot_ns) // NS_PER_MS)
    forward_id = state.desk.forward(request, primary)
    message = Forward(state.me, forward_id, operation, remaining_ms, request.may_park, request.again)
    state.out.append(SendPeer(primary, message))


def _serve(state: NodeState, request: Request) -> None:
    lease = state.table.get(request.key)
    operation = request.operation
    if isinstance(operation, OpenSession | KeepAlive | EndSession | ListHeld | ForceRelease):
        return  # handle() has answered it; says so to the type checker
    if isinstance(operation, SetRange | ClearRange | FindConflict | MoveRanges):
        _range(state, request, operation)
    elif isinstance(operation, FindOwner):
        _find(state, request, operation, lease)
    elif operation.session is not None:
        _in_session(state, request, operation, lease)
    elif operation.token:
        _with_token(state, request, lease)
    else:
        _acquire(state, request, lease)


def _in_session(state: NodeState, request: Request, operation: Lock | Unlock | Move, lease: Lease | None) -> None:
    position = _position(request)
    now_ns = state.now.boot_ns
    live = lease is not None and lease.live(now_ns)
    if not _knows_enough(state, position, lease):
        _park(state, request)
    elif isinstance(operation, Unlock):
        lost = bool(operation.token) and not live and state.handover.in_grace(position, now_ns)
        (healing.return_unlocked if lost else queueing.unlock)(state, request, operation, lease)
    elif isinstance(operation, Lock) and operation.token:
        healing.return_lock(state, request, operation, lease)
    elif not live and state.handover.in_grace(position, now_ns):
        _refuse_for_now(state, request, operation)
    elif isinstance(operation, Lock):
        queueing.lock(state, request, operation, lease)
    else:
        queueing.move(state, request, operation, lease)


def _knows_enough(state: NodeState, position: int, lease: Lease | None) -> bool:
    """Say whether a lock may be changed for a session here (S4).

    For a token an old copy is enough, for it says itself whether it is newer.
    """
    if state.handover.ready(position):
        return True
    primary, _ = state.owners_at(position)
    old_primary = primary != state.me.address and lease is not None and lease.serving
    return old_primary and lease is not None and lease.live(state.now.boot_ns)


def _range(state: NodeState, request: Request, operation: RangeOperation) -> None:
    position = _position(request)
    if not state.handover.ready(position):
        _park(state, request)
    elif isinstance(operation, SetRange) and operation.held_fence > 0:
        healing.return_range(state, request, operation)
    elif healing.ranges_wait(state, position) and isinstance(operation, ClearRange):
        healing.unlock_range(state, request, operation)
    elif healing.ranges_wait(state, position):
        state.refuse(request, Code.RECOVERING, RECOVERY_TEXT)
    else:
        ranging.serve_range(state, request, operation)


def _list_held(state: NodeState, request: Request, operation: ListHeld) -> None:
    session = state.sessions.get(operation.session.ref)
    if not state.mint.good(operation.session):
        state.refuse(request, Code.INVALID, FORGED_TEXT)
    elif session is None:
        refuse_lost(state, request, operation.session)
    else:
        state.answer(request, ranging.holdings(state, session))


def _refuse_for_now(state: NodeState, request: Request, operation: Lock | Move) -> None:
    if operation.session is None or known(state, operation.session) is None:
        refuse_lost(state, request, operation.session)
    else:
        state.refuse(request, Code.RECOVERING, RECOVERY_TEXT)


def _find(state: NodeState, request: Request, operation: FindOwner, lease: Lease | None) -> None:
    position = _position(request)
    now_ns = state.now.boot_ns
    ready = state.handover.ready(position)
    live = lease is not None and lease.live(now_ns)
    if ready and operation.known == (lease.generation if live and lease is not None else 0):
        if state.desk.watching_count >= WATCHES_MAX:
            state.refuse(request, Code.OVERLOADED, "too many watch locks at this node; retry")
        else:
            state.desk.look(request)
    elif lease is not None and live and (ready or lease.serving):
        remaining_ms = (lease.ends_ns - now_ns) // NS_PER_MS
        _confirm(state, request, lease, OwnerIs(lease.owner, lease.generation, remaining_ms))
    elif not ready:
        _park(state, request)
    elif state.handover.in_grace(position, now_ns):
        state.refuse(request, Code.RECOVERING, RECOVERY_TEXT)
    else:
        state.refuse(request, Code.NOT_FOUND, "lock not found")


def _confirm(state: NodeState, request: Request, lease: Lease, result: OwnerIs) -> None:
    """Answer when the pair says the same (S6)."""
    if state.desk.pending_count >= PENDING_MAX:
        state.refuse(request, Code.OVERLOADED, "too many requests wait for the backup; retry")
    else:
        state.mutate(lease, request, result, None)


def _acquire(state: NodeState, request: Request, lease: Lease | None) -> None:
    operation = request.operation
    position = _position(request)
    if not isinstance(operation, Lock):
        return  # _serve sends Lock only; says so to the type checker
    if not state.handover.ready(position):
        _park(state, request)
    elif not queueing.free(state, lease):
        queueing.refuse_held(state, request, lease)
    elif state.handover.in_grace(position, state.now.boot_ns):
        state.refuse(request, Code.RECOVERING, RECOVERY_TEXT)
    elif len(state.table) >= LOCKS_MAX or state.desk.pending_count >= PENDING_MAX:
        state.refuse(request, Code.OVERLOADED, "this node has all the locks it can hold; retry")
    else:
        tenure = state.view_number
        before = None if lease is None else lease.record(state.now.boot_ns)
        new = state.table.grant(request.key, operation.owner, operation.ttl_ms, state.now, tenure)
        event = state.fact(EventKind.GRANTED, new)
        state.mutate(new, request, queueing.granted(new), event, fresh=True, before=before)


def _with_token(state: NodeState, request: Request, lease: Lease | None) -> None:
    token = getattr(request.operation, "token", "")
    shown = None if lease is None else state.table.accepts(lease, token)
    known = lease is not None and (lease.serving or state.handover.ready(lease.position))
    if lease is not None and lease.serving and shown is not None and lease.live(state.now.boot_ns):
        _apply(state, request, lease, shown)
        return
    if known and lease is not None and request.again and _let_go(state, lease, token):
        state.mutate(lease, request, Released(), None)  # a handover caught it: the pair is to know (S5)
        return
    if not state.handover.ready(_position(request)):
        _park(state, request)
        return
    claims = _readmissible(state, request, lease, token)
    if claims is not None:
        _readmit(state, request, claims)
    else:
        _refuse_token(state, request, lease)


def _apply(state: NodeState, request: Request, lease: Lease, shown_seq: int) -> None:
    if state.desk.pending_count >= PENDING_MAX:
        state.refuse(request, Code.OVERLOADED, "too many mutations wait for the backup; retry")
        return
    operation = request.operation
    if isinstance(operation, Lock) and lease.session is not None:
        text = "this lock belongs to a session: keep the session alive instead of renewing the lock"
        state.refuse(request, Code.INVALID, text)
    elif isinstance(operation, Lock):
        state.renewals += 1
        state.table.renew(lease, operation.ttl_ms, shown_seq, state.now)
        state.mutate(lease, request, queueing.granted(lease), None)
    else:
        state.table.release(lease)
        state.mutate(lease, request, Released(), state.fact(EventKind.RELEASED, lease))
        queueing.advance(state, lease.key)


def _let_go(state: NodeState, lease: Lease, token: str) -> bool:
    """Say whether what a token stands for is released, or over: maybe somebody else holds the lock since."""
    claims = state.table.mint.read(lease.key, token)
    if claims is None:
        return False
    return claims.generation < lease.generation or (claims.generation == lease.generation and lease.gone)


def _readmissible(state: NodeState, request: Request, lease: Lease | None, token: str) -> TokenClaims | None:
    """Return the claims of a holder whose lock died with both its owners."""
    if not state.handover.in_grace(_position(request), state.now.boot_ns):
        return None
    claims = state.table.mint.read(request.key, token)
    if claims is None or claims.expires_wall_ms * NS_PER_MS <= state.now.wall_ns:
        return None  # what a session holds (0) comes back in that session only
    if lease is not None and (claims.generation, claims.seq) <= lease.order:
        return None  # released, or superseded: we know better
    return claims


def _readmit(state: NodeState, request: Request, claims: TokenClaims) -> None:
    operation = request.operation
    tenure = state.view_number
    ttl_ms = operation.ttl_ms if isinstance(operation, Lock) else LEASE_MS_MAX
    lease = state.table.readmit(request.key, claims, ttl_ms, state.now, tenure)
    if isinstance(operation, Lock):
        event = state.fact(EventKind.READMITTED, lease)
        state.mutate(lease, request, queueing.granted(lease), event)
    else:
        state.table.release(lease)
        state.mutate(lease, request, Released(), state.fact(EventKind.RELEASED, lease))


def _refuse_token(state: NodeState, request: Request, lease: Lease | None) -> None:
    unlock = isinstance(request.operation, Unlock)
    owner = lease.owner if lease is not None else ""
    if lease is not None and lease.live(state.now.boot_ns):
        text = "unlock: token mismatch" if unlock else "lock: token mismatch"
        state.emit_refusal(request.key, owner, f"{text} (held at generation {lease.generation})")
        state.refuse(request, Code.TOKEN_MISMATCH, text, owner=owner)
    elif unlock:
        state.refuse(request, Code.NOT_FOUND, "lock not found")
    elif lease is not None:
        text = "lock: non-empty token on an expired lock"
        state.emit_refusal(request.key, owner, text)
        state.refuse(request, Code.TOKEN_ON_EXPIRED, text)
    else:
        text = "lock: non-empty token on a new lock"
        state.emit_refusal(request.key, "", text)
        state.refuse(request, Code.TOKEN_ON_NEW, text)


def _park(state: NodeState, request: Request) -> None:
    if not request.may_park:
        state.refuse(request, Code.HANDOFF, HANDOFF_TEXT)
    elif state.desk.parked_count >= PARKED_MAX:
        state.refuse(request, Code.OVERLOADED, "too many requests wait for a handover; retry")
    else:
        state.desk.park(request)


def _position(request: Request) -> int:
    return position_of(request.key)
