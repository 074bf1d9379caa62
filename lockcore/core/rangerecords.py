"""The words of byte-range locks: owners, rows, waiters, results, and the records that replicas exchange.

Frozen, without behaviour beyond arithmetic. Offsets are bytes; `end` is
inclusive and OFFSET_MAX means "to the end of the file", as in the kernel.

Elsewhere: the rules (ranges), moving between sessions (rangemigrate).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

OFFSET_MAX: Final = 2**63 - 1
"""The kernel's largest loff_t; a lock with length 0 ends here."""


class Kind(StrEnum):
    """What a lock lets others do: READ locks share, a WRITE lock excludes."""

    READ = "read"
    WRITE = "write"


class Errno(StrEnum):
    """Why a request was refused, by the kernel's names where it has one."""

    EAGAIN = "EAGAIN"  # another owner is in the way
    EDEADLK = "EDEADLK"  # waiting would close a circle of waiters
    EINVAL = "EINVAL"  # the request itself is wrong
    EOVERFLOW = "EOVERFLOW"  # the range ends beyond OFFSET_MAX
    ENOLCK = "ENOLCK"  # the key has all the rows it may have
    EBUSY = "EBUSY"  # the key has all the waiters it may have
    ETIMEDOUT = "ETIMEDOUT"  # a waiter's deadline has passed
    EINTR = "EINTR"  # the waiter left, or its owner or session went


class Owner(NamedTuple):
    """Who holds or waits: locks of one owner never conflict with each other.

    A tuple and not a dataclass: owners are compared in every search of the
    table, and tuples compare in C.
    """

    session: str
    incarnation: int
    lock_owner: str


class Span(NamedTuple):
    """Bytes `start` to `end`, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """As l_len: 0 where it runs to the end of the file."""
        return 0 if self.end == OFFSET_MAX else self.end - self.start + 1


@dataclass(frozen=True, slots=True)
class Want:
    """What a caller asks to lock.

    Attributes:
        owner: its locks split, merge, and change their kind in place.
        kind: READ or WRITE.
        start: l_start, bytes from the file's start (SEEK_SET).
        length: l_len, bytes; 0 is to the end, negative the bytes before `start`.
        fair: pass no earlier conflicting waiter, and be passed by none.
    """

    owner: Owner
    kind: Kind
    start: int
    length: int
    fair: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One held piece. Rows of one owner never overlap, and touch only where their kinds differ.

    `fence`: the generation at which the newest part of it was acquired. It
    is above that of every conflicting row that was ever granted before.
    """

    owner: Owner
    kind: Kind
    start: int
    end: int
    fence: int

    @property
    def length(self) -> int:
        """As l_len: 0 where it runs to the end of the file."""
        return Span(self.start, self.end).length


@dataclass(frozen=True, slots=True)
class Waiter:
    """One request in the queue. Its `ticket` is its place: lower ones came first.

    `operation` names it to the client; `deadline_ns` is on this node's clock.
    """

    ticket: int
    operation: str
    owner: Owner
    kind: Kind
    start: int
    end: int
    fair: bool = False
    deadline_ns: int | None = None

    def record(self, now_ns: int) -> WaiterRecord:
        """Return it as it travels: with the time that remains, for clocks differ."""
        left_ns = None if self.deadline_ns is None else max(0, self.deadline_ns - now_ns)
        return WaiterRecord(
            self.ticket, self.operation, self.owner, self.kind, self.start, self.end, self.fair, left_ns
        )


