"""What one member of a SeaweedFS lock ring knows of each lock.

SeaweedFS's rules, not Lockring's (leases): tokens are any text, states are
ordered by (generation, seq), there are no views and nobody vouches for
anything. What of Lockring's rules costs its peers nothing is kept: a token
that got lost with a reply is honoured, and what was released stays released.

Invariants
  C1  States are ordered by (generation, seq); an older one never replaces a
      newer one, nor an equal one. Whoever is primary stays it by what it takes.
  C2  Generations rise: generation = ++floor, and every generation that is ever
      seen raises the floor, those of refused and released locks included (W2).
  C3  A released lock leaves a tombstone for as long as its lease would have
      lasted: no late message brings it back (W9).
  C4  The token before is good until the holder has shown the new one.
Elsewhere: whose turn it is to serve, and who is to be told (weedmember).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import LOCKS_MAX, NS_PER_MS, TOMBSTONE_MARGIN_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

TOMBSTONE_NS: Final = TOMBSTONE_MARGIN_MS * NS_PER_MS
PROMOTED_SEQ_STEP: Final = 1_000
"""What a promoted member decides outranks what the former primary, not yet dead, may still say (W10)."""


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock as it travels between members. `gone`: it was released; the rest says nothing then."""

    key: str
    token: str
    owner: str
    generation: int
    seq: int
    remaining_ns: int
    gone: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """(generation, seq) (C1)."""
        return self.generation, self.seq


@dataclass(slots=True)
class Held:
    """One lock here.

    Attributes:
        expires_ns: end of the lease, or of the tombstone.
        serving: this member acts as its primary; else it has a copy.
        promoted: what is decided next outranks another primary (W10).
        orphan: a copy whose former primary has left the ring; nobody else may have it.
        early_until_ns: it was handed to us by a ring that we do not have yet: until then it goes nowhere.
        handed: which member has which state of it: (address, generation, seq).
    """

    key: str
    token: str
    owner: str
    generation: int
    seq: int
    expires_ns: int
    serving: bool
    gone: bool = False
    previous: str = ""
    promoted: bool = False
    orphan: bool = False
    early_until_ns: int = 0
    handed: tuple[str, int, int] | None = None

    @property
    def order(self) -> tuple[int, int]:
        """(generation, seq) (C1)."""
        return self.generation, self.seq

    def live(self, now_ns: int) -> bool:
        """Say whether somebody holds it."""
        return not self.gone and now_ns < self.expires_ns

    def opens_with(self, token: str) -> bool:
        """Say whether a token proves its holder (C4)."""
        return bool(token) and token in {self.token, self.previous}

    def state(self, now_ns: int) -> LockState:
        """Return it as it travels."""
        return LockState(
            self.key, self.token, self.owner, self.generation, self.seq, max(0, self.expires_ns - now_ns), self.gone
        )


class WeedLocks:
    """The locks of one member. Times are CLOCK_BOOTTIME.

    Attributes:
        floor: no generation up to this one is granted any more (C2).
    """

    def __init__(self) -> None:
        self.floor = 0
        self._locks: dict[str, Held] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def __iter__(self) -> Iterator[Held]:
        """Iterate over a snapshot: the caller may change the table."""
        return iter(list(self._locks.values()))

    @property
    def full(self) -> bool:
        """Say whether there is no room for another key."""
        return len(self._locks) >= LOCKS_MAX

    def get(self, key: str) -> Held | None:
        """Return what is known of a key."""
        return self._locks.get(key)

    def drop(self, key: str) -> None:
        """Forget a key."""
        self._locks.pop(key, None)

    def raise_floor(self, generation: int) -> None:
        """Never grant this generation, nor one below it (C2)."""
        self.floor = max(self.floor, generation)

    # --- what a primary does -------------------------------------------------------------

    def grant(self, key: str, owner: str, token: str, until_ns: int) -> Held:
        """Make a new lock; the caller has made sure that nobody holds it."""
        self.floor += 1
        held = Held(key, token, owner, self.floor, 1, until_ns, serving=True)
        self._locks[key] = held
        return held

    def renew(self, held: Held, shown: str, owner: str, token: str, until_ns: int) -> None:
        """Give a holder more time, and a new token. `shown`: the token that proves it to be the holder."""
        held.previous = shown  # C4: of the two that were good, the holder has shown that it has this one
        held.token, held.owner, held.expires_ns = token, owner, until_ns
        self._advance(held)

    def release(self, held: Held, now_ns: int) -> None:
        """Make the lock a tombstone (C3)."""
        held.gone, held.token, held.previous = True, "", ""
        held.expires_ns = max(held.expires_ns, now_ns) + TOMBSTONE_NS
        self._advance(held)

    @staticmethod
    def _advance(held: Held) -> None:
        held.seq += PROMOTED_SEQ_STEP if held.promoted else 1
        held.promoted = False

    # --- what comes from others ------------------------------------------------------------

    def take(self, state: LockState, now_ns: int, *, serving: bool) -> bool:
        """Take in a state from another member, if it is news (C1); say whether it was.

        `serving`: whoever sends it means us to be the primary.
        """
        self.raise_floor(state.generation)
        known = self._locks.get(state.key)
        if known is not None and state.order <= known.order:
            return False
        if known is None and self.full:
            return False
        if state.gone:
            self._bury(state, known, now_ns)
        elif state.remaining_ns > 0:
            self._locks[state.key] = Held(
                key=state.key,
                token=state.token,
                owner=state.owner,
                generation=state.generation,
                seq=state.seq,
                expires_ns=now_ns + state.remaining_ns,
                serving=serving or (known is not None and known.serving),
            )
        else:
            return False
        return True

    def _bury(self, state: LockState, known: Held | None, now_ns: int) -> None:
        until_ns = max(now_ns, 0 if known is None else known.expires_ns) + TOMBSTONE_NS
        serving = known is not None and known.serving
        self._locks[state.key] = Held(state.key, "", "", state.generation, state.seq, until_ns, serving, gone=True)

    def expire(self, now_ns: int) -> None:
        """Forget what ended long enough ago."""
        for held in self:
            if now_ns >= held.expires_ns + (0 if held.gone else TOMBSTONE_NS):
                self.drop(held.key)
