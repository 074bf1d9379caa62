"""Where to ask next about one key.

The view says who owns the key, nodes say where a lock has moved (`moved_to`),
and the target given by the user (the seeds) is what is left when both lead
nowhere. Pure: addresses in, an address out. All addresses are gRPC targets.

Invariants
  R1  A redirect is followed before the view, until the view has changed.
  R2  After three failed calls in a row to where it led, a redirect is
      forgotten and a seed is asked (lock_client.go).
  R3  Failures walk through every node that is known, those that the view
      shows as down last, then begin again; a new view begins anew.
Elsewhere: when to ask again (calls), which nodes are reachable (pool).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from lockcore.wire.addresses import grpc_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.view import View

MOVED_FAILURES_MAX: Final = 3


@lru_cache(maxsize=1_024)
def target_of(address: str) -> str | None:
    """Return the gRPC target of a ring address, None where it is none."""
    try:
        return grpc_target(address)
    except ValueError:
        return None


class Route:
    """The way to the node that serves one key.

    Args:
        key: the lock.
        seeds: gRPC targets to fall back on, at least one.
    """

    def __init__(self, key: str, seeds: tuple[str, ...]) -> None:
        self._key = key
        self._seeds = seeds
        self._moved: str | None = None
        self._view_number = 0
        self._failures = 0
        self._tried: set[str] = set()
        self._seed_next = False

    def choose(self, view: View | None, usable: Callable[[str], bool]) -> str:
        """Return whom to ask now; those not known to be broken come first."""
        if view is not None and view.number > self._view_number:
            self._view_number = view.number
            self._moved = None  # R1: this view is younger than the redirect
            self._tried.clear()
        if self._seed_next:
            self._seed_next = False
            return next(filter(usable, self._seeds), self._seeds[0])
        candidates = self._candidates(view)
        if self._tried.issuperset(candidates):
            self._tried.clear()
        untried = [target for target in candidates if target not in self._tried]
        return next(filter(usable, untried), untried[0])

    def _candidates(self, view: View | None) -> list[str]:
        names: list[str | None] = [self._moved]
        if view is not None:
            owners = [address for address in view.ring.owners(self._key) if address]
            names += [target_of(address) for address in (*owners, *view.up)]
        names += self._seeds
        known = list(dict.fromkeys(name for name in names if name))
        if view is None:
            return known
        down = {target_of(member.address) for member in view.members if member.down}
        return sorted(known, key=lambda target: target in down and target != self._moved)

    def moved(self, address: str, view: View | None) -> bool:
        """Follow a redirect to a ring address; say whether that leads elsewhere than before."""
        target = target_of(address)
        if target is None or target == self._moved:
            return False
        if view is not None and view.ring.primary(self._key) == address:
            return False  # the ring says so itself
        if view is not None:
            self._view_number = max(self._view_number, view.number)
        self._moved, self._failures = target, 0
        self._tried.clear()
        return True

    def worked(self) -> None:
        """Note that the node that was chosen answered."""
        self._failures = 0
        self._tried.clear()

    def failed(self, target: str) -> None:
        """Note that a node did not answer, or may not serve."""
        self._tried.add(target)
        if target != self._moved:
            return
        self._failures += 1
        if self._failures >= MOVED_FAILURES_MAX:
            self._moved, self._failures = None, 0
            self._tried.clear()
            self._seed_next = True
