"""Client sessions: who is alive, until when, at every node alike.

A session stands at every member of the ring, whatever it holds and where. An
extension is answered when every living member has it (keeping), so it holds
wherever the session's locks are, or will be after the next view. What a node
knows of a session is ordered without numbers: an end is for ever, and of two
leases the later one counts. Merging twice, or in another order, changes
nothing.

A session goes through

    ALIVE --lease over--> LAPSED --linger over--> GONE
      |                      (its locks are still there: whoever proves to be
      +------ ended -------> its successor may take them over)      GONE

Invariants
  J1  A session that has lapsed or ended is never alive again (Gluster 3182).
  J2  A session's locks exclude others until it is gone, here as at any node.
  J3  A secret verifies for one id and one incarnation of this cluster only.
Elsewhere: what a session holds (leases), telling the others (keeping),
cleaning up (queueing).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import GIVEN_UP_KEPT, LEASE_MS_MAX, NS_PER_MS, SESSION_LINGER_MS
from lockcore.core.operations import SessionId, SessionProof
from lockcore.core.peering import Outcome, SessionRecord

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True, eq=False)
class Session:
    """One session as this node knows it; times are CLOCK_BOOTTIME.

    `stamp` counts its changes here, so that a peer's answer says which it
    has. `cleaned`: its locks were released where this node is primary.
    `unsure`: others may know that it lives on; what was said of it so far was
    said by a lock, or by who may have been away.
    `healed`: the last view in which it had nothing left to re-assert.
    `locks`, `marks`: what it holds under names where this node serves it, as
    a digest counts it.
    """

    ref: SessionId
    expires_ns: int
    ttl_ms: int = 0
    label: str = ""
    ended: bool = False
    cleaned: bool = False
    unsure: bool = False
    stamp: int = 0
    healed: int = 0
    locks: int = 0
    marks: int = 0
    keys: set[str] = field(default_factory=set)
    _given_up: dict[tuple[str, int], None] = field(default_factory=dict)

    def give_up(self, key: str, op_id: int) -> None:
        """Note an operation that is not to be carried out if it comes yet; 0 names none."""
        if op_id:
            self._given_up[key, op_id] = None
            if len(self._given_up) > GIVEN_UP_KEPT:
                del self._given_up[next(iter(self._given_up))]

    def gave_up(self, key: str, op_id: int) -> bool:
        """Say whether an operation was given up before it came."""
        return (key, op_id) in self._given_up

    def alive(self, now_ns: int) -> bool:
        """Say whether it may act."""
        return not self.ended and now_ns < self.expires_ns

    @property
    def frees_ns(self) -> int:
        """When its locks exclude nobody any more (J2)."""
        return self.expires_ns if self.ended else self.expires_ns + SESSION_LINGER_MS * NS_PER_MS

    def excludes(self, now_ns: int) -> bool:
        """Say whether what it holds is still held against others (J2)."""
        return now_ns < self.frees_ns

    def record(self, now_ns: int) -> SessionRecord:
        """Return it as it travels."""
        return SessionRecord(
            self.ref, max(0, self.expires_ns - now_ns), self.ttl_ms, self.label, self.ended, self.healed
        )


PROOFS_KEPT: Final = 4_096
"""Each operation shows one: sessions that are busy are not computed anew."""


class SessionMint:
    """Makes and verifies secrets of sessions (J3). The key never leaves it."""

    def __init__(self, secret: bytes) -> None:
        """Derive a key of its own from the cluster's secret."""
        self._key = hmac.new(secret, b"session", sha256).digest()
        self._made = lru_cache(PROOFS_KEPT)(self._make)

    def prove(self, ref: SessionId) -> SessionProof:
        """Return what the session's client is to show."""
        return self._made(ref)

    def _make(self, ref: SessionId) -> SessionProof:
        mac = hmac.new(self._key, f"{ref.incarnation}|{ref.id}".encode(), sha256)
        return SessionProof(ref.id, ref.incarnation, mac.hexdigest())

    def good(self, proof: SessionProof) -> bool:
        """Say whether the proof was made by this cluster."""
        try:
            shown = proof.secret.encode()
            expected = self.prove(proof.ref).secret.encode()
        except UnicodeEncodeError:
            return False
        return hmac.compare_digest(shown, expected)


