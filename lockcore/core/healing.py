"""Healing: what a session holds and its nodes have lost comes back, in a grace, to its holder only.

With a live backup nothing is lost, and a digest with each keep-alive proves
it. After both nodes of a key have died, holders come back by themselves while
a grace keeps everybody else out: a named lock by its token, a piece by its
fence, both in their session. What comes back after the grace is refused: in
between it may have been somebody else's.

Sessions stand at every member, so survivors know who may still come. When
each of them has said that it has nothing left to re-assert, byte ranges need
wait no longer, for they exist in sessions only. Named locks wait on: nobody
knows who holds one by its token alone.

Invariants
  W1  What a session held comes back only in a grace, with the generation or
      fence that it had.
  W2  Of two who claim the same, who got it later keeps it, whichever came
      first.
  W3  An unlock that has arrived is not undone by a re-assertion that was
      sent before it.
  W4  A grace ends early, for ranges only, when every session that excludes
      others has said in this view that nothing is left to re-assert, at a
      node that knows all sessions.
Elsewhere: the digest (holding), where a grace comes from (ledger), leases of
their own (serving), the client's side (lockcore.client.belief).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lockcore.core import queueing, ranging
from lockcore.core.events import EventKind
from lockcore.core.keeping import known, refuse_lost
from lockcore.core.limits import WIPES_MAX
from lockcore.core.messages import Answered, Code, Granted, Released
from lockcore.core.rangefiles import id_of
from lockcore.core.rangerecords import Denied, Owner
from lockcore.core.rangespan import span_of
from lockcore.core.ring import position_of
from lockcore.core.wipes import Wipe

if TYPE_CHECKING:
    from lockcore.core.leases import Lease
    from lockcore.core.messages import ClearRange, Lock, SetRange, Unlock
    from lockcore.core.requests import Request
    from lockcore.core.state import NodeState
    from lockcore.core.tokens import TokenClaims

RECOVERY_TEXT: Final = "lock already owned by ring-recovery"
"""SeaweedFS's clients retry on "lock already owned"; nobody holds this name."""
TOO_LATE_TEXT: Final = "it was lost: it is held by nobody or by somebody else, and cannot come back"
WIPES_TEXT: Final = "too many unlocks while lost state comes back; retry"
NEWER_TEXT: Final = "somebody who got it later came back"


# --- named locks ----------------------------------------------------------------------------


def return_lock(state: NodeState, request: Request, operation: Lock, lease: Lease | None) -> None:
    """Answer a session that says, by its token, that it holds a lock (W1, W2)."""
    session = known(state, operation.session) if operation.session else None
    claims = _claims(state, request.key, operation.token)
    if session is None:
        refuse_lost(state, request, operation.session)
    elif claims is None:
        state.refuse(request, Code.NOT_HELD, TOO_LATE_TEXT)
    elif lease is not None and queueing.holds(lease, session, state) and lease.generation == claims.generation:
        state.table.touch(lease)  # so that the pair has it in this view
        state.mutate(lease, request, _granted(lease), None)
    elif not _comes_in_time(state, request.key, lease, claims):
        state.refuse(request, Code.NOT_HELD, TOO_LATE_TEXT)
    else:
        if lease is not None and lease.live(state.now.boot_ns):
            state.emit(EventKind.EXPIRED, lease, detail=NEWER_TEXT)
        back = state.table.readmit(request.key, claims, session.ttl_ms, state.now, state.view_number, session)
        back.note_answer(Answered(session.ref, operation.op_id, back.generation))
        state.mutate(back, request, _granted(back), state.fact(EventKind.READMITTED, back))


def return_unlocked(state: NodeState, request: Request, operation: Unlock, lease: Lease | None) -> None:
    """Release, in a grace, what nobody here knows: its token is of no use any more then (W3)."""
    session = known(state, operation.session) if operation.session else None
    claims = _claims(state, request.key, operation.token)
    if session is None or claims is None or not _comes_in_time(state, request.key, lease, claims):
        queueing.unlock(state, request, operation, lease)
        return
    back = state.table.readmit(request.key, claims, session.ttl_ms, state.now, state.view_number, session)
    state.table.release(back)
    state.mutate(back, request, Released(), state.fact(EventKind.RELEASED, back))


