"""One named lock as one node knows it, and one place in its queue.

Elsewhere: the table, which alone changes them by its rules (leases).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.digest import lock_mark
from lockcore.core.limits import ANSWERS_KEPT
from lockcore.core.messages import Answered, LeaseRecord, SessionId, WaiterRecord

if TYPE_CHECKING:
    from lockcore.core.sessions import Session


@dataclass(slots=True)
class Waiter:
    """One place in a lock's queue; `until_ns` None: as long as its session lives."""

    session: Session
    op_id: int
    owner: str
    until_ns: int | None = None
    delay_ms: int = 0

    @property
    def id(self) -> tuple[SessionId, int]:
        """Names the operation that waits."""
        return self.session.ref, self.op_id

    def record(self, now_ns: int) -> WaiterRecord:
        """Return it as it travels."""
        remaining_ns = None if self.until_ns is None else max(0, self.until_ns - now_ns)
        session_ns = max(0, self.session.expires_ns - now_ns)
        return WaiterRecord(self.session.ref, session_ns, self.op_id, self.owner, remaining_ns, self.delay_ms)


@dataclass(slots=True)
class Lease:
    """One lock at one node.

    `serving`: this node acts as its primary (it granted, promoted or
    received it), until another has taken it over. `tenure`: the view in
    which it began to; seqs it gives are above. `renewals` counts here.
    `free_at_ns`: on a tombstone, when it may be granted again (lock-delay).
    """

    key: str
    position: int
    token: str
    owner: str
    generation: int
    seq: int
    expires_ns: int
    ttl_ms: int
    confirmed_seq: int = 0
    gone: bool = False
    serving: bool = False
    tenure: int = 0
    renewals: int = 0
    session: Session | None = None
    waiters: list[Waiter] = field(default_factory=list)
    answers: tuple[Answered, ...] = ()
    delay_ms: int = 0
    free_at_ns: int = 0
    _mark: int = 0

    @property
    def mark(self) -> int:
        """What stands for it in its session's digest; worked out once."""
        if not self._mark:
            self._mark = lock_mark(self.key, self.generation)
        return self._mark

    @property
    def order(self) -> tuple[int, int]:
        """Replicas are ordered by it (L3)."""
        return self.generation, self.seq

    def live(self, now_ns: int) -> bool:
        """Say whether somebody holds the lock."""
        return not self.gone and now_ns < self.ends_ns

    @property
    def ends_ns(self) -> int:
        """When it ends unless it is renewed."""
        return self.expires_ns if self.session is None else self.session.frees_ns

    def answered(self, session: SessionId, op_id: int) -> Answered | None:
        """Return what an operation was answered, if that is still known."""
        return next((a for a in self.answers if a.session == session and a.op_id == op_id), None)

    def op_id_of(self, session: SessionId) -> int:
        """Return which operation of a session got the lock as it is held, 0 where that is forgotten."""
        mine = (a for a in self.answers if a.session == session and a.generation == self.generation)
        return next((a.op_id for a in mine), 0)

    def note_answer(self, answer: Answered) -> None:
        """Remember an answer for its repetition; the oldest is forgotten."""
        self.answers = (answer, *self.answers)[:ANSWERS_KEPT]

    def record(self, now_ns: int, *, served: bool = False) -> LeaseRecord:
        """Return it as it travels; `served`: by its primary until now, and no copy."""
        return LeaseRecord(
            key=self.key,
            token=self.token,
            owner=self.owner,
            generation=self.generation,
            seq=self.seq,
            remaining_ns=max(0, self._counts_to_ns() - now_ns),
            ttl_ms=self.ttl_ms,
            confirmed_seq=self.confirmed_seq,
            gone=self.gone,
            session=None if self.session is None else self.session.ref,
            waiters=tuple(w.record(now_ns) for w in self.waiters),
            answers=self.answers,
            delay_ms=self.delay_ms,
            delay_ns=max(0, self.free_at_ns - now_ns),
            served=served,
        )

    def _counts_to_ns(self) -> int:
        return self.expires_ns if self.session is None or self.gone else self.session.expires_ns
