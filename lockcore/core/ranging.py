"""Byte ranges as clients use them: what the rules decide becomes replicated, told and answered.

Whoever is primary and complete for a key decides; each step of the table is
one mutation, also when it grants to several waiters, and the pair has it
before anybody is answered. What is decided and not yet acknowledged is taken
back when the view changes, as with named locks.

Invariants
  Y1  A step is answered, to its caller and to all whom it granted, when the
      pair has it.
  Y2  An operation that was answered is not carried out again.
  Y3  Who comes to decide about a key looks after it: waits that have become
      a circle, with those of keys that were another node's, are refused.
Elsewhere: the rules (ranges), one key's state (rangefiles), sessions.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from lockcore.core import rangerecords as rr
from lockcore.core.events import Event, EventKind
from lockcore.core.keeping import asked_elsewhere, known, refuse_lost
from lockcore.core.limits import FILES_MAX, NS_PER_MS, NS_PER_S, PENDING_MAX, SESSION_KEYS_MAX
from lockcore.core.messages import (
    ClearRange,
    Code,
    FileAnswer,
    FindConflict,
    Holdings,
    MoveRanges,
    RangeConflict,
    RangeFree,
    RangeLocked,
    Released,
    Result,
    SessionId,
    SetRange,
)
from lockcore.core.rangefiles import id_of
from lockcore.core.rangeresults import denied, facts_text, piece, result_of, span_text, to_keep, told_again
from lockcore.core.ranges import RangeTable
from lockcore.core.requests import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lockcore.core.messages import RangeOperation
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.requests import Request
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState

FULL_TEXT: Final = "this node has all the ranges or mutations it can hold; retry"
OVER_TEXT: Final = "it was given up, or refused, before it came"
DEADLOCK_TEXT: Final = "this wait would never end: whoever is in its way waits for this owner"
_KINDS: Final = {
    rr.Locked: EventKind.RANGE_LOCKED,
    rr.Acquired: EventKind.RANGE_LOCKED,
    rr.Waiting: EventKind.RANGE_QUEUED,
    rr.Unlocked: EventKind.RANGE_UNLOCKED,
    rr.Migrated: EventKind.RANGE_MIGRATED,
    rr.NothingHeld: EventKind.RANGE_MIGRATED,
}


def serve_range(state: NodeState, request: Request, operation: RangeOperation) -> None:
    """Decide; the caller has asked who is primary, complete and out of any grace."""
    session = known(state, operation.session)
    file = state.files.get(id_of(operation.key))
    if session is None:
        refuse_lost(state, request, operation.session)
    elif isinstance(operation, FindConflict):
        _find_conflict(state, request, operation, file)
    elif _full(state, session, file):
        state.refuse(request, Code.OVERLOADED, FULL_TEXT)
    elif isinstance(operation, SetRange) and session.gave_up(operation.key, operation.op_id):
        state.answer(request, denied(state, rr.Denied(rr.Errno.EINTR, OVER_TEXT)))
    elif not _repeated(state, request, session, operation, file):
        _decide(state, request, session, operation, file or _create(state, operation.key))


def _full(state: NodeState, session: Session, file: RangeFile | None) -> bool:
    crowded = len(session.keys) >= SESSION_KEYS_MAX or state.desk.pending_count >= PENDING_MAX
    return crowded or (file is None and len(state.files) >= FILES_MAX)


def _create(state: NodeState, key: str) -> RangeFile:
    state.table.floor += 1
    file = state.files.create(key, state.table.floor, state.view_number, state.graph)
    file.idle_ns = state.now.boot_ns
    return file


def _find_conflict(state: NodeState, request: Request, operation: FindConflict, file: RangeFile | None) -> None:
    want = _want(operation.session.ref, operation.lock_owner, operation.kind, operation.start, operation.length)
    table = file.table if file is not None else RangeTable()  # an empty one knows what a wrong range is
    found = table.getlk(want)
    match found:
        case rr.Conflict() if state.desk.pending_count >= PENDING_MAX:
            state.refuse(request, Code.OVERLOADED, FULL_TEXT)
        case rr.Conflict(row) if file is not None:
            _expect(state, file, request, RangeConflict(piece(state, row)))  # as of a lock (S6)
            state.replicate(file)
        case rr.Free():
            state.answer(request, RangeFree())
        case rr.Denied():
            state.answer(request, denied(state, found))


def _repeated(
    state: NodeState, request: Request, session: Session, operation: Mutating, file: RangeFile | None
) -> bool:
    """Answer what was asked before, or attach to its wait (Y2); say whether it was."""
    if file is None or (isinstance(operation, SetRange) and operation.held_fence):
        return False  # holding again what is held changes nothing
    before = file.answered(session.ref, operation.op_id)
    if before is not None:
        _expect(state, file, request, told_again(state, file, session, before.result))
        state.spread(file, urgent=True)
        return True
    if file.table.waiter(*session_key(session), str(operation.op_id)) is None:
        return False
    other = state.desk.attach(file.key, request, session.ref, operation.op_id)
    if other is not None and other is not request:
        asked_elsewhere(state, other, file.key)
    return True


def session_key(session: Session) -> tuple[str, int]:
    """Return a session as the range table names it."""
    return session.ref.id, session.ref.incarnation


def _want(  # noqa: PLR0913, PLR0917 - what fcntl(2) takes
    ref: SessionId,
    lock_owner: str,
    kind: rr.Kind,
    start: int,
    length: int,
    fair: bool = False,  # noqa: FBT001, FBT002
) -> rr.Want:
    return rr.Want(rr.Owner(ref.id, ref.incarnation, lock_owner), kind, start, length, fair)


def _decide(state: NodeState, request: Request, session: Session, operation: Mutating, file: RangeFile) -> None:
    table, now_ns = file.table, state.now.boot_ns
    _mind_grace(state, file)
    table.raise_floor(state.table.floor)
    before = {w.ticket: w for w in table.waiters()}
    match operation:
        case SetRange(held_fence=fence) if fence:
            step = table.reassert(_set(session, operation), fence, now_ns=now_ns)
        case SetRange(wait_ms=0):
            step = table.setlk(_set(session, operation))
        case SetRange(wait_ms=wait_ms):
            until_ns = None if wait_ms is None else now_ns + wait_ms * NS_PER_MS
            step = table.setlkw(
                _set(session, operation), operation=str(operation.op_id), now_ns=now_ns, deadline_ns=until_ns
            )
        case ClearRange(wanted=0):
            owner = rr.Owner(*session_key(session), operation.lock_owner)
            step = table.unlck(owner, operation.start, operation.length)
        case ClearRange(wanted=wanted):
            waiter = table.waiter(*session_key(session), str(wanted))
            if waiter is None and file.answered(session.ref, wanted) is None:
                session.give_up(operation.key, wanted)
            step = table.withdraw(waiter.ticket if waiter else 0)
        case MoveRanges():
            if not state.mint.good(operation.old):
                state.refuse(request, Code.INVALID, "the old session's secret does not prove that it is yours")
                return
            step = table.migrate(_migrate(session, operation), now_ns=now_ns)
    carry(state, file, step, before, (request, session, operation))
    _break_circles(state, step)


def _set(session: Session, operation: SetRange) -> rr.Want:
    kind, start, length = operation.kind, operation.start, operation.length
    return _want(session.ref, operation.lock_owner, kind, start, length, operation.fair)


def _migrate(session: Session, operation: MoveRanges) -> rr.Migrate:
    return rr.Migrate(
        source=operation.old.id,
        source_incarnation=operation.old.incarnation,
        target=session.ref.id,
        target_incarnation=session.ref.incarnation,
        lock_owner=operation.lock_owner,
        start=operation.start,
        length=operation.length,
        kind=operation.kind,
        acquire_gaps=operation.gaps,
        require_held=operation.require_held,
        fair=operation.fair,
    )


# --- what a step does ------------------------------------------------------------------------

Mutating = SetRange | ClearRange | MoveRanges
Asked = tuple["Request", "Session", Mutating]


def carry(
    state: NodeState, file: RangeFile, step: rr.Step, before: dict[int, rr.Waiter], asked: Asked | None = None
) -> None:
    """Number a step, replicate it, and answer who asked and who was pushed when the pair has it (Y1)."""
    request = asked[0] if asked is not None else None
    result = None if asked is None else result_of(state, step.result)
    waits = isinstance(step.result, rr.Waiting)
    succeeded = asked is not None and isinstance(result, RangeLocked | Released) and not waits
    if not step.delta and not succeeded:  # a success is kept for its repetition even if it changed nothing
        _answer_unchanged(state, file, step, asked, result)
        return
    state.table.raise_floor(file.table.floor)
    grants = [step.result, *(push.result for push in step.pushes)]
    fresh = any(isinstance(result, rr.Locked | rr.Acquired) for result in grants)
    pushed = [_push(state, file, push) for push in step.pushes]
    kept = [answer for _, answer, _ in pushed if answer is not None]
    if asked is not None and isinstance(result, RangeLocked | Released) and not waits:
        kept.insert(0, FileAnswer(asked[1].ref, asked[2].op_id, to_keep(result)))
    file.commit(step, tuple(kept), before, state.now.boot_ns)
    state.files.index(file, {row.owner for row in step.delta.added} | {w.owner for w in step.delta.queued})
    _tell(state, file, step, asked)
    if asked is not None and waits:
        state.desk.attach(file.key, asked[0], asked[1].ref, asked[2].op_id)
        _expect(state, file, None, Released())
    else:
        _expect(state, file, request, result or Released(), fresh=fresh)
    for attached, _, told in pushed:
        if attached is not None:
            _expect(state, file, attached, told, fresh=fresh)
    _set_alarm(state, file)
    state.replicate(file)


def _answer_unchanged(
    state: NodeState, file: RangeFile, step: rr.Step, asked: Asked | None, result: Result | None
) -> None:
    if asked is None or result is None:
        return
    if isinstance(step.result, rr.Waiting):
        state.desk.attach(file.key, asked[0], asked[1].ref, asked[2].op_id)
    else:
        _refused(asked[1], file, asked[2].op_id, step.result)
        state.answer(asked[0], result)


def _refused(session: Session | None, file: RangeFile, op_id: int, result: rr.Result) -> None:
    """Let an attempt that comes late do nothing: its client has been told, and waits for it no more (Y2)."""
    if session is not None and isinstance(result, rr.Denied):
        session.give_up(file.name, op_id)


def _expect(state: NodeState, file: RangeFile, request: Request | None, result: Result, *, fresh: bool = False) -> None:
    state.desk.expect(file.key, Pending(file.order, request, result, None, fresh))


def _push(state: NodeState, file: RangeFile, push: rr.Push) -> tuple[Request | None, FileAnswer | None, Result]:
    waiter = push.waiter
    ref = SessionId(waiter.owner.session, waiter.owner.incarnation)
    attached = state.desk.detach(file.key, ref, int(waiter.operation))
    if attached is not None:
        _refused(state.sessions.get(ref), file, int(waiter.operation), push.result)
    result = result_of(state, push.result)
    kept = FileAnswer(ref, int(waiter.operation), result) if isinstance(result, RangeLocked) else None
    return attached, kept, result


def _tell(state: NodeState, file: RangeFile, step: rr.Step, asked: Asked | None) -> None:
    """Emit facts with the mutation: one for who asked, one for each who was pushed."""
    events = []
    kind = _KINDS.get(type(step.result))
    if asked is not None and kind is not None:
        _, session, operation = asked
        peer = operation.old.id if isinstance(operation, MoveRanges) else ""
        events.append(replace(_fact(state, file, kind, session, facts_text(operation, step.result)), peer=peer))
    for push in step.pushes:
        session_of = state.sessions.get(SessionId(push.waiter.owner.session, push.waiter.owner.incarnation))
        granted = isinstance(push.result, rr.Locked)
        pushed = EventKind.RANGE_LOCKED if granted else EventKind.UNQUEUED
        span = rr.Span(push.waiter.start, push.waiter.end)
        text = f"{push.waiter.kind.value} {span_text(span)} by {push.waiter.owner.lock_owner}"
        if session_of is not None:
            why = f": {push.result.text}" if isinstance(push.result, rr.Denied) else ""
            events.append(_fact(state, file, pushed, session_of, text + why))
    for event in events:
        state.desk.expect(file.key, Pending(file.order, None, Released(), event))


def _fact(state: NodeState, file: RangeFile, kind: EventKind, session: Session, detail: str) -> Event:
    number, version = (state.view.number, state.view.version) if state.view else (0, 0)
    return Event(
        kind,
        key=file.name,
        owner=session.label,
        generation=file.table.floor,
        seq=file.seq,
        view=number,
        version=version,
        detail=detail,
        session=session.ref.id,
    )


def _break_circles(state: NodeState, step: rr.Step) -> None:
    """Refuse waits that a grant has closed into a circle: an owner may have several operations under way."""
    owners = [p.waiter.owner for p in step.pushes if isinstance(p.result, rr.Locked)]
    if isinstance(step.result, rr.Locked | rr.Acquired):
        owners.append(step.result.row.owner)
    _unstick(state, owners)


def _unstick(state: NodeState, owners: Iterable[rr.Owner]) -> None:
    for owner in owners:
        for _, waiter in state.graph.stuck(owner):
            _refuse_wait(state, waiter)


def _refuse_wait(state: NodeState, waiter: rr.Waiter) -> None:
    for file in state.files:
        if file.serving and file.table.ticket(waiter.ticket) == waiter:
            before = {w.ticket: w for w in file.table.waiters()}
            carry(state, file, file.table.refuse(waiter.ticket, rr.Errno.EDEADLK, DEADLOCK_TEXT), before)


# --- time, sessions, roles ----------------------------------------------------------------------


def _set_alarm(state: NodeState, file: RangeFile) -> None:
    at_ns = file.table.next_deadline_ns()
    if at_ns is not None:
        state.set_alarm(file.key, at_ns)


def begin(state: NodeState, file: RangeFile) -> None:
    """Look after a key that this node has come to decide about, once in each view (Y3)."""
    if file.seen_to < state.view_number and file.serving and state.decides(file.position):
        file.seen_to = state.view_number
        look(state, file)
        if not file.table.paused:
            _do(state, file, file.table.resume)  # its former primary may have been in a grace, this one is not
        _unstick(state, dict.fromkeys(waiter.owner for waiter in file.table.waiters()))


def look(state: NodeState, file: RangeFile) -> None:
    """Drop what belongs to sessions that are gone, and waits whose time is up, where this node decides."""
    if not file.serving or not state.decides(file.position):
        return
    now_ns = state.now.boot_ns
    _mind_grace(state, file)
    owners = {*file.table.owners(), *(w.owner for w in file.table.waiters())}
    for ref in sorted({SessionId(o.session, o.incarnation) for o in owners}):
        session = state.sessions.get(ref)
        if session is None or not session.excludes(now_ns):
            _do(state, file, partial(file.table.release_session, ref.id, ref.incarnation))
    _do(state, file, partial(file.table.expire, now_ns))
    _set_alarm(state, file)


def _mind_grace(state: NodeState, file: RangeFile) -> None:
    """Have nobody who waits granted while somebody unknown may hold what looks free (W4)."""
    if state.in_doubt(file):
        file.table.pause()
        state.set_alarm(file.key, state.now.boot_ns + NS_PER_S)
    elif file.table.paused:
        _do(state, file, file.table.resume)


def _do(state: NodeState, file: RangeFile, operation: Callable[[], rr.Step]) -> None:
    before = {w.ticket: w for w in file.table.waiters()}
    step = operation()
    carry(state, file, step, before)
    _break_circles(state, step)


def holdings(state: NodeState, session: Session) -> Holdings:
    """Return what a session holds where this node decides."""
    now_ns = state.now.boot_ns
    locks, ranges, op_ids = [], [], []
    for key in sorted(session.keys):
        lease, file = state.table.get(key), state.files.get(key)
        if lease is not None and lease.serving and lease.session is session and lease.live(now_ns):
            locks.append((lease.key, lease.generation))
            op_ids.append(lease.op_id_of(session.ref))
        if file is not None and file.serving:
            owners = file.table.owners_of(*session_key(session))
            ranges += [(file.name, piece(state, row)) for owner in owners for row in file.table.rows_of(owner)]
    return Holdings(tuple(locks), tuple(ranges), state.settled_view, tuple(op_ids))
