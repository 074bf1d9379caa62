"""What a node may serve in a view, and how it gets there.

The question at each view change is not "who owns this key" (the ring says
that) but "who knows everything about it". A node tracks the region of the
ring for which it is *complete*: it has every mutation that was ever
acknowledged there. Completeness comes in three ways:

- carried over: it was complete in the directly preceding view, as primary or
  as backup, and is one of the two again. Nothing can have been acknowledged
  without it, since an acknowledgement needs both of the pair in one view;
- as primary: every living member has said "you have all of mine" (handover
  seal). Each of them is in the new view then and refuses the older one;
- as backup: the primary has said "you have a copy of all of mine".

A primary serves exactly what it is complete for; the rest is ACQUIRING.

Invariants
  A1  complete is a subset of (primary | backup) of the current view.
  A2  A view that does not directly follow the one held carries nothing over.
  A3  In a grace, completeness is not enough for fresh grants: everybody who
      was complete has died.
Elsewhere: moving the locks (node, outbox), numbering the views (master).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.core.limits import NS_PER_MS
from lockcore.core.region import NOWHERE, Region

if TYPE_CHECKING:
    from lockcore.core.leases import Lease
    from lockcore.core.messages import Seal
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.view import MemberId, View


@dataclass(slots=True)
class Handover:
    """One node's standing in its current view.

    `carried`: the view directly follows the one held before, in which this
    node was up. `informed`: this node knows every session that lives.
    """

    me: MemberId
    view: View | None = None
    previous: View | None = None
    complete: Region = NOWHERE
    primary_region: Region = NOWHERE
    backup_region: Region = NOWHERE
    settled_view: int = 0
    carried: bool = False
    informed: bool = False
    _sealed_by: set[MemberId] = field(default_factory=set)
    _told: bool = False
    _graces: list[tuple[Region, int]] = field(default_factory=list)
    _acquiring: bool = False

    def adopt(self, view: View, now_ns: int) -> None:
        """Enter a view; the caller has refused stale ones."""
        old, self.previous, self.view = self.view, self.view, view
        here = self.me.address if view.is_up(self.me) else None
        self.primary_region = view.ring.region(primary=here) if here else NOWHERE
        self.backup_region = view.ring.region(backup=here) if here else NOWHERE
        self.carried = old is not None and view.previous == old.number and old.is_up(self.me)
        mine = self.primary_region | self.backup_region
        self.complete = self.complete & mine if self.carried else NOWHERE
        self._sealed_by, self._told = set(), False
        # No session is opened without those who were up: they have missed none.
        self.informed = self.carried and self.informed
        # A grace is counted from here, where it is known: later is safer.
        self._graces = [(g.region, now_ns + g.remaining_ms * NS_PER_MS) for g in view.graces]
        self._check_seals()

    def living(self) -> list[MemberId]:
        """Return the other members that serve in this view."""
        if self.view is None:
            return []
        return [m for m in self.view.up.values() if m != self.me]

    def take_seal(self, sender: MemberId, seal: Seal) -> None:
        """Note what a peer promised."""
        if self.view is None:
            return
        if seal.handover:
            self._sealed_by.add(sender)
            self._told |= seal.informed
        if seal.backup:
            self.complete |= self.view.ring.region(primary=sender.address, backup=self.me.address)
        self._check_seals()

    def _check_seals(self) -> None:
        if self.heard_all():
            self.complete |= self.primary_region
            self.informed |= self._told or (self.view is not None and not self.view.graces)
        self._acquiring = not self.complete.covers(self.primary_region)

    def heard_all(self) -> bool:
        """Say whether every living member has handed over: keys, and sessions before them."""
        return self._sealed_by.issuperset(self.living())

    def ready(self, position: int) -> bool:
        """Say whether this node knows all about a position."""
        return position in self.complete

    def acquiring(self) -> bool:
        """Say whether a part of its primary range is not ready yet."""
        return self._acquiring

    def settled(self) -> bool:
        """Say whether nothing is missing, neither as primary nor as backup."""
        return self.view is not None and self.complete.covers(self.primary_region | self.backup_region)

    def in_grace(self, position: int, now_ns: int) -> bool:
        """Say whether an unexpired lock may exist here that nobody knows."""
        return any(now_ns < until and position in region for region, until in self._graces)

    def grace_ends_ns(self, now_ns: int) -> int:
        """Return when the last grace ends, or `now_ns`."""
        return max([now_ns, *(until for _, until in self._graces)])

    def was_primary(self, position: int) -> bool:
        """Say whether this node was primary of a position in the view directly before."""
        previous = self.previous if self.carried else None
        return previous is not None and previous.ring.owners_at(position)[0] == self.me.address

    def previous_is_settled(self) -> bool:
        """Say whether every member had all it needed in the view before."""
        return self.carried and self.previous is not None and 0 < self.previous.number <= self.settled_view

    def must_hand_over(self, lease: Lease | RangeFile) -> bool:
        """Say whether the key's primary in this view may lack this lease.

        It cannot where the last view was settled and the same incarnation
        was one of the pair: it has all there is. Saves sending every copy
        to its primary at each change.
        """
        if self.view is None or self.previous is None or not self.previous_is_settled():
            return True
        return not self._was_in_pair(self.view.ring.owners_at(lease.position)[0], lease)

    def must_replicate(self, lease: Lease | RangeFile) -> bool:
        """Say whether the key's backup in this view may lack this lease."""
        if self.view is None or self.previous is None or not self.previous_is_settled():
            return True
        return not self._was_in_pair(self.view.ring.owners_at(lease.position)[1], lease)

    def _was_in_pair(self, address: str | None, lease: Lease | RangeFile) -> bool:
        if address is None or self.view is None or self.previous is None:
            return False
        same_life = self.previous.up.get(address) == self.view.up.get(address)
        return same_life and address in self.previous.ring.owners_at(lease.position)