class SessionTable:
    """All sessions that one node knows, those that are gone for a while too."""

    def __init__(self) -> None:
        """Start empty."""
        self._sessions: dict[SessionId, Session] = {}
        self._deadlines: list[tuple[int, SessionId]] = []
        self._stamp = 0

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over a snapshot."""
        return iter(list(self._sessions.values()))

    def get(self, ref: SessionId) -> Session | None:
        """Return what is known of a session."""
        return self._sessions.get(ref)

    def open(self, ref: SessionId, label: str, ttl_ms: int, now_ns: int) -> Session:
        """Begin a session; its id is new."""
        return self._put(Session(ref, now_ns + ttl_ms * NS_PER_MS, ttl_ms, label))

    def extend(self, session: Session, now_ns: int) -> None:
        """Give a living session its whole lease again, counted from now."""
        session.expires_ns = max(session.expires_ns, now_ns + session.ttl_ms * NS_PER_MS)
        self._note(session)

    def end(self, session: Session, now_ns: int) -> None:
        """End a session for good (J1)."""
        if not session.ended:
            session.ended = True
            session.expires_ns = min(session.expires_ns, now_ns)
            self._note(session)

    def learn(self, ref: SessionId, remaining_ns: int, now_ns: int) -> Session:
        """Return a session that a lock names; unknown ones are as alive as the lock says."""
        known = self._sessions.get(ref)
        return known if known is not None else self._put(Session(ref, now_ns + remaining_ns, unsure=True))

    def merge(self, record: SessionRecord, now_ns: int) -> Outcome:
        """Take what a peer says; STALE where the session is over here, and the peer does not know (J1)."""
        known = self._sessions.get(record.ref)
        if known is None:
            known = self._put(Session(record.ref, now_ns + record.remaining_ns, unsure=not record.remaining_ns))
        if record.ttl_ms:  # else its sender has only learned of it from a lock
            known.label, known.ttl_ms = record.label, record.ttl_ms
        known.healed = max(known.healed, record.healed)
        if record.ended:
            self.end(known, now_ns)
        elif record.remaining_ns:
            if not known.alive(now_ns) and (known.ended or not known.unsure):
                return Outcome.STALE
            if known.unsure:
                known.unsure = known.cleaned = False
            known.expires_ns = max(known.expires_ns, now_ns + record.remaining_ns)
            self._note(known)
        return Outcome.ACCEPTED

    def doubt(self) -> None:
        """Judge no lapse from before: others may have extended sessions without this node."""
        for session in self._sessions.values():
            session.unsure = not session.ended

    def forget_all(self) -> None:
        """Know nobody any more: others have to tell."""
        self._sessions.clear()
        self._deadlines.clear()

    # --- time -----------------------------------------------------------------------

    def next_deadline_ns(self) -> int | None:
        """Return when `due` may have something to return."""
        return self._deadlines[0][0] if self._deadlines else None

    def due(self, now_ns: int) -> list[Session]:
        """Return the sessions that are gone since the last call; forget what went long ago."""
        gone: list[Session] = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            _, ref = heappop(self._deadlines)
            session = self._sessions.get(ref)
            if session is None:
                continue
            if session.excludes(now_ns):
                self._watch(session)
            elif not session.cleaned:
                session.cleaned = True
                gone.append(session)
                self._watch(session)
            elif now_ns >= self._forget_ns(session) and not session.keys:
                del self._sessions[ref]
            else:
                self._watch(session, not_before_ns=now_ns + LEASE_MS_MAX * NS_PER_MS)
        return gone

    @staticmethod
    def _forget_ns(session: Session) -> int:
        """When no message that is still on its way can name it any more."""
        return session.frees_ns + LEASE_MS_MAX * NS_PER_MS

    def _put(self, session: Session) -> Session:
        self._sessions[session.ref] = session
        self._note(session)
        return session

    def _note(self, session: Session) -> None:
        self._stamp += 1
        session.stamp = self._stamp
        self._watch(session)

    def _watch(self, session: Session, not_before_ns: int = 0) -> None:
        at_ns = self._forget_ns(session) if session.cleaned else session.frees_ns
        heappush(self._deadlines, (max(at_ns, not_before_ns), session.ref))
        if len(self._deadlines) > 4 * len(self._sessions) + 1_000:
            # Each extension leaves its deadline behind.
            self._deadlines = [(s.frees_ns, s.ref) for s in self._sessions.values()]
            heapify(self._deadlines)
