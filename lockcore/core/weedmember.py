"""One Lockring node as a member of a SeaweedFS lock ring: who serves a key, and who has to be told.

Pure: time, tokens and the ring come in, decisions go out. SeaweedFS's ring
changes without asking anybody: a new primary serves at once, former primaries
send their locks when they hear of it, and nobody says when that is over. So a
member that newly owns a key asks whoever served it before (`Ask`), for as long
as that may still have something.

Invariants
  C5  Nothing fresh is granted for a key that another living member served
      until HANDOVER_NS ago, unless that one says that it has adopted the ring
      and holds nothing (W1).
  C6  Rings are adopted in the order of their versions.
  C7  Who was away while the ring changed serves nothing from before until it
      has been confirmed, or HANDOVER_NS later: the ring went on without it (W3).
  C8  Without a master for FENCE_NS nothing fresh is granted: others may serve
      the ring's next version already (W3).
  C9  A lock is given up only in the state that its new primary has got (W4),
      and not before the ring is known by which it came.
  C10  Who had its one hop is not sent on; it gets an error (W15).
Elsewhere: one lock's rules (weedlocks), calls to others (lockcore.seaweed).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import KEY_BYTES_MAX, NS_PER_MS, NS_PER_S, OWNER_BYTES_MAX, TOKEN_BYTES_MAX
from lockcore.core.operations import Code, FindOwner, Granted, Lock, OwnerIs, Refused, Released, Unlock
from lockcore.core.ring import HashRing
from lockcore.core.weedlocks import LockState, WeedLocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.weedlocks import Held

HANDOVER_NS: Final = 10 * NS_PER_S
"""A filer sends its locks one by one, each with a timeout of 5 s; thousands are sent within this."""
FENCE_NS: Final = NS_PER_S
"""A master publishes a ring without us no earlier than so long after it lost us."""
PRIORS_MAX: Final = 8
TTL_MS_MAX: Final = 86_400_000
"""SeaweedFS has no bound. A day is more than any of its programs asks for."""
HANDOFF_TEXT: Final = "lock already owned by ring-handoff"
"""Programs of SeaweedFS ask again on "lock already owned"."""

Request = Lock | Unlock | FindOwner
Answer = Granted | Released | OwnerIs | Refused


@dataclass(frozen=True, slots=True)
class Forward:
    """Another member is to answer; say `moved_to` with its answer."""

    target: str


@dataclass(frozen=True, slots=True)
class Ask:
    """These may hold the key: ask them, then decide again with `cleared`."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Errand:
    """A state that another member is to have.

    `transfer`: it is to serve it; else it is to keep a copy.
    """

    target: str
    state: LockState
    transfer: bool


