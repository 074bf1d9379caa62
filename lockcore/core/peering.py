"""What nodes say to each other: locks in batches, and requests on their one hop.

Elsewhere: what a receiver does with them (inbox), their bytes (wire).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from lockcore.core.operations import How

if TYPE_CHECKING:
    from lockcore.core.operations import KeyOperation, RangeLocked, Released, Result, SessionId
    from lockcore.core.rangerecords import Delta, RangeRecord
    from lockcore.core.view import MemberId

PROBE_LSN: Final = 0
"""Number of a batch without content that only asks whether anybody is there."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session as it travels. `ended`: its client has ended it. `healed`: as of a KeepAlive."""

    ref: SessionId
    remaining_ns: int
    ttl_ms: int
    label: str
    ended: bool = False
    healed: int = 0


@dataclass(frozen=True, slots=True)
class WaiterRecord:
    """One place in a queue. `remaining_ns` None: as long as its session lives, so far `session_ns`."""

    session: SessionId
    session_ns: int
    op_id: int
    owner: str
    remaining_ns: int | None = None
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What an operation of a session was answered, for its repetition.

    `generation` 0: a release.
    """

    session: SessionId
    op_id: int
    generation: int
    how: How = How.ACQUIRED


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lock as it travels: time as what remains, never as a date.

    `gone` marks a tombstone: released or expired, kept so that a late
    message cannot bring the lock back. `confirmed_seq` is the newest seq
    whose token the holder has shown. `delay_ns`: how long nobody gets the
    lock yet. `served`: by the sender, as its primary; else this is a copy.
    """

    key: str
    token: str
    owner: str
    generation: int
    seq: int
    remaining_ns: int
    ttl_ms: int
    confirmed_seq: int = 0
    gone: bool = False
    session: SessionId | None = None
    waiters: tuple[WaiterRecord, ...] = ()
    answers: tuple[Answered, ...] = ()
    delay_ms: int = 0
    delay_ns: int = 0
    served: bool = False


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """What a range operation of a session was answered, for its repetition."""

    session: SessionId
    op_id: int
    result: RangeLocked | Released


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The byte ranges of one key as they travel: all of them, or what changed since `base`.

    `transfer`: the receiver is to be the key's primary, else its backup.
    `sessions`: the remaining lease of each session named, ns. `answers`:
    those since `base`.
    """

    key: str
    transfer: bool
    generation: int
    seq: int
    whole: RangeRecord | None = None
    base: tuple[int, int] | None = None
    deltas: tuple[Delta, ...] = ()
    sessions: tuple[tuple[SessionId, int], ...] = ()
    answers: tuple[FileAnswer, ...] = ()


@dataclass(frozen=True, slots=True)
class Seal:
    """The sender's promise that nothing is left to send.

    `handover`: you have all of mine that you are primary for. `backup`: you
    have a copy of all that I am primary and you are backup for. `floor` is
    the highest generation the sender has seen. `informed`: it knows every
    session that lives.
    """

    handover: bool
    backup: bool
    floor: int
    informed: bool = False


@dataclass(frozen=True, slots=True)
class PeerBatch:
    """Locks for another node, in one numbered message.

    `lsn` rises with each message from one sender incarnation to one
    receiver incarnation within a view: older ones are dropped, so neither a
    duplicate nor a reordered message is ever applied late. The number 0 is a
    probe: it carries nothing and is always answered.
    """

    sender: MemberId
    receiver: MemberId
    view: int
    lsn: int
    replicas: tuple[LeaseRecord, ...] = ()
    transfers: tuple[LeaseRecord, ...] = ()
    seal: Seal | None = None
    sessions: tuple[SessionRecord, ...] = ()
    files: tuple[FileRecord, ...] = ()


class Outcome(StrEnum):
    """What a receiver did with one record."""

    ACCEPTED = "accepted"
    STALE = "stale"  # it has something newer
    BEHIND = "behind"  # it lacks what the changes build on: send all


class BatchStatus(StrEnum):
    """What a receiver did with a batch as a whole."""

    OK = "ok"
    WRONG_VIEW = "wrong_view"  # `view` of the answer says which it is in
    NOT_SERVING = "not_serving"  # no node lease


@dataclass(frozen=True, slots=True)
class PeerAck:
    """Answer to the batch `lsn`; outcomes in the order of its records."""

    sender: MemberId
    receiver: MemberId
    view: int
    lsn: int
    status: BatchStatus
    replicas: tuple[Outcome, ...] = ()
    transfers: tuple[Outcome, ...] = ()
    floor: int = 0
    sessions: tuple[Outcome, ...] = ()
    files: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """A request on its one hop to the primary.

    `again`: an unlock that the sender, who was the primary, has carried out
    and handed over: to be answered once the pair knows of it.
    """

    sender: MemberId
    forward_id: int
    operation: KeyOperation
    timeout_ms: int
    may_park: bool
    again: bool = False


@dataclass(frozen=True, slots=True)
class ForwardReply:
    """The primary's answer to a Forward."""

    sender: MemberId
    forward_id: int
    result: Result


PeerMessage = PeerBatch | PeerAck | Forward | ForwardReply
