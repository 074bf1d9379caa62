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

from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from lockcore.core.lease import Lease, Waiter
from lockcore.core.limits import NS_PER_MS, TOMBSTONE_MARGIN_MS
from lockcore.core.messages import Instant, LeaseRecord, Outcome
from lockcore.core.ring import position_of
from lockcore.core.sessions import SessionTable
from lockcore.core.tokens import TokenClaims, TokenMint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.core.sessions import Session


__all__ = ["Lease", "LeaseTable", "Waiter"]


class LeaseTable:
    """All locks one node knows.

    Attributes:
        floor: no generation up to this one is granted any more.
        places: how many locks of sessions and places in queues there are.
        settled: whether no other node can have a copy that it is to drop; the caller sees to it.
    """

    def __init__(self, mint: TokenMint, sessions: SessionTable | None = None) -> None:
        """Start empty."""
        self.mint = mint
        self.sessions = sessions or SessionTable()
        self.floor = 0
        self._leases: dict[str, Lease] = {}
        self._deadlines: list[tuple[int, str, int, int]] = []
        self._sessions_of: dict[str, list[Session]] = {}
        self._held = {True: 0, False: 0}
        self.places = 0
        self.settled = True

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

    def held(self, *, serving: bool) -> int:
        """Return how many locks are held that this node serves, or has a copy of.

        As of the last `expire`. Counted as they change: the table is large,
        and heartbeats are many.
        """
        return self._held[serving]

    def serve(self, lease: Lease, *, serving: bool) -> None:
        """Begin or end to act as a lease's primary."""
        self._count(lease, -1)
        lease.serving = serving
        self._count(lease, 1)

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
        """Give a held lock to another session: same generation, next seq, and a token that the old one has not."""
        self._count(lease, -1)
        lease.session = session
        self._count(lease, 1)
        self.touch(lease)
        lease.confirmed_seq = lease.seq
        lease.token = self.mint.make(lease.key, TokenClaims(lease.generation, lease.seq, 0, lease.owner))

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
        self._count(lease, -1)
        lease.gone = True
        lease.session = None
        self._put(lease)

    def readmit(  # noqa: PLR0913, PLR0917 - what a lease is made of
        self, key: str, claims: TokenClaims, ttl_ms: int, now: Instant, tenure: int, session: Session | None = None
    ) -> Lease:
        """Restore a lease from its holder's token, in a grace period; its queue stays."""
        self.raise_floor(claims.generation)
        before = self._leases.get(key)
        known_seq = before.seq if before is not None and before.generation == claims.generation else 0
        lease = Lease(
            key=key,
            position=position_of(key),
            token="",
            owner=claims.owner,
            generation=claims.generation,
            seq=max(claims.seq + 1, known_seq + 1, tenure),
            expires_ns=now.boot_ns + ttl_ms * NS_PER_MS,
            ttl_ms=ttl_ms,
            confirmed_seq=claims.seq,
            serving=True,
            tenure=tenure,
            session=session,
            waiters=before.waiters if before else [],
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
        lease = self._leases.get(key)
        if lease is not None:
            self._count(lease, -1)
            del self._leases[key]
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
                if now_ns >= self._forget_ns(lease):
                    if not lease.waiters and (self.settled or not lease.answers):
                        self.drop(key)
                        continue
                    # Kept for its queue; or since a copy of a session's lock, which
                    # never runs out by itself, may still be somewhere.
                    lease.expires_ns = now_ns
            elif now_ns >= lease.expires_ns:
                ended.append(replace(lease))
                self._count(lease, -1)
                lease.gone = True
                lease.free_at_ns = lease.expires_ns + lease.delay_ms * NS_PER_MS
            self._watch(lease)
        return ended

    # --- inside -------------------------------------------------------------------

    def _put(self, lease: Lease) -> None:
        known = self._leases.get(lease.key)
        if known is not None:
            self._count(known, -1)
        self._leases[lease.key] = lease
        self._count(lease, 1)
        self._leave_index(lease.key)
        found = [w.session for w in lease.waiters]
        if lease.session is not None:
            found.append(lease.session)
        if found:
            self._sessions_of[lease.key] = found
            self.places += len(found)
            for session in found:
                session.keys.add(lease.key)
        self._watch(lease)

    def _count(self, lease: Lease, change: int) -> None:
        """Count a lease of this table in or out, before or after it changes; tombstones do not count."""
        if not lease.gone and self._leases.get(lease.key) is lease:
            self._held[lease.serving] += change
            if lease.serving and lease.session is not None:
                lease.session.locks += change
                lease.session.marks += change * lease.mark

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

    def _leave_index(self, key: str) -> None:
        left = self._sessions_of.pop(key, ())
        self.places -= len(left)
        for session in left:
            session.keys.discard(key)

    def _watch(self, lease: Lease) -> None:
        if lease.session is not None:
            return  # it ends with its session
        at_ns = self._forget_ns(lease) if lease.gone else lease.expires_ns
        heappush(self._deadlines, (at_ns, lease.key, lease.generation, lease.seq))
        if len(self._deadlines) > 2 * len(self._leases) + 1_000:
            # Each renewal leaves its deadline behind: keep those that still mean something.
            self._deadlines = [d for d in self._deadlines if self._means(d)]
            heapify(self._deadlines)

    @staticmethod
    def _forget_ns(lease: Lease) -> int:
        """When no late message can bring a tombstone's lock back, and its lock-delay is over."""
        return max(lease.expires_ns + TOMBSTONE_MARGIN_MS * NS_PER_MS, lease.free_at_ns)

    def _means(self, deadline: tuple[int, str, int, int]) -> bool:
        lease = self._leases.get(deadline[1])
        return lease is not None and lease.order == deadline[2:]
