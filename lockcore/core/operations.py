"""What clients ask of a lock, and what they are answered.

Elsewhere: how it travels (messages, wire), who decides (serving, queueing,
keeping), sessions (sessions).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from lockcore.core.digest import Digest
    from lockcore.core.rangerecords import Errno, Kind

# --- sessions ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class SessionId:
    """One life of a session; opened again after a loss it has a new incarnation."""

    id: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class SessionProof:
    """What a client shows to act in a session. The secret is never logged."""

    id: str
    incarnation: int
    secret: str

    @property
    def ref(self) -> SessionId:
        """The identity without the secret."""
        return SessionId(self.id, self.incarnation)

    def __repr__(self) -> str:
        return f"SessionProof({self.id!r}, {self.incarnation})"


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Begin a session of `ttl_ms`. `label` is shown to people.

    `again`: one that was lost, or is to be taken over; the new one has its id
    and the next incarnation.
    """

    key: ClassVar[str] = ""
    label: str
    ttl_ms: int
    again: SessionProof | None = None


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Extend everything that the session holds, at every node.

    `ttl_ms` and `label` as it was opened: after a double failure a node that
    knows nothing of it takes it in again. `healed`: the view in which nothing
    is left that its client has to re-assert.
    """

    key: ClassVar[str] = ""
    session: SessionProof
    ttl_ms: int
    label: str = ""
    healed: int = 0


@dataclass(frozen=True, slots=True)
class EndSession:
    """Release everything that the session holds, and leave all its queues."""

    key: ClassVar[str] = ""
    session: SessionProof


SessionOperation = OpenSession | KeepAlive | EndSession

# --- operations: what a client asks ------------------------------------------


@dataclass(frozen=True, slots=True)
class Lock:
    """Acquire (empty token) or renew (the token of the last grant).

    In a session the lock lives as long as the session does; `ttl_ms` then
    counts nothing. `op_id` names the acquisition among the session's: asked
    again it is answered, not done twice. `wait_ms`: how long to queue behind
    others, 0 not at all, None as long as the session lives. `delay_ms`: how
    long nobody gets the lock after it was lost by expiry.
    """

    key: str
    ttl_ms: int
    owner: str
    token: str = ""
    session: SessionProof | None = None
    op_id: int = 0
    wait_ms: int | None = 0
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Unlock:
    """Release what the token, or the session, proves to be held.

    In a session `op_id` is that of the acquisition which is wanted no longer,
    held or still waiting; 0: whatever the session holds on the key.
    """

    key: str
    token: str
    session: SessionProof | None = None
    op_id: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """Take over what another session holds on a key, and its places in the queue.

    If it holds nothing: acquire as `Lock` does, or, with `require_held`,
    refuse. The answer says which it was.
    """

    key: str
    owner: str
    session: SessionProof
    op_id: int
    old: SessionProof
    require_held: bool = False


# Byte ranges: `start` and `length` as in fcntl(2), bytes from the file's start.


@dataclass(frozen=True, slots=True)
class SetRange:
    """Lock a range (F_SETLK), or wait for it (F_SETLKW) with a `wait_ms` other than 0.

    `wait_ms` None: as long as the session lives. `held_fence`: it was held
    under this fence, and its nodes have lost it (healing).
    """

    key: str
    session: SessionProof
    op_id: int
    lock_owner: str
    kind: Kind
    start: int
    length: int
    wait_ms: int | None = 0
    fair: bool = False
    held_fence: int = 0


@dataclass(frozen=True, slots=True)
class ClearRange:
    """Unlock a range (F_UNLCK), held or not; or give up the waiting operation `wanted`."""

    key: str
    session: SessionProof
    op_id: int
    lock_owner: str
    start: int = 0
    length: int = 0
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class FindConflict:
    """Ask what stands in the way of a lock (F_GETLK)."""

    key: str
    session: SessionProof
    lock_owner: str
    kind: Kind
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class MoveRanges:
    """Take over what another session holds in a range (SETLK_MIGRATE), with its places in the queue.

    `lock_owner` None: of all its lock-owners. `kind` None: whatever it is.
    `gaps`: also what nobody holds there, all or nothing.
    """

    key: str
    session: SessionProof
    op_id: int
    old: SessionProof
    lock_owner: str | None = None
    start: int = 0
    length: int = 0
    kind: Kind | None = None
    gaps: bool = False
    require_held: bool = False
    fair: bool = False


RangeOperation = SetRange | ClearRange | FindConflict | MoveRanges


@dataclass(frozen=True, slots=True)
class ListHeld:
    """Ask one node what a session holds and waits for where that node is primary."""

    key: ClassVar[str] = ""
    session: SessionProof


@dataclass(frozen=True, slots=True)
class FindOwner:
    """Ask who holds a key; with `known` (a generation, 0 for nobody) not before that has changed."""

    key: str
    known: int | None = None


@dataclass(frozen=True, slots=True)
class ForceRelease:
    """An operator ends somebody's hold of a lock: of one generation. The holder finds out at its next renewal."""

    key: str
    generation: int
    reason: str


