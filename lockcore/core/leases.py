"""Lease table: what one node knows of each lock, as primary or as copy.

Pure: time arrives as an argument, consequences leave as return values. The
table does not know who else has a copy, nor whether this node may serve.

A lock's state is one `Lease`, with its queue. Released and expired locks stay
a while as tombstones (`gone`), so that a late message cannot bring them back.
A lock of a session lives as long as the session excludes others.

Invariants
  L1  A key has at most one live lease.
  L2  Generations strictly increase per key: generation = ++floor, and the
      floor is raised by every generation the node ever sees.
  L3  States are ordered by (generation, seq); an older one never replaces a
      newer one, nor an equal one.
  L4  A token of the lease's generation is good if its holder has not shown a
      newer one: a reply that got lost does not cost the lock.
  L5  Each session knows the keys it holds or waits for here: none is left
      behind when it ends.
Elsewhere: request rules (requests), replication (outbox), roles (node),
places in the queue (queueing).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from lockcore.core.limits import ANSWERS_KEPT, NS_PER_MS, TOMBSTONE_MARGIN_MS
from lockcore.core.messages import Answered, Instant, LeaseRecord, Outcome, SessionId, WaiterRecord
from lockcore.core.ring import position_of
from lockcore.core.sessions import SessionTable
from lockcore.core.tokens import TokenClaims, TokenMint

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def note_answer(self, answer: Answered) -> None:
        """Remember an answer for its repetition; the oldest is forgotten."""
        self.answers = (answer, *self.answers)[:ANSWERS_KEPT]

    def record(self, now_ns: int) -> LeaseRecord:
        """Return it as it travels."""
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
        )

    def _counts_to_ns(self) -> int:
        return self.expires_ns if self.session is None or self.gone else self.session.expires_ns


class LeaseTable:
    """All locks one node knows."""

    def __init__(self, mint: TokenMint, sessions: SessionTable | None = None) -> None:
        """Start empty."""
        self.mint = mint
        self.sessions = sessions or SessionTable()
        self.floor = 0
        self._leases: dict[str, Lease] = {}
        self._deadlines: list[tuple[int, str, int, int]] = []
        self._sessions_of: dict[str, list[Session]] = {}

    def __len__(self) -> int:
        """Return how many keys are known, tombstones included."""
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a snapshot: the caller may change the table."""
        return iter(list(self._leases.values()))

    def get(self, key: str) -> Lease | None:
        """Return what is known of a key."""
        return self._leases.get(key)

    def with_sessions(self) -> list[Lease]:
        """Return the locks that sessions hold or wait for."""
        return [self._leases[key] for key in self._sessions_of]

    def raise_floor(self, generation: int) -> None:
        """Never grant this generation, nor one below it (L2)."""
        self.floor = max(self.floor, generation)

    # --- what a primary does -------------------------------------------------

    def grant(  # noqa: PLR0913, PLR0917 - what a lease is made of
        self, key: str, owner: str, ttl_ms: int, now: Instant, tenure: int, session: Session | None = None
    ) -> Lease:
        """Make a new lease. The caller has made sure that nobody holds it.

        Its queue and its answers are those of the key before.
        """
        self.floor += 1
        before = self._leases.get(key)
        lease = Lease(
            key=key,
            position=position_of(key),
            token="",
            owner=owner,
            generation=self.floor,
            seq=1,
            expires_ns=now.boot_ns + ttl_ms * NS_PER_MS,
            ttl_ms=ttl_ms,
            serving=True,
            tenure=tenure,
            session=session,
            waiters=before.waiters if before else [],
            answers=before.answers if before else (),
        )
        lease.token = self._token(lease, now)
        self._put(lease)
        return lease

    def touch(self, lease: Lease) -> None:
        """Say that something else than the holding has changed: its queue."""
        lease.seq = self._next_seq(lease)
        self._put(lease)

    def hold(self, lease: Lease, session: Session) -> None:
        """Give a held lock to another session: same generation, next seq."""
        lease.session = session
        self.touch(lease)

    def restore(self, record: LeaseRecord, now_ns: int) -> None:
        """Put back what a key was before a change that is taken back, as a copy."""
        self._put(self._from(record, now_ns))

    def renew(self, lease: Lease, ttl_ms: int, shown_seq: int, now: Instant) -> None:
        """Extend a live lease: new token, same generation, next seq."""
        lease.seq = self._next_seq(lease)
        lease.confirmed_seq = max(lease.confirmed_seq, shown_seq)
        # Never shorten below what an earlier, unconfirmed reply may promise.
        lease.expires_ns = max(lease.expires_ns, now.boot_ns + ttl_ms * NS_PER_MS)
        lease.ttl_ms = ttl_ms
        lease.renewals += 1
        lease.token = self._token(lease, now)
        self._watch(lease)

    def release(self, lease: Lease) -> None:
        """Turn a lease into a tombstone."""
        lease.seq = self._next_seq(lease)
        lease.expires_ns = max(lease.expires_ns, lease.ends_ns)
        lease.gone = True
        lease.session = None
        self._put(lease)

    def readmit(  # noqa: PLR0913, PLR0917 - what a lease is made of
        self, key: str, claims: TokenClaims, ttl_ms: int, now: Instant, tenure: int, session: Session | None = None
    ) -> Lease:
        """Restore a lease from its holder's token, in a grace period."""
        self.raise_floor(claims.generation)
        lease = Lease(
            key=key,
            position=position_of(key),
            token="",
            owner=claims.owner,
            generation=claims.generation,
            seq=max(claims.seq + 1, tenure),
            expires_ns=now.boot_ns + ttl_ms * NS_PER_MS,
            ttl_ms=ttl_ms,
            confirmed_seq=claims.seq,
            serving=True,
            tenure=tenure,
            session=session,
        )
        lease.token = self._token(lease, now)
        self._put(lease)
        return lease

    def accepts(self, lease: Lease, token: str) -> int | None:
        """Return the seq that a good token proves (L4), or None."""
        if token == lease.token:
            return lease.seq
        claims = self.mint.read(lease.key, token)
        if claims is None or claims.generation != lease.generation:
            return None
        return claims.seq if lease.confirmed_seq <= claims.seq <= lease.seq else None

    # --- what a copy does -------------------------------------------------------

    def merge(self, record: LeaseRecord, now_ns: int) -> Outcome:
        """Take over a state that is newer than ours (L3), or refuse it."""
        self.raise_floor(record.generation)
        known = self._leases.get(record.key)
        if known and known.order >= (record.generation, record.seq):
            same = known.order == (record.generation, record.seq) and known.token == record.token
            return Outcome.ACCEPTED if same and known.gone == record.gone else Outcome.STALE
        self._put(self._from(record, now_ns))
        return Outcome.ACCEPTED

    def _from(self, record: LeaseRecord, now_ns: int) -> Lease:
        learn = self.sessions.learn
        return Lease(
            key=record.key,
            position=position_of(record.key),
            token=record.token,
            owner=record.owner,
            generation=record.generation,
            seq=record.seq,
            expires_ns=now_ns + record.remaining_ns,
            ttl_ms=record.ttl_ms,
            confirmed_seq=record.confirmed_seq,
            gone=record.gone,
            session=None if record.session is None else learn(record.session, record.remaining_ns, now_ns),
            waiters=[
                Waiter(
                    session=learn(w.session, w.session_ns, now_ns),
                    op_id=w.op_id,
                    owner=w.owner,
                    until_ns=None if w.remaining_ns is None else now_ns + w.remaining_ns,
                    delay_ms=w.delay_ms,
                )
                for w in record.waiters
            ],
            answers=record.answers,
            delay_ms=record.delay_ms,
            free_at_ns=now_ns + record.delay_ns if record.delay_ns else 0,
        )

    def drop(self, key: str) -> None:
        """Forget a key."""
        lease = self._leases.pop(key, None)
        if lease is not None:
            self._leave_index(key)

    # --- time ---------------------------------------------------------------------

    def next_deadline_ns(self) -> int | None:
        """Return when `expire` has something to do."""
        return self._deadlines[0][0] if self._deadlines else None

    def expire(self, now_ns: int) -> list[Lease]:
        """Return copies of the leases that ended; they are tombstones now."""
        ended: list[Lease] = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            _, key, generation, seq = heappop(self._deadlines)
            lease = self._leases.get(key)
            if lease is None or lease.order != (generation, seq):
                continue
            if lease.gone:
                if now_ns >= lease.expires_ns + TOMBSTONE_MARGIN_MS * NS_PER_MS:
                    if not lease.waiters:
                        self.drop(key)
                        continue
                    lease.expires_ns = now_ns  # kept for its queue; looked at again later
            elif now_ns >= lease.expires_ns:
                ended.append(replace(lease))
                lease.gone = True
                lease.free_at_ns = lease.expires_ns + lease.delay_ms * NS_PER_MS
            self._watch(lease)
        return ended

    # --- inside -------------------------------------------------------------------

    def _next_seq(self, lease: Lease) -> int:
        """Continue above the view in which this node took the lock over.

        Two nodes that served the same generation in different views can so
        never produce one (generation, seq) with two tokens (W10).
        """
        return max(lease.seq + 1, lease.tenure)

    def _token(self, lease: Lease, now: Instant) -> str:
        # A token of a session's lock has no end of its own.
        wall_ms = 0 if lease.session else (now.wall_ns + lease.expires_ns - now.boot_ns) // NS_PER_MS
        claims = TokenClaims(lease.generation, lease.seq, max(0, wall_ms), lease.owner)
        return self.mint.make(lease.key, claims)

    def _put(self, lease: Lease) -> None:
        self._leases[lease.key] = lease
        self._leave_index(lease.key)
        found = [w.session for w in lease.waiters]
        if lease.session is not None:
            found.append(lease.session)
        if found:
            self._sessions_of[lease.key] = found
            for session in found:
                session.keys.add(lease.key)
        self._watch(lease)

    def _leave_index(self, key: str) -> None:
        for session in self._sessions_of.pop(key, ()):
            session.keys.discard(key)

    def _watch(self, lease: Lease) -> None:
        if lease.session is not None:
            return  # it ends with its session
        at_ns = lease.expires_ns + (TOMBSTONE_MARGIN_MS * NS_PER_MS if lease.gone else 0)
        heappush(self._deadlines, (at_ns, lease.key, lease.generation, lease.seq))
        if len(self._deadlines) > 2 * len(self._leases) + 1_000:
            # Each renewal leaves its deadline behind: keep those that still mean something.
            self._deadlines = [d for d in self._deadlines if self._means(d)]
            heapify(self._deadlines)

    def _means(self, deadline: tuple[int, str, int, int]) -> bool:
        lease = self._leases.get(deadline[1])
        return lease is not None and lease.order == deadline[2:]
