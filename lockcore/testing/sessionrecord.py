"""What is written down of clients that work in sessions.

Plain data, as in record: times are nanoseconds of one clock that all share.
An operation may be asked several times, at several nodes, under one id: each
`Attempt` has its own answer, and the client acts on the first that settles it.

Elsewhere: who writes it (sessionclients), the rules (sessionhistory, rangehistory).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from lockcore.core.messages import Code, Granted, RangeLocked, Refused
from lockcore.core.ring import position_of

if TYPE_CHECKING:
    from lockcore.core.messages import How, Operation, Result, SessionId, SessionProof
    from lockcore.core.rangerecords import Kind
    from lockcore.core.region import Region

NEVER_NS: Final = 1 << 63


class Asked(StrEnum):
    """What a session asked for."""

    LOCK = "lock"
    UNLOCK = "unlock"
    MOVE = "move"
    SET = "set"
    CLEAR = "clear"
    LEAVE = "leave"  # gives up the wait `wanted`
    MIGRATE = "migrate"


@dataclass(slots=True, eq=False)
class Attempt:
    """One message and its answer, if one came."""

    sent_ns: int
    node: str
    returned_ns: int = NEVER_NS
    result: Result | None = None

    def __repr__(self) -> str:
        return f"{self.sent_ns}@{self.node}-{self.returned_ns if self.result else '...'}:{self.result}"


@dataclass(slots=True, eq=False)
class Life:
    """One session as its client knows it.

    `until_ns`: how long it may believe in it, by the keep-alives that were
    answered; `lost_ns`: when it was first told that it is over.
    """

    client: str
    proof: SessionProof
    ttl_ms: int
    begin_ns: int
    until_ns: int
    end_asked_ns: int = NEVER_NS
    end_told_ns: int = NEVER_NS
    lost_ns: int = NEVER_NS
    lost_by: str = ""
    frozen: bool = False
    silent: bool = False

    @property
    def ref(self) -> SessionId:
        """Which session it is."""
        return self.proof.ref

    @property
    def over_ns(self) -> int:
        """When its client stops to believe in it."""
        return min(self.until_ns, self.end_asked_ns, self.lost_ns)

    def alive(self, now_ns: int) -> bool:
        """Say whether its client believes in it."""
        return now_ns < self.over_ns


@dataclass(slots=True, eq=False)
class Deal:
    """One operation of a session and what became of it.

    `done_ns`, `result`: the answer that the client acted on. `first`, `last`:
    the bytes it is about, both included. `wanted`: of an UNLOCK or a LEAVE,
    the operation that is given up. `place`: whose place in the queue this
    session took over with it, if any.
    """

    life: Life
    op_id: int
    did: Asked
    key: str
    message: Operation
    invoked_ns: int
    wait_ms: int | None = 0
    wanted: int = 0
    old: Life | None = None
    lock_owner: str | None = ""
    kind: Kind | None = None
    first: int = 0
    last: int = 0
    fair: bool = False
    place: Deal | None = None
    attempts: list[Attempt] = field(default_factory=list)
    done_ns: int = NEVER_NS
    result: Result | None = None
    abandoned: bool = False

    @property
    def moved(self) -> bool:
        """Say whether another session had asked for it before."""
        return self.place is not None

    def is_settled(self) -> bool:
        """Say whether its client has an answer that it acts on."""
        return self.result is not None

    @property
    def ok(self) -> bool:
        """Say whether its client was told that it has what it asked for."""
        return self.result is not None and not isinstance(self.result, Refused)

    @property
    def waiting_ns(self) -> int:
        """When its client was first told that it has a place in the queue."""
        told = [a.returned_ns for a in self.attempts if isinstance(a.result, Refused) and a.result.code is Code.WAITING]
        return min(told, default=NEVER_NS)

    @property
    def number(self) -> int:
        """The generation or the newest fence that it was granted, 0 for none."""
        return number_of(self.result)

    @property
    def how(self) -> How | None:
        """What the grant was, if it was one."""
        return self.result.how if isinstance(self.result, Granted | RangeLocked) else None

    def __repr__(self) -> str:
        life, what = self.life.ref, f"{self.did} {self.key} op {self.op_id} wanted {self.wanted}"
        span = f" {self.kind} {self.lock_owner} {self.first}..{self.last}" if self.lock_owner or self.kind else ""
        old = f" from {self.old.ref.id}" if self.old else ""
        attempts = "".join(f"\n          {a}" for a in self.attempts)
        who = f"{life.id}/{life.incarnation} {self.life.client}"
        return f"{who}: {what}{span}{old} at {self.invoked_ns}, done {self.done_ns}{attempts}"


def number_of(result: object) -> int:
    """Return the generation or the newest fence of an answer."""
    match result:
        case Granted():
            return result.generation
        case RangeLocked() if result.pieces:
            return max(piece.fence for piece in result.pieces)
        case _:
            return 0


@dataclass(slots=True)
class SessionHistory:
    """All that sessions did.

    `losses`: where acknowledged state may have died, and when. `forgotten`:
    the master forgot whom it had put out of the ring. `emptied_ns`: when the
    last node left, and with it the sessions that held nothing. `circles`:
    when which session's wait for a key was refused as a part of one (by facts:
    after a failover its client may not be there to be told).
    """

    margin: float = 0.02
    lives: list[Life] = field(default_factory=list)
    deals: list[Deal] = field(default_factory=list)
    losses: list[tuple[int, Region]] = field(default_factory=list)
    forgotten: bool = False
    emptied_ns: int = NEVER_NS
    circles: list[tuple[int, str, str]] = field(default_factory=list)

    def lost(self, key: str, before_ns: int) -> bool:
        """Say whether what was known of a key may have died before a time."""
        return any(at_ns <= before_ns and position_of(key) in region for at_ns, region in self.losses)

    def refused_ns(self, deal: Deal) -> int:
        """When a wait may have been refused as a part of a circle."""
        about = deal.life.ref.id, deal.key
        return min((at for at, *who in self.circles if tuple(who) == about and at >= deal.invoked_ns), default=NEVER_NS)

    def loss_ns(self, key: str, after_ns: int) -> int:
        """When what was known of a key may first have died after a time: these programs re-assert nothing."""
        found = (at_ns for at_ns, region in self.losses if at_ns >= after_ns and position_of(key) in region)
        return min(found, default=NEVER_NS)

    def any_lost(self, before_ns: int) -> bool:
        """Say whether anything may have been lost before a time."""
        return self.forgotten or any(at_ns <= before_ns for at_ns, _ in self.losses)
