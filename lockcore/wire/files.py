"""Byte ranges in replication: whole tables and changes, with each owner written once.

Invariants
  P1  `file_of` raises CodecError and nothing else.
  P2  What a table is built of can be one: rows in order, those of one owner
      apart, tickets ascending below the next. A table of anything else would
      fail later, where nobody could say why. (That no two owners hold what
      excludes each other is the sender's to see to: nodes trust each other.)
Elsewhere: the batch around them (peer_codec), what they mean (lockcore.core.rangefiles).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import (
    FILE_ANSWERS_KEPT,
    FILE_DELTAS_KEPT,
    KEY_BYTES_MAX,
    LEASE_MS_MAX,
    LOCK_OWNER_BYTES_MAX,
    NS_PER_MS,
    RANGE_ROWS_MAX,
    RANGE_WAITERS_MAX,
    SESSION_ID_BYTES_MAX,
    WAIT_MS_MAX,
)
from lockcore.core.messages import FileAnswer, FileRecord, RangeLocked, Released, SessionId
from lockcore.core.rangerecords import OFFSET_MAX, Delta, Owner, RangeRecord, Row, WaiterRecord
from lockcore.wire.answering import range_locked, range_locked_of
from lockcore.wire.asking import KIND_TO_WIRE, kind_of
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROWS_MAX: Final = 2 * RANGE_ROWS_MAX
"""A change may replace every row of a key."""


def session_id(ref: SessionId) -> pb.SessionId:
    """SessionId -> message."""
    return pb.SessionId(id=ref.id, incarnation=ref.incarnation)


def session_id_of(message: pb.SessionId) -> SessionId:
    """SessionId <- message."""
    if not 0 < len(message.id.encode()) <= SESSION_ID_BYTES_MAX:
        raise CodecError(f"a session's id has 1 to {SESSION_ID_BYTES_MAX} bytes")
    return SessionId(message.id, message.incarnation)


class _Owners:
    """The places of owners in a record's list."""

    def __init__(self) -> None:
        self._places: dict[Owner, int] = {}

    def place(self, owner: Owner) -> int:
        return self._places.setdefault(owner, len(self._places))

    def messages(self) -> list[pb.RangeOwner]:
        return [pb.RangeOwner(session=o[0], incarnation=o[1], lock_owner=o[2]) for o in self._places]

    def row(self, row: Row) -> pb.RangeRow:
        return pb.RangeRow(
            owner=self.place(row.owner), kind=KIND_TO_WIRE[row.kind], start=row.start, end=row.end, fence=row.fence
        )

    def waiter(self, waiter: WaiterRecord) -> pb.RangeWaiter:
        return pb.RangeWaiter(
            ticket=waiter.ticket,
            operation=waiter.operation,
            owner=self.place(waiter.owner),
            kind=KIND_TO_WIRE[waiter.kind],
            start=waiter.start,
            end=waiter.end,
            fair=waiter.fair,
            remaining_ns=waiter.remaining_ns,
        )


def file(record: FileRecord) -> pb.FileRecord:
    """FileRecord -> message."""
    owners = _Owners()
    message = pb.FileRecord(
        key=record.key,
        transfer=record.transfer,
        generation=record.generation,
        seq=record.seq,
        whole=None if record.whole is None else _whole(record.whole, owners),
        base=None if record.base is None else pb.Order(generation=record.base[0], seq=record.base[1]),
        deltas=[_delta(delta, owners) for delta in record.deltas],
        sessions=[pb.SessionLeft(session=session_id(ref), remaining_ns=left) for ref, left in record.sessions],
        answers=[_answer(answer) for answer in record.answers],
    )
    message.owners.extend(owners.messages())
    return message


def _whole(table: RangeRecord, owners: _Owners) -> pb.RangeTable:
    return pb.RangeTable(
        rows=[owners.row(row) for row in table.rows],
        waiters=[owners.waiter(waiter) for waiter in table.waiters],
        floor=table.floor,
        next_ticket=table.next_ticket,
    )


def _delta(delta: Delta, owners: _Owners) -> pb.RangeDelta:
    return pb.RangeDelta(
        removed=[owners.row(row) for row in delta.removed],
        added=[owners.row(row) for row in delta.added],
        queued=[owners.waiter(waiter) for waiter in delta.queued],
        dequeued=delta.dequeued,
        floor=delta.floor,
        next_ticket=delta.next_ticket,
    )


def _answer(answer: FileAnswer) -> pb.FileAnswer:
    message = pb.FileAnswer(session=session_id(answer.session), op_id=answer.op_id)
    if isinstance(answer.result, RangeLocked):
        message.locked.CopyFrom(range_locked(answer.result))
    else:
        message.released.SetInParent()
    return message


# --- reading ----------------------------------------------------------------------------


def file_of(message: pb.FileRecord) -> FileRecord:
    """FileRecord <- message, within its bounds."""
    if not 0 < len(message.key.encode()) <= KEY_BYTES_MAX:
        raise CodecError(f"a key has 1 to {KEY_BYTES_MAX} bytes of UTF-8")
    if message.generation <= 0 or message.seq <= 0:
        raise CodecError("a file's generation and seq count from 1")
    if message.HasField("whole") is message.HasField("base"):
        raise CodecError("ranges travel whole, or as changes of a state that is named")
    if len(message.deltas) > FILE_DELTAS_KEPT or len(message.answers) > FILE_DELTAS_KEPT * FILE_ANSWERS_KEPT:
        raise CodecError(f"ranges travel with at most {FILE_DELTAS_KEPT} changes: send all of them whole")
    if len(message.owners) > ROWS_MAX or len(message.sessions) > len(message.owners):
        raise CodecError("a key's ranges name more owners than there can be, or sessions without one")
    owners = [_owner_of(owner) for owner in message.owners]
    return FileRecord(
        key=message.key,
        transfer=message.transfer,
        generation=message.generation,
        seq=message.seq,
        whole=_whole_of(message.whole, owners) if message.HasField("whole") else None,
        base=(message.base.generation, message.base.seq) if message.HasField("base") else None,
        deltas=tuple(_delta_of(delta, owners) for delta in message.deltas),
        sessions=tuple(_left_of(left) for left in message.sessions),
        answers=tuple(_answer_of(answer) for answer in message.answers),
    )


