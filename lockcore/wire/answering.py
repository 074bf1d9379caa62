"""Results of operations, as they stand in OpResult.

Invariants
  P1  `result_of` raises CodecError and nothing else.
Elsewhere: the operations (asking), ranges in replication (files).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lockcore.core.digest import Digest
from lockcore.core.messages import (
    Code,
    Granted,
    HeldRange,
    Holdings,
    How,
    OwnerIs,
    RangeConflict,
    RangeDenied,
    RangeFree,
    RangeLocked,
    Refused,
    Released,
    Result,
    SessionEnded,
    SessionIs,
)
from lockcore.core.rangerecords import Errno
from lockcore.wire.asking import KIND_TO_WIRE, kind_of, proof_of, put_proof
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

_CODE_TO_WIRE: Final = {code: pb.Code.Value(code.name) for code in Code}
_CODE_FROM_WIRE: Final[dict[int, Code]] = {number: code for code, number in _CODE_TO_WIRE.items()}


def put_result(message: pb.OpResult, result: Result) -> None:  # noqa: C901, PLR0912 - one case for each result
    """Fill in the result of an OpResult."""
    match result:
        case Granted():
            granted = message.granted
            granted.token, granted.owner = result.token, result.owner
            granted.generation, granted.seq = result.generation, result.seq
            granted.ttl_ms, granted.moved_to = result.ttl_ms, result.moved_to
            granted.migrated = result.how is How.MIGRATED
            granted.SetInParent()
        case Released():
            message.released.moved_to = result.moved_to
            message.released.SetInParent()
        case OwnerIs():
            owner_is = message.owner_is
            owner_is.owner, owner_is.generation = result.owner, result.generation
            owner_is.remaining_ms, owner_is.moved_to = result.remaining_ms, result.moved_to
            owner_is.SetInParent()
        case Refused():
            refused = message.refused
            refused.code, refused.text = _CODE_TO_WIRE[result.code], result.text
            refused.owner, refused.moved_to = result.owner, result.moved_to
            refused.SetInParent()
        case SessionIs():
            put_proof(message.session.session, result.session)
            message.session.ttl_ms = result.ttl_ms
            if result.held is not None:
                message.session.held.CopyFrom(_digest(result.held))
        case SessionEnded():
            message.ended.SetInParent()
        case RangeLocked():
            message.range_locked.CopyFrom(range_locked(result))
        case RangeFree():
            message.range_free.moved_to = result.moved_to
            message.range_free.SetInParent()
        case RangeDenied():
            denied = message.range_denied
            denied.error, denied.text, denied.moved_to = result.error.value, result.text, result.moved_to
            if result.conflict is not None:
                denied.conflict.CopyFrom(piece_message(result.conflict))
            denied.SetInParent()
        case RangeConflict():
            message.range_conflict.piece.CopyFrom(piece_message(result.piece))
            message.range_conflict.moved_to = result.moved_to
        case Holdings():
            ops = result.op_ids or (0,) * len(result.locks)
            held = zip(result.locks, ops, strict=True)
            message.holdings.locks.extend(pb.HeldLock(key=key, generation=g, op_id=op) for (key, g), op in held)
            message.holdings.ranges.extend(pb.HeldPiece(key=key, piece=piece_message(p)) for key, p in result.ranges)
            message.holdings.view = result.view
            message.holdings.SetInParent()


def range_locked(result: RangeLocked) -> pb.RangeLockedResult:
    """RangeLocked -> message."""
    return pb.RangeLockedResult(
        session=result.session,
        pieces=[piece_message(piece) for piece in result.pieces],
        migrated=result.how is How.MIGRATED,
        moved_to=result.moved_to,
    )


def range_locked_of(message: pb.RangeLockedResult) -> RangeLocked:
    """RangeLocked <- message."""
    pieces = tuple(piece_of(piece) for piece in message.pieces)
    how = How.MIGRATED if message.migrated else How.ACQUIRED
    return RangeLocked(message.session, pieces, how, message.moved_to)


def piece_message(piece: HeldRange) -> pb.Piece:
    """HeldRange -> message."""
    return pb.Piece(
        session=piece.session,
        label=piece.label,
        lock_owner=piece.lock_owner,
        kind=KIND_TO_WIRE[piece.kind],
        start=piece.start,
        length=piece.length,
        fence=piece.fence,
    )


def piece_of(piece: pb.Piece) -> HeldRange:
    """Message -> HeldRange."""
    kind = kind_of(piece.kind)
    return HeldRange(piece.session, piece.label, piece.lock_owner, kind, piece.start, piece.length, piece.fence)


def result_of(message: pb.OpResult) -> Result:
    """Return the result of an OpResult."""
    reader = _RESULTS.get(message.WhichOneof("result") or "")
    if reader is None:
        raise CodecError("the result is missing, or is one that this version does not know")
    return reader(message)


def _granted_of(message: pb.OpResult) -> Granted:
    g = message.granted
    how = How.MIGRATED if g.migrated else How.ACQUIRED
    return Granted(g.token, g.owner, g.generation, g.seq, g.ttl_ms, g.moved_to, how)


def _owner_is_of(message: pb.OpResult) -> OwnerIs:
    o = message.owner_is
    return OwnerIs(o.owner, o.generation, o.remaining_ms, o.moved_to)


def _refused_of(message: pb.OpResult) -> Refused:
    r = message.refused
    code = _CODE_FROM_WIRE.get(r.code)
    if code is None:
        raise CodecError(f"refusal code {r.code} is unknown here: the other side is newer; update this one")
    return Refused(code, r.text, r.owner, r.moved_to)


def _denied_of(message: pb.OpResult) -> RangeDenied:
    d = message.range_denied
    try:
        error = Errno(d.error)
    except ValueError:
        text = f"the error {d.error[:20]!r} is unknown here: the other side is newer; update this one"
        raise CodecError(text) from None
    return RangeDenied(error, d.text, piece_of(d.conflict) if d.HasField("conflict") else None, d.moved_to)


def _digest(digest: Digest) -> pb.Digest:
    return pb.Digest(view=digest.view, locks=digest.locks, pieces=digest.pieces, sum=digest.sum)


def _session_of(message: pb.OpResult) -> SessionIs:
    session, held = message.session, None
    if session.HasField("held"):
        held = Digest(session.held.view, session.held.locks, session.held.pieces, session.held.sum)
    return SessionIs(proof_of(session.session), session.ttl_ms, held)


def _holdings_of(message: pb.OpResult) -> Holdings:
    h = message.holdings
    return Holdings(
        tuple((lock.key, lock.generation) for lock in h.locks),
        tuple((held.key, piece_of(held.piece)) for held in h.ranges),
        h.view,
        tuple(lock.op_id for lock in h.locks),
    )


_RESULTS: Final[dict[str, Callable[[pb.OpResult], Result]]] = {
    "granted": _granted_of,
    "released": lambda m: Released(m.released.moved_to),
    "owner_is": _owner_is_of,
    "refused": _refused_of,
    "session": _session_of,
    "ended": lambda _: SessionEnded(),
    "range_locked": lambda m: range_locked_of(m.range_locked),
    "range_free": lambda m: RangeFree(m.range_free.moved_to),
    "range_denied": _denied_of,
    "range_conflict": lambda m: RangeConflict(piece_of(m.range_conflict.piece), m.range_conflict.moved_to),
    "holdings": _holdings_of,
}
