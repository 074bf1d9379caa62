"""One link to one peer: what it still has to be told, in numbered batches.

Keys are queued, not states: a batch reads the newest state of each key when
it leaves, so ten renewals of a lock while a batch is under way cost one
record. At most one batch is under way; it is sent again, with a new number,
until it is acknowledged or the view changes. What somebody waits for goes
before what only has to be copied, so a table full of tombstones does not
delay the first renewal after a failover. Sessions go before all keys.

Invariants
  O1  A record counts as delivered only when the batch that carried it was
      acknowledged in the same view.
  O2  A seal leaves only in a batch after which nothing it speaks of is
      queued, and no session.
Elsewhere: what to queue (node), what a receiver does with it (inbox).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Protocol

from lockcore.core.limits import (
    FILE_ROWS_PER_BATCH,
    NS_PER_MS,
    PEER_BATCH_RECORDS_MAX,
    PEER_RETRY_MS,
    PEER_RETRY_MS_MAX,
)
from lockcore.core.messages import BatchStatus, LeaseRecord, Outcome, PeerAck, PeerBatch, Seal
from lockcore.core.rangefiles import RangeFile, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.leases import Lease, LeaseTable
    from lockcore.core.messages import FileRecord, SessionId
    from lockcore.core.sessions import Session, SessionTable
    from lockcore.core.view import MemberId

ROWS_PER_PLACE: Final = 10
"""A place in a queue names its owner (OWNER_BYTES_MAX): it takes the room of so many byte ranges."""
FIRST_RETRY_MS: Final = 10
"""After the answer "another view": a peer that is behind is there within milliseconds."""


class Shelf(Protocol):
    """Where a link finds what it has to tell: the node's state."""

    @property
    def table(self) -> LeaseTable: ...  # noqa: D102 - see NodeState
    @property
    def sessions(self) -> SessionTable: ...  # noqa: D102
    @property
    def informed(self) -> bool: ...  # noqa: D102
    def item(self, key: str) -> Lease | RangeFile | None: ...  # noqa: D102
    def vouches(self, lease: Lease) -> bool: ...  # noqa: D102


class Part(Enum):
    """What the receiver is to be for a key."""

    REPLICA = "replica"  # its backup
    TRANSFER = "transfer"  # its new primary


@dataclass(frozen=True, slots=True)
class Delivered:
    """One record that a peer has answered, with the state it was told."""

    key: str
    part: Part
    order: tuple[int, int]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Told:
    """A session of which a peer has answered a record, with the stamp it was told at."""

    ref: SessionId
    stamp: int
    outcome: Outcome


@dataclass(slots=True)
class _UnderWay:
    lsn: int
    sessions: list[tuple[SessionId, int]]
    records: list[tuple[str, Part, tuple[int, int]]]
    handover_seal: bool
    backup_seal: bool
    retry_at_ns: int