class WeedMember:
    """One member.

    Args:
        address: as it stands on the ring.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.ring = HashRing(())
        self.version = 0
        self.locks = WeedLocks()
        self.leaving = False
        self._without_us = HashRing(())
        self._priors: list[tuple[HashRing, int]] = []
        self._lost_ns: int | None = 0  # no master has been heard yet

    @property
    def on_ring(self) -> bool:
        """Say whether the ring has this member."""
        return self.address in self.ring.servers

    @property
    def lost(self) -> bool:
        """Say whether there is no master to be heard: the ring may be another by now."""
        return self._lost_ns is not None

    # --- the ring --------------------------------------------------------------------------

    def see(self, servers: Iterable[str]) -> None:
        """Note the ring as it was before this member came: whose keys it will get."""
        self.ring = HashRing(servers)

    def lose(self, now_ns: int) -> None:
        """Note that the master cannot be heard any more."""
        if self._lost_ns is None:
            self._lost_ns = now_ns

    def adopt(self, servers: Iterable[str], version: int, now_ns: int) -> bool:
        """Adopt a ring that the master tells as a member's; say whether it is another one (C6)."""
        if version < self.version:
            return False
        new = HashRing(servers)
        away, self._lost_ns = self.lost, None
        if version == self.version and new == self.ring:
            return False
        before, self.ring, self.version = self.ring, new, version
        self._without_us = HashRing(set(new.servers) - {self.address})
        if away:
            self._doubt()
            before = HashRing(set(before.servers) - {self.address})
        self._priors = [*self._living_priors(now_ns), (before, now_ns + HANDOVER_NS)][-PRIORS_MAX:]
        for held in self.locks:
            self._take_role(held, before, now_ns)
        return True

    def _doubt(self) -> None:
        """Serve nothing from before: the ring went on without us (C7)."""
        for held in self.locks:
            held.serving = False

    def _take_role(self, held: Held, before: HashRing, now_ns: int) -> None:
        held.early_until_ns = 0
        former = before.primary(held.key)
        primary = self.ring.primary(held.key)
        if held.serving or not held.live(now_ns):
            return
        if primary == self.address:
            self._promote(held, now_ns)
        else:
            held.orphan = former is not None and former not in self.ring.servers

    def _promote(self, held: Held, now_ns: int) -> bool:
        """Serve a copy, unless somebody may have something newer; say whether we do."""
        if self._priors_of(held.key, now_ns):
            return False
        held.serving = held.promoted = True
        return True

    def _living_priors(self, now_ns: int) -> list[tuple[HashRing, int]]:
        return [(ring, until_ns) for ring, until_ns in self._priors if now_ns < until_ns]

    def _priors_of(self, key: str, now_ns: int) -> tuple[str, ...]:
        """Return the living members that served a key until not long ago (C5)."""
        served = (ring.primary(key) for ring, _ in self._living_priors(now_ns))
        return tuple(dict.fromkeys(p for p in served if p in self.ring.servers and p and p != self.address))

    def tick(self, now_ns: int) -> list[str]:
        """Forget what is over; return the keys of which somebody may have to be told."""
        self.locks.expire(now_ns)
        changed = []
        for held in self.locks:
            if held.early_until_ns and now_ns >= held.early_until_ns:
                held.early_until_ns = 0
                changed.append(held.key)
            ours = self.ring.primary(held.key) == self.address
            if ours and not held.serving and held.live(now_ns) and self._promote(held, now_ns):
                changed.append(held.key)
        return changed

    # --- requests ------------------------------------------------------------------------------

    def decide(
        self, request: Request, now_ns: int, *, new_token: str = "", moved: bool = False, cleared: bool = False
    ) -> Answer | Forward | Ask:
        """Answer a request, or say who else has to be asked.

        Args:
            request: Lock, Unlock or FindOwner without a session.
            now_ns: CLOCK_BOOTTIME.
            new_token: of what is granted or renewed; never seen before.
            moved: it had its one hop already (C10).
            cleared: who was to be asked (`Ask`) holds nothing.
        """
        if (wrong := _wrong_with(request)) is not None:
            return wrong
        primary = self.ring.primary(request.key)
        held = self.locks.get(request.key)
        ours = held if held is not None and held.serving and held.live(now_ns) else None
        if primary != self.address:
            return self._decide_elsewhere(request, ours, primary, now_ns, new_token, moved=moved)
        if held is None or not held.serving:
            if not cleared and (priors := self._priors_of(request.key, now_ns)):
                return Ask(priors)
            if held is not None and held.live(now_ns):
                held.serving = held.promoted = True  # a copy, and nobody has anything newer
                ours = held
        return self._decide_here(request, ours, held, now_ns, new_token)

    def _decide_elsewhere(  # noqa: PLR0913 - what a decision is made of
        self, request: Request, ours: Held | None, primary: str | None, now_ns: int, new_token: str, *, moved: bool
    ) -> Answer | Forward:
        """Serve a holder until the new primary has its lock; send everybody else there."""
        if ours is not None and (isinstance(request, FindOwner) or ours.opens_with(request.token)):
            return self._decide_here(request, ours, ours, now_ns, new_token)
        if primary is None or not self.on_ring:
            return Refused(Code.NOT_SERVING, "this member is not on the ring", moved_to=primary or "")
        if moved:
            text = f"{self.address} is not the primary of this key, {primary} is"
            return Refused(Code.NOT_SERVING, text, moved_to=primary)
        return Forward(primary)

    def _decide_here(
        self, request: Request, ours: Held | None, held: Held | None, now_ns: int, new_token: str
    ) -> Answer:
        match request:
            case Lock():
                return self._lock(request, ours, held, now_ns, new_token)
            case Unlock():
                return self._unlock(request, ours, now_ns)
            case FindOwner():
                if ours is None:
                    return Refused(Code.NOT_FOUND, f"lock {request.key} not found")
                return OwnerIs(ours.owner, ours.generation, (ours.expires_ns - now_ns) // NS_PER_MS)

    def _lock(self, request: Lock, ours: Held | None, held: Held | None, now_ns: int, new_token: str) -> Answer:
        until_ns = now_ns + request.ttl_ms * NS_PER_MS
        if ours is not None:
            if not ours.opens_with(request.token):
                return _kept_from(ours, request)
            self.locks.renew(ours, request.token, request.owner, new_token, until_ns)
            return _granted(ours, request)
        if request.token:
            if held is not None and not held.gone:
                return Refused(Code.TOKEN_ON_EXPIRED, "lock: non-empty token on an expired lock")
            return Refused(Code.TOKEN_ON_NEW, "lock: non-empty token on a new lock")
        if (no := self._no_grant(held, now_ns)) is not None:
            return no
        return _granted(self.locks.grant(request.key, request.owner, new_token, until_ns), request)

    def _no_grant(self, held: Held | None, now_ns: int) -> Refused | None:
        """Return why nothing fresh is granted now, None if it is."""
        if self.leaving or self._fenced(now_ns):
            return Refused(Code.HANDOFF, HANDOFF_TEXT, "ring-handoff")
        if self.locks.full and held is None:
            return Refused(Code.OVERLOADED, "lock: this member has no room for another lock")
        return None

    def _unlock(self, request: Unlock, ours: Held | None, now_ns: int) -> Answer:
        if ours is None:
            return Refused(Code.NOT_FOUND, "lock not found")
        if not ours.opens_with(request.token):
            return Refused(Code.TOKEN_MISMATCH, "unlock: token mismatch", ours.owner)
        self.locks.release(ours, now_ns)
        return Released()

    def _fenced(self, now_ns: int) -> bool:
        """Say whether somebody else may be serving our keys (C8)."""
        return self._lost_ns is not None and now_ns - self._lost_ns >= FENCE_NS

    # --- from other members ----------------------------------------------------------------------

    def take_copy(self, state: LockState, now_ns: int) -> bool:
        """Take in what a primary replicates to us; say whether it was news."""
        return self.locks.take(state, now_ns, serving=False)

    def take_over(self, state: LockState, now_ns: int) -> bool:
        """Take in what a former primary transfers to us; say whether it was news."""
        taken = self.locks.take(state, now_ns, serving=True)
        held = self.locks.get(state.key)
        if not taken and held is not None and held.order == state.order and held.live(now_ns):
            held.serving = True  # what we had a copy of: nobody has anything newer (C7)
        if taken and held is not None and self.ring.primary(state.key) != self.address:
            held.early_until_ns = now_ns + HANDOVER_NS
        return taken

    # --- to other members ------------------------------------------------------------------------

    def errand(self, key: str, now_ns: int) -> Errand | None:
        """Return what somebody has to be told of a key now, None if nobody."""
        held = self.locks.get(key)
        if held is None or now_ns < held.early_until_ns or not (held.gone or held.live(now_ns)):
            return None
        primary, backup = (self._without_us if self.leaving else self.ring).owners(key)
        if primary == self.address:
            target, transfer = (backup if held.serving else None), False
        else:
            target, transfer = self._heir(held, primary, backup), not held.gone
        if target is None or held.handed == (target, *held.order):
            return None
        return Errand(target, held.state(now_ns), transfer)

    def _heir(self, held: Held, primary: str | None, backup: str | None) -> str | None:
        """Return who serves a key that is not ours and is to get what we have of it."""
        spare = backup != self.address and not self.leaving and not held.gone
        if held.serving or held.orphan or spare:
            return primary
        return None

    def done(self, errand: Errand) -> None:
        """Note that its target has what the errand brought."""
        held = self.locks.get(errand.state.key)
        if held is None:
            return
        held.handed = (errand.target, *errand.state.order)
        primary, backup = self.ring.owners(held.key)
        if self.leaving or primary in {self.address, None} or held.order != errand.state.order:
            return  # C9: what has changed under way is sent again first
        held.serving = held.orphan = False
        if backup != self.address and not held.gone:
            self.locks.drop(held.key)

    def leave(self) -> None:
        """Begin to go: grant nothing fresh any more, hand everything over; holders are served until the end."""
        self.leaving = True


def _kept_from(ours: Held, request: Lock) -> Refused:
    """Return what somebody is told who does not hold a lock that is held."""
    if request.token:
        return Refused(Code.TOKEN_MISMATCH, "lock: token mismatch", ours.owner)
    return Refused(Code.HELD, f"lock already owned by {ours.owner}", ours.owner)


def _granted(held: Held, request: Lock) -> Granted:
    return Granted(held.token, held.owner, held.generation, held.seq, request.ttl_ms)


def _wrong_with(request: Request) -> Refused | None:
    """Return what is wrong with a request, None if nothing is."""
    texts = [("key", request.key, KEY_BYTES_MAX)]
    if not isinstance(request, FindOwner):
        texts.append(("renew token", request.token, TOKEN_BYTES_MAX))
    if isinstance(request, Lock):
        texts.append(("owner", request.owner, OWNER_BYTES_MAX))
        if not 0 < request.ttl_ms <= TTL_MS_MAX:
            return Refused(Code.INVALID, f"lock: ask for 1 to {TTL_MS_MAX // 1_000} seconds")
    for what, text, bytes_max in texts:
        if len(text.encode()) > bytes_max:
            return Refused(Code.INVALID, f"a {what} has at most {bytes_max} bytes")
    return None if request.key else Refused(Code.INVALID, "a lock has a name: it is empty here")