def _left_of(message: pb.SessionLeft) -> tuple[SessionId, int]:
    if message.remaining_ns > LEASE_MS_MAX * NS_PER_MS:
        raise CodecError(f"a session has at most {LEASE_MS_MAX} ms left: is another time unit meant?")
    return session_id_of(message.session), message.remaining_ns


def _owner_of(message: pb.RangeOwner) -> Owner:
    if len(message.lock_owner.encode()) > LOCK_OWNER_BYTES_MAX or len(message.session.encode()) > SESSION_ID_BYTES_MAX:
        raise CodecError("an owner of ranges has a name that is too long")
    return Owner(message.session, message.incarnation, message.lock_owner)


def _whole_of(message: pb.RangeTable, owners: Sequence[Owner]) -> RangeRecord:
    if len(message.rows) > RANGE_ROWS_MAX:
        raise CodecError(f"a key has at most {RANGE_ROWS_MAX} ranges")
    rows, waiters = _rows_of(message.rows, owners), _waiters_of(message.waiters, owners)
    if any((a.start, a.owner) >= (b.start, b.owner) for a, b in pairwise(rows)):
        raise CodecError("the ranges of a key travel in the order of their start, then of their owner")
    tickets = [waiter.ticket for waiter in waiters]
    if any(a >= b for a, b in pairwise([0, *tickets, message.next_ticket])):
        raise CodecError("who waits for a key's ranges travels in the order of tickets, below the next one")
    _check_apart(rows)
    return RangeRecord(rows, waiters, message.floor, message.next_ticket)


def _check_apart(rows: Iterable[Row]) -> None:
    """Refuse rows of one owner that overlap, or that should have been merged (P2)."""
    last: dict[Owner, Row] = {}
    for row in rows:
        before = last.get(row.owner)
        if before is not None and row.start <= before.end + (row.kind is before.kind):
            raise CodecError("the ranges of one owner neither overlap nor touch in the same kind")
        last[row.owner] = row


def _delta_of(message: pb.RangeDelta, owners: Sequence[Owner]) -> Delta:
    added = _rows_of(message.added, owners)
    _check_apart(sorted(added, key=lambda row: row.start))
    return Delta(
        removed=_rows_of(message.removed, owners),
        added=added,
        queued=_waiters_of(message.queued, owners),
        dequeued=tuple(message.dequeued),
        floor=message.floor,
        next_ticket=message.next_ticket,
    )


def _rows_of(messages: Sequence[pb.RangeRow], owners: Sequence[Owner]) -> tuple[Row, ...]:
    if len(messages) > ROWS_MAX:
        raise CodecError(f"a key has at most {RANGE_ROWS_MAX} ranges")
    return tuple(Row(_named(m.owner, owners), kind_of(m.kind), *_span_of(m.start, m.end), m.fence) for m in messages)


def _waiters_of(messages: Sequence[pb.RangeWaiter], owners: Sequence[Owner]) -> tuple[WaiterRecord, ...]:
    if len(messages) > RANGE_WAITERS_MAX:
        raise CodecError(f"at most {RANGE_WAITERS_MAX} wait for a key's ranges")
    return tuple(
        WaiterRecord(
            ticket=m.ticket,
            operation=_number(m.operation),
            owner=_named(m.owner, owners),
            kind=kind_of(m.kind),
            start=_span_of(m.start, m.end)[0],
            end=m.end,
            fair=m.fair,
            remaining_ns=wait_left_of(m),
        )
        for m in messages
    )


def wait_left_of(message: pb.RangeWaiter | pb.WaiterRecord) -> int | None:
    """How long somebody waits still, ns; None: as long as the session lives."""
    if not message.HasField("remaining_ns"):
        return None
    if message.remaining_ns > WAIT_MS_MAX * NS_PER_MS:
        raise CodecError(f"a wait lasts at most {WAIT_MS_MAX} ms: is another time unit meant?")
    return message.remaining_ns


def _number(text: str) -> str:
    if not text.isascii() or not text.isdigit() or len(text) > len(str(2**64)):
        raise CodecError("an operation that waits is named by its number")
    return text


def _named(place: int, owners: Sequence[Owner]) -> Owner:
    if place >= len(owners):
        raise CodecError("a range names an owner that is not in the record")
    return owners[place]


def _span_of(start: int, end: int) -> tuple[int, int]:
    if not start <= end <= OFFSET_MAX:
        raise CodecError(f"a range lies within 0 to {OFFSET_MAX}")
    return start, end


def _answer_of(message: pb.FileAnswer) -> FileAnswer:
    locked = message.WhichOneof("result") == "locked"
    result = range_locked_of(message.locked) if locked else Released()
    return FileAnswer(session_id_of(message.session), message.op_id, result)


def files_of(messages: Iterable[pb.FileRecord]) -> tuple[FileRecord, ...]:
    """All FileRecords of a batch <- messages."""
    return tuple(file_of(message) for message in messages)