@dataclass(slots=True)
class PeerLink:
    """The queue for one peer incarnation in one view."""

    me: MemberId
    peer: MemberId
    view: int
    _sessions: dict[SessionId, None] = field(default_factory=dict)
    _urgent: dict[tuple[str, Part], None] = field(default_factory=dict)
    _queue: dict[tuple[str, Part], None] = field(default_factory=dict)
    _under_way: _UnderWay | None = None
    _has: dict[str, tuple[int, int]] = field(default_factory=dict)
    _lsn: int = 0
    _retry_ms: int = FIRST_RETRY_MS
    _patience_ms: int = PEER_RETRY_MS
    handover_sealed: bool = False
    backup_sealed: bool = False

    def put(self, key: str, part: Part, *, urgent: bool = False) -> None:
        """Queue the newest state of a key; `urgent` where somebody waits for it."""
        if urgent:
            self._queue.pop((key, part), None)
            self._urgent[key, part] = None
        elif (key, part) not in self._urgent:
            self._queue[key, part] = None

    def put_session(self, ref: SessionId) -> None:
        """Queue the newest state of a session."""
        self._sessions[ref] = None

    def queued(self, key: str, part: Part) -> bool:
        """Say whether a key still waits to be sent or acknowledged."""
        if (key, part) in self._queue or (key, part) in self._urgent:
            return True
        return self._under_way is not None and any((k, p) == (key, part) for k, p, _ in self._under_way.records)

    def undelivered(self) -> Iterator[str]:
        """Yield the keys whose newest state the peer may lack."""
        for key, _ in chain(self._urgent, self._queue):
            yield key
        if self._under_way is not None:
            for key, _, _ in self._under_way.records:
                yield key

    def due_ns(self) -> int | None:
        """Return when `next_batch` wants to be called again by itself."""
        return self._under_way.retry_at_ns if self._under_way else None

    def next_batch(self, shelf: Shelf, now_ns: int, *, may_seal_backup: bool) -> PeerBatch | None:
        """Return the next batch, if one may and should leave now."""
        if self._under_way:
            if now_ns < self._under_way.retry_at_ns:
                return None
            self._give_up(self._under_way)
        seals = (not self.handover_sealed, may_seal_backup and not self.backup_sealed)
        if not self._sessions and not self._urgent and not self._queue and not any(seals):
            return None
        return self._build(shelf, now_ns, *seals)

    def _give_up(self, under_way: _UnderWay) -> None:
        for key, part, _ in under_way.records:
            self.put(key, part, urgent=True)
        for ref, _ in under_way.sessions:
            self.put_session(ref)
        self._under_way = None
        # A slow peer answers late; asked anew each time, it would never be heard.
        self._patience_ms = min(self._patience_ms * 2, PEER_RETRY_MS_MAX)

    def _build(self, shelf: Shelf, now_ns: int, handover: bool, backup: bool) -> PeerBatch:  # noqa: FBT001 - two seals, named at the only caller
        sessions = self._take_sessions(shelf.sessions)
        records: list[tuple[str, Part, tuple[int, int]]] = []
        files: list[FileRecord] = []
        parts: dict[Part, list[LeaseRecord]] = {Part.REPLICA: [], Part.TRANSFER: []}
        room = FILE_ROWS_PER_BATCH
        for key, part in list(islice(chain(self._urgent, self._queue), PEER_BATCH_RECORDS_MAX)):
            item = shelf.item(key)
            if isinstance(item, RangeFile):
                record = item.record(now_ns, shelf.sessions, self._has.get(key), transfer=part is Part.TRANSFER)
                room -= item.rows() if record.whole else len(record.deltas)
                if room < 0 and records:
                    break  # the next batch has room for it
                files.append(record)
                records.append((key, part, item.order))
            elif item is not None:
                room -= ROWS_PER_PLACE * len(item.waiters)
                if room < 0 and records:
                    break
                records.append((key, part, item.order))
                parts[part].append(item.record(now_ns, served=shelf.vouches(item)))
            self._urgent.pop((key, part), None)
            self._queue.pop((key, part), None)
        handover = handover and not self._sessions and not self._waits(Part.TRANSFER)
        backup = backup and not self._sessions and not self._waits(Part.REPLICA)
        self._lsn += 1
        self._under_way = _UnderWay(
            self._lsn,
            [(session.ref, session.stamp) for session in sessions],
            records,
            handover,
            backup,
            now_ns + self._patience_ms * NS_PER_MS,
        )
        return PeerBatch(
            sender=self.me,
            receiver=self.peer,
            view=self.view,
            lsn=self._lsn,
            replicas=tuple(parts[Part.REPLICA]),
            transfers=tuple(parts[Part.TRANSFER]),
            seal=Seal(handover, backup, shelf.table.floor, shelf.informed) if handover or backup else None,
            sessions=tuple(session.record(now_ns) for session in sessions),
            files=tuple(files),
        )

    def _take_sessions(self, sessions: SessionTable) -> list[Session]:
        taken = list(islice(self._sessions, PEER_BATCH_RECORDS_MAX))
        for ref in taken:
            del self._sessions[ref]
        found = (sessions.get(ref) for ref in taken)
        return [session for session in found if session is not None]

    def _waits(self, part: Part) -> bool:
        return any(p is part for _, p in chain(self._urgent, self._queue))

    def acknowledge(self, ack: PeerAck, now_ns: int) -> list[Delivered | Told]:
        """Take the answer to the batch under way; older answers count nothing."""
        under_way = self._under_way
        if under_way is None or ack.lsn != under_way.lsn:
            return []
        if ack.status is not BatchStatus.OK or ack.view != self.view:
            under_way.retry_at_ns = now_ns + self._retry_ms * NS_PER_MS
            self._retry_ms = min(self._retry_ms * 2, PEER_RETRY_MS)
            return []
        self._under_way = None
        self._retry_ms = FIRST_RETRY_MS
        self._patience_ms = PEER_RETRY_MS
        self.handover_sealed |= under_way.handover_seal
        self.backup_sealed |= under_way.backup_seal
        outcomes = {Part.REPLICA: iter(ack.replicas), Part.TRANSFER: iter(ack.transfers)}
        of_files = iter(ack.files)
        # A short answer tells less.
        delivered: list[Delivered | Told] = [
            Told(ref, stamp, outcome) for (ref, stamp), outcome in zip(under_way.sessions, ack.sessions, strict=False)
        ]
        for key, part, order in under_way.records:
            outcome = next(of_files if is_file(key) else outcomes[part], None)
            if is_file(key):
                self._note_file(key, part, order, outcome)
            if outcome is Outcome.BEHIND:
                continue  # it goes out again, whole
            if outcome is not None:
                delivered.append(Delivered(key, part, order, outcome))
        return delivered

    def _note_file(self, key: str, part: Part, order: tuple[int, int], outcome: Outcome | None) -> None:
        """Remember which state of a file the peer has; where it lacks what was built on, tell it all."""
        if outcome is Outcome.ACCEPTED:
            self._has[key] = order
        else:
            self._has.pop(key, None)
        if outcome is Outcome.BEHIND:
            self.put(key, part, urgent=True)