def _claims(state: NodeState, key: str, token: str) -> TokenClaims | None:
    claims = state.table.mint.read(key, token)
    return claims if claims is not None and claims.expires_wall_ms == 0 else None


def _comes_in_time(state: NodeState, key: str, lease: Lease | None, claims: TokenClaims) -> bool:
    if lease is None or not lease.live(state.now.boot_ns):
        newer = lease is None or (claims.generation, claims.seq) > lease.order
    else:
        newer = (claims.generation, claims.seq) > (lease.generation, lease.confirmed_seq)
    return newer and state.handover.in_grace(position_of(key), state.now.boot_ns)


def _granted(lease: Lease) -> Granted:
    return Granted(lease.token, lease.owner, lease.generation, lease.seq, lease.ttl_ms)


# --- byte ranges ----------------------------------------------------------------------------


def ranges_wait(state: NodeState, position: int) -> bool:
    """Say whether pieces that nobody here knows may still be held at a position (W4)."""
    return state.handover.in_grace(position, state.now.boot_ns) and not _all_are_back(state)


def _all_are_back(state: NodeState) -> bool:
    if state.healed_view != state.view_number and state.informed:
        now_ns = state.now.boot_ns
        if all(s.healed >= state.view_number or not s.excludes(now_ns) for s in state.sessions):
            state.healed_view = state.view_number
    return state.healed_view == state.view_number


def return_range(state: NodeState, request: Request, operation: SetRange) -> None:
    """Answer a session that says that it holds a piece (W1, W2)."""
    span = span_of(operation.start, operation.length)
    if isinstance(span, Denied):
        state.refuse(request, Code.INVALID, span.text)
    elif _was_unlocked(state, operation, span.start, span.end):
        state.answer(request, Released())
    elif _may_be_lost(state, operation) or _has(state, operation, span.start, span.end):
        ranging.serve_range(state, request, operation)
    elif known(state, operation.session) is None:
        refuse_lost(state, request, operation.session)
    else:
        state.refuse(request, Code.NOT_HELD, TOO_LATE_TEXT)


def _may_be_lost(state: NodeState, operation: SetRange) -> bool:
    """Say whether it may have been held and lost: in a grace, and every fence given before is below the view."""
    return operation.held_fence < state.view_number and ranges_wait(state, position_of(operation.key))


def _has(state: NodeState, operation: SetRange, start: int, end: int) -> bool:
    """Say whether one piece that is held covers all of it with that fence."""
    file = state.files.get(id_of(operation.key))
    ref = operation.session.ref
    rows = () if file is None else file.table.rows_of(Owner(ref.id, ref.incarnation, operation.lock_owner))
    fence = operation.held_fence
    return any(r.kind is operation.kind and r.start <= start and end <= r.end and r.fence >= fence for r in rows)


def unlock_range(state: NodeState, request: Request, operation: ClearRange) -> None:
    """Unlock in a grace, also what is not back yet (W3)."""
    span = span_of(operation.start, operation.length)
    if operation.wanted == 0 and not isinstance(span, Denied) and known(state, operation.session) is not None:
        if state.wipes.count >= WIPES_MAX:
            state.refuse(request, Code.OVERLOADED, WIPES_TEXT)
            return
        wipe = Wipe(operation.session.ref, operation.lock_owner, operation.op_id, span.start, span.end)
        state.wipes.put(operation.key, wipe)
    ranging.serve_range(state, request, operation)


def _was_unlocked(state: NodeState, operation: SetRange, start: int, end: int) -> bool:
    return any(
        (wipe.session, wipe.lock_owner) == (operation.session.ref, operation.lock_owner)
        and wipe.op_id > operation.op_id
        and wipe.start <= end
        and start <= wipe.end
        for wipe in state.wipes.of.get(operation.key, ())
    )