@dataclass(frozen=True, slots=True)
class WaiterRecord:
    """A waiter on its way to a replica. `remaining_ns`: None waits for ever."""

    ticket: int
    operation: str
    owner: Owner
    kind: Kind
    start: int
    end: int
    fair: bool
    remaining_ns: int | None

    def waiter(self, now_ns: int) -> Waiter:
        """Return it as it waits here."""
        deadline_ns = None if self.remaining_ns is None else now_ns + self.remaining_ns
        return Waiter(self.ticket, self.operation, self.owner, self.kind, self.start, self.end, self.fair, deadline_ns)


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """A key's whole table: rows by (start, owner), waiters by ticket."""

    rows: tuple[Row, ...] = ()
    waiters: tuple[WaiterRecord, ...] = ()
    floor: int = 0
    next_ticket: int = 1


@dataclass(frozen=True, slots=True)
class Delta:
    """What one operation changed, net: apply it to the record before and the record after results.

    `queued` holds new waiters and those whose owner changed (same ticket);
    `dequeued` the tickets that left. `floor` and `next_ticket` are as after.
    """

    removed: tuple[Row, ...] = ()
    added: tuple[Row, ...] = ()
    queued: tuple[WaiterRecord, ...] = ()
    dequeued: tuple[int, ...] = ()
    floor: int = 0
    next_ticket: int = 1

    def __bool__(self) -> bool:
        """Say whether anything changed."""
        return bool(self.removed or self.added or self.queued or self.dequeued)


# --- results -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Locked:
    """Held now. `row`: the piece that covers the whole request, merged with its neighbours."""

    row: Row


@dataclass(frozen=True, slots=True)
class Waiting:
    """In the queue; a `Push` with the same operation follows."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Unlocked:
    """Not held any more, or never was."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What getlk found: of all rows in the way, the one with the lowest start (then the lowest owner)."""

    row: Row


@dataclass(frozen=True, slots=True)
class Free:
    """What getlk found: nothing held is in the way (F_UNLCK)."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Refused; the table is as it was. `row`: the one in the way with the lowest start, for EAGAIN."""

    error: Errno
    text: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class Migrated:
    """Held without a break. `moved`: the pieces as they moved; `acquired`: gaps newly taken (only if asked)."""

    moved: tuple[Row, ...]
    acquired: tuple[Span, ...]
    waiters: int


@dataclass(frozen=True, slots=True)
class Acquired:
    """The old session held nothing here; newly got, as by setlk."""

    row: Row
    waiters: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The old session held nothing here, and only what it held was wanted. Nothing changed."""


@dataclass(frozen=True, slots=True)
class NothingHeld:
    """The old session held nothing here, and no kind or lock-owner was named to acquire. Its waiters have moved."""

    waiters: int


Result = Locked | Waiting | Unlocked | Denied | Migrated | Acquired | Lost | NothingHeld


@dataclass(frozen=True, slots=True)
class Push:
    """The end of a wait, to be told to the waiter's client: `Locked` or `Denied`."""

    waiter: Waiter
    result: Locked | Denied


@dataclass(frozen=True, slots=True)
class Step:
    """What one operation did: the answer to its caller, the change to replicate, the waits that it ended, in order.

    Where `result` is `Denied` or `Lost`, `delta` is empty and `pushes` is ().
    """

    result: Result
    delta: Delta
    pushes: tuple[Push, ...] = ()


@dataclass(frozen=True, slots=True)
class Migrate:
    """Move what an old session holds to a new one (SETLK_MIGRATE).

    Args:
        source, source_incarnation: the old session; `target...`: the new.
        lock_owner: only this lock-owner's; None: all of the session's.
        start, length: as in fcntl(2); (0, 0) is everything.
        kind: what the pieces must be, and what is acquired; None: any.
        acquire_gaps: also take what nobody held in the range, or nothing
            moves. Needs `kind` and `lock_owner`.
        require_held: where nothing is held, take nothing and answer `Lost`.
        fair: what is newly acquired passes no earlier waiter.
    """

    source: str
    source_incarnation: int
    target: str
    target_incarnation: int
    lock_owner: str | None = None
    start: int = 0
    length: int = 0
    kind: Kind | None = None
    acquire_gaps: bool = False
    require_held: bool = False
    fair: bool = False
