"""Operations, as they stand in ClientOp and Forward.

Three operations have fields of their own since the first version; everything
else, and whatever is asked in a session, stands in AnyOp.

Invariants
  P1  `operation_of` raises CodecError and nothing else.
Elsewhere: results (answering), members and views (parts), ranges in
replication (files).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lockcore.core.messages import (
    ClearRange,
    EndSession,
    FindConflict,
    FindOwner,
    ForceRelease,
    KeepAlive,
    KeyOperation,
    ListHeld,
    Lock,
    Move,
    MoveRanges,
    OpenSession,
    Operation,
    SessionProof,
    SetRange,
    Unlock,
)
from lockcore.core.rangerecords import Kind
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

KIND_TO_WIRE: Final = {None: pb.ANY, Kind.READ: pb.READ, Kind.WRITE: pb.WRITE}
_KIND_FROM_WIRE: Final[dict[int, Kind]] = {pb.READ: Kind.READ, pb.WRITE: Kind.WRITE}
UNKNOWN_TEXT: Final = "the operation is missing, or is one that this version does not know: update this node"


def kind_of(number: int) -> Kind:
    """Return READ or WRITE."""
    kind = _KIND_FROM_WIRE.get(number)
    if kind is None:
        raise CodecError("a range lock is READ or WRITE")
    return kind


# --- operations ------------------------------------------------------------------------


def put_operation(message: pb.ClientOp | pb.Forward, operation: Operation) -> None:
    """Fill in the operation of a ClientOp or a Forward."""
    match operation:
        case Lock(session=None):
            _put_lock(message.lock, operation)
        case Unlock(session=None):
            message.unlock.key, message.unlock.token = operation.key, operation.token
            message.unlock.SetInParent()
        case FindOwner():
            _put_find(message.find, operation)
        case _:
            _put_any(message.any, operation)


def _put_lock(lock: pb.LockOp, operation: Lock) -> None:
    lock.key, lock.ttl_ms, lock.owner, lock.token = operation.key, operation.ttl_ms, operation.owner, operation.token
    if operation.session is not None:
        lock.wait_ms, lock.wait_for_ever = operation.wait_ms or 0, operation.wait_ms is None
        lock.delay_ms = operation.delay_ms
    lock.SetInParent()


def _put_find(find: pb.FindOp, operation: FindOwner) -> None:
    find.key = operation.key
    if operation.known is not None:
        find.known = operation.known
    find.SetInParent()


def put_proof(message: pb.SessionProof, proof: SessionProof) -> None:
    """SessionProof -> message."""
    message.id, message.incarnation, message.secret = proof.id, proof.incarnation, proof.secret
    message.SetInParent()


def proof_of(message: pb.SessionProof) -> SessionProof:
    """SessionProof <- message."""
    return SessionProof(message.id, message.incarnation, message.secret)


def _put_any(message: pb.AnyOp, operation: Operation) -> None:  # noqa: C901, PLR0912 - one case for each operation
    session = getattr(operation, "session", None)
    old = getattr(operation, "old", None) or getattr(operation, "again", None)
    if session is not None:
        put_proof(message.session, session)
    if old is not None:
        put_proof(message.old, old)
    message.op_id = getattr(operation, "op_id", 0)
    match operation:
        case Lock():
            _put_lock(message.lock, operation)
        case Unlock():
            message.unlock.key, message.unlock.token = operation.key, operation.token
            message.unlock.SetInParent()
        case Move():
            message.move.key, message.move.owner = operation.key, operation.owner
            message.move.require_held = operation.require_held
            message.move.SetInParent()
        case OpenSession():
            message.open.label, message.open.ttl_ms = operation.label, operation.ttl_ms
            message.open.SetInParent()
        case KeepAlive():
            message.keep.label, message.keep.ttl_ms = operation.label, operation.ttl_ms
            message.keep.healed = operation.healed
            message.keep.SetInParent()
        case EndSession():
            message.end.SetInParent()
        case ListHeld():
            message.list.SetInParent()
        case SetRange():
            _put_set_range(message.set_range, operation)
        case ClearRange():
            clear = message.clear_range
            clear.key, clear.lock_owner = operation.key, operation.lock_owner
            clear.start, clear.length, clear.wanted = operation.start, operation.length, operation.wanted
            clear.SetInParent()
        case FindConflict():
            conflict = message.find_conflict
            conflict.key, conflict.lock_owner = operation.key, operation.lock_owner
            conflict.kind, conflict.start, conflict.length = (
                KIND_TO_WIRE[operation.kind],
                operation.start,
                operation.length,
            )
            conflict.SetInParent()
        case MoveRanges():
            _put_move_ranges(message.move_ranges, operation)


def _put_set_range(message: pb.SetRangeOp, operation: SetRange) -> None:
    message.key, message.lock_owner, message.kind = operation.key, operation.lock_owner, KIND_TO_WIRE[operation.kind]
    message.start, message.length = operation.start, operation.length
    message.wait_ms, message.wait_for_ever = operation.wait_ms or 0, operation.wait_ms is None
    message.fair, message.held_fence = operation.fair, operation.held_fence
    message.SetInParent()


def _put_move_ranges(message: pb.MoveRangesOp, operation: MoveRanges) -> None:
    message.key, message.kind = operation.key, KIND_TO_WIRE[operation.kind]
    if operation.lock_owner is not None:
        message.lock_owner = operation.lock_owner
    message.start, message.length = operation.start, operation.length
    message.gaps, message.require_held, message.fair = operation.gaps, operation.require_held, operation.fair
    message.SetInParent()


def operation_of(message: pb.ClientOp | pb.Forward) -> Operation:
    """Return the operation of a ClientOp or a Forward."""
    match message.WhichOneof("operation"):
        case "lock":
            lock = message.lock
            return Lock(lock.key, lock.ttl_ms, lock.owner, lock.token)
        case "unlock":
            return Unlock(message.unlock.key, message.unlock.token)
        case "find":
            return _find_of(message.find)
        case "any":
            return _any_of(message.any)
    raise CodecError(UNKNOWN_TEXT)


def key_operation_of(message: pb.Forward) -> KeyOperation:
    """Return what one node passes on to another: it is about a key."""
    operation = operation_of(message)
    if isinstance(operation, OpenSession | KeepAlive | EndSession | ListHeld | ForceRelease):
        raise CodecError("what is about a session is answered where it is asked, and not forwarded")
    return operation


def _find_of(find: pb.FindOp) -> FindOwner:
    return FindOwner(find.key, find.known if find.HasField("known") else None)


def _any_of(message: pb.AnyOp) -> Operation:
    reader = _READERS.get(message.WhichOneof("operation") or "")
    if reader is None:
        raise CodecError(UNKNOWN_TEXT)
    return reader(message)


def _session_of(message: pb.AnyOp) -> SessionProof:
    if not message.HasField("session"):
        raise CodecError("this operation needs a session: open one first, and send what that returned")
    return proof_of(message.session)


def _old_of(message: pb.AnyOp) -> SessionProof:
    if not message.HasField("old"):
        raise CodecError("a migration needs the old session's proof")
    return proof_of(message.old)


def _wait_of(message: pb.LockOp | pb.SetRangeOp) -> int | None:
    return None if message.wait_for_ever else message.wait_ms


def _lock_of(message: pb.AnyOp) -> Lock:
    lock = message.lock
    session = proof_of(message.session) if message.HasField("session") else None
    wait_ms = _wait_of(lock)
    return Lock(lock.key, lock.ttl_ms, lock.owner, lock.token, session, message.op_id, wait_ms, lock.delay_ms)


def _unlock_of(message: pb.AnyOp) -> Unlock:
    session = proof_of(message.session) if message.HasField("session") else None
    return Unlock(message.unlock.key, message.unlock.token, session, message.op_id)


def _move_of(message: pb.AnyOp) -> Move:
    move = message.move
    return Move(move.key, move.owner, _session_of(message), message.op_id, _old_of(message), move.require_held)


def _open_of(message: pb.AnyOp) -> OpenSession:
    again = proof_of(message.old) if message.HasField("old") else None
    return OpenSession(message.open.label, message.open.ttl_ms, again)


def _set_range_of(message: pb.AnyOp) -> SetRange:
    op = message.set_range
    return SetRange(
        op.key,
        _session_of(message),
        message.op_id,
        op.lock_owner,
        kind_of(op.kind),
        op.start,
        op.length,
        _wait_of(op),
        op.fair,
        op.held_fence,
    )


def _clear_range_of(message: pb.AnyOp) -> ClearRange:
    op = message.clear_range
    return ClearRange(op.key, _session_of(message), message.op_id, op.lock_owner, op.start, op.length, op.wanted)


def _find_conflict_of(message: pb.AnyOp) -> FindConflict:
    op = message.find_conflict
    return FindConflict(op.key, _session_of(message), op.lock_owner, kind_of(op.kind), op.start, op.length)


def _move_ranges_of(message: pb.AnyOp) -> MoveRanges:
    op = message.move_ranges
    return MoveRanges(
        op.key,
        _session_of(message),
        message.op_id,
        _old_of(message),
        op.lock_owner if op.HasField("lock_owner") else None,
        op.start,
        op.length,
        None if op.kind == pb.ANY else kind_of(op.kind),
        op.gaps,
        op.require_held,
        op.fair,
    )


_READERS: Final[dict[str, Callable[[pb.AnyOp], Operation]]] = {
    "lock": _lock_of,
    "unlock": _unlock_of,
    "find": lambda message: _find_of(message.find),
    "move": _move_of,
    "open": _open_of,
    "keep": lambda message: KeepAlive(
        _session_of(message), message.keep.ttl_ms, message.keep.label, message.keep.healed
    ),
    "end": lambda message: EndSession(_session_of(message)),
    "list": lambda message: ListHeld(_session_of(message)),
    "set_range": _set_range_of,
    "clear_range": _clear_range_of,
    "find_conflict": _find_conflict_of,
    "move_ranges": _move_ranges_of,
}