KeyOperation = Lock | Unlock | FindOwner | Move | RangeOperation
Operation = KeyOperation | SessionOperation | ListHeld | ForceRelease


# --- results -------------------------------------------------------------------


class Code(StrEnum):
    """Why a request was refused. The text beside it is for people."""

    HELD = "held"  # somebody else holds it; `owner` says who
    TOKEN_MISMATCH = "token_mismatch"  # noqa: S105 - a code, no secret
    TOKEN_ON_NEW = "token_on_new"  # noqa: S105 - a code, no secret
    TOKEN_ON_EXPIRED = "token_on_expired"  # noqa: S105 - a code, no secret
    NOT_FOUND = "not_found"  # unlock or find: nobody holds it
    INVALID = "invalid"  # the request itself is wrong; do not retry
    HANDOFF = "handoff"  # the range is being handed over: retry soon
    RECOVERING = "recovering"  # grace after a double failure: retry later
    NOT_SERVING = "not_serving"  # this node has no right to serve: try another
    NOT_PRIMARY = "not_primary"  # forwarded to a node that is not the primary
    MOVED = "moved"  # ask `moved_to`, with the same token
    TIMEOUT = "timeout"  # the outcome is unknown
    OVERLOADED = "overloaded"
    SESSION_LOST = "session_lost"  # the session has ended: open another
    WAITING = "waiting"  # it still has its place in the queue: ask again with the same op_id
    NOT_HELD = "not_held"  # a migration that required something to be held


_AGAIN_ELSEWHERE = frozenset({Code.NOT_SERVING, Code.NOT_PRIMARY, Code.MOVED})
RETRYABLE = _AGAIN_ELSEWHERE | {Code.HANDOFF, Code.RECOVERING, Code.TIMEOUT, Code.OVERLOADED, Code.WAITING}
"""Refusals that say nothing about who holds the lock."""


class How(StrEnum):
    """What a grant was: the two are never confused (SETLK_MIGRATE)."""

    ACQUIRED = "acquired"
    MIGRATED = "migrated"  # held without a break, by another session before


@dataclass(frozen=True, slots=True)
class Granted:
    """Acquired or renewed. `moved_to` is set where another node is primary."""

    token: str
    owner: str
    generation: int
    seq: int
    ttl_ms: int
    moved_to: str = ""
    how: How = How.ACQUIRED


@dataclass(frozen=True, slots=True)
class SessionIs:
    """A session was opened or extended: it ends `ttl_ms` after the request was sent, at the earliest.

    `held`: what it holds where the answering node is primary, in a settled view.
    """

    moved_to: ClassVar[str] = ""
    session: SessionProof
    ttl_ms: int
    held: Digest | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Everything of the session is released."""

    moved_to: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The lock is free."""

    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class HeldRange:
    """One held piece of a file, as people and programs see it. `length` 0: to the end."""

    session: str
    label: str
    lock_owner: str
    kind: Kind
    start: int
    length: int
    fence: int


@dataclass(frozen=True, slots=True)
class RangeLocked:
    """Held: `pieces` are those that now cover what was asked for. `session` holds them (the RFC wants it told)."""

    session: str
    pieces: tuple[HeldRange, ...]
    how: How = How.ACQUIRED
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class RangeFree:
    """Nothing stands in the way."""

    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class RangeDenied:
    """Refused with the kernel's error name; the table is as it was. `conflict`: who is in the way."""

    error: Errno
    text: str
    conflict: HeldRange | None = None
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class RangeConflict:
    """What stands in the way: of all such pieces the one with the lowest start."""

    piece: HeldRange
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a session holds at a node that is primary of it: names with generations, and pieces by key."""

    moved_to: ClassVar[str] = ""
    locks: tuple[tuple[str, int], ...]
    ranges: tuple[tuple[str, HeldRange], ...]
    view: int = 0  # of which it is all that the node has; 0: the ring is changing
    op_ids: tuple[int, ...] = ()  # for each name the operation that got it; 0: forgotten


RangeResult = RangeLocked | RangeFree | RangeDenied | RangeConflict


@dataclass(frozen=True, slots=True)
class OwnerIs:
    """Who holds the key, and its fencing token."""

    owner: str
    generation: int
    remaining_ms: int
    moved_to: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing changed, or (TIMEOUT) nobody knows."""

    code: Code
    text: str
    owner: str = ""
    moved_to: str = ""


Result = Granted | Released | OwnerIs | Refused | SessionIs | SessionEnded | RangeResult | Holdings
