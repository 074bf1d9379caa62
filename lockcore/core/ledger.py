"""What the master must remember: numbers, the view, who could still know what.

State is lost when every node that was complete for a position has died. The
ledger keeps the rings published since all members were last settled (before
that, whoever is up knows all) and the members lost since. A (primary,
backup) pair of any of these rings that is lost as a whole makes its region
an orphan: the new owner must wait out the longest lease there (a grace)
before it grants anything fresh.

Invariants
  G1  A grace once owed is in every view until it has run out, whoever joins.
  G2  Numbers only rise (M1).
Elsewhere: when views are made (master), what a grace means (serving).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lockcore.core.events import Event, EventKind
from lockcore.core.limits import LEASE_MS_MAX, NS_PER_MS
from lockcore.core.region import EVERYWHERE, NOWHERE, Region
from lockcore.core.view import Grace, Member, MemberId, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.messages import Instant


@dataclass(slots=True)
class Ledger:
    """The master's memory. `graces` holds (region, end in CLOCK_BOOTTIME)."""

    view: View | None = None
    settled_view: int = 0
    highest: int = 0
    eras: list[View] = field(default_factory=list)
    lost: set[MemberId] = field(default_factory=set)
    graces: list[tuple[Region, int]] = field(default_factory=list)
    _newly_lost: set[MemberId] = field(default_factory=set)

    def next_number(self, now: Instant, floors: Iterable[int], headroom: int) -> int:
        """Return a number above the clock, the past and all generations."""
        beyond = max(floors, default=0)
        least = max(self.highest + 1, beyond + headroom if beyond >= now.wall_ns else 0)
        return max(now.wall_ns, least)

    def raise_numbers(self, seen: int) -> None:
        """Never publish a number as low as one that was seen."""
        self.highest = max(self.highest, seen)

    def lose(self, members: Iterable[MemberId]) -> None:
        """Note that these can no longer be asked."""
        self._newly_lost |= set(members) - self.lost
        self.lost |= self._newly_lost

    def settle(self) -> None:
        """All living members have all they need: the past does not matter."""
        if self.view is not None:
            self.settled_view = self.view.number
            self.eras = [self.view]
            self.lost = set()

    def publish(self, view: View, now: Instant, grace_ms: int, *, unknown_past: bool) -> View:
        """Make `view` the current one; return it complete."""
        previous = 0 if self.view is None or unknown_past else self.view.number
        known = {m.id for m in self.view.members} if self.view else set()
        present = set(view.up.values())
        self.lose(m for m in known if m not in present)
        self._owe(EVERYWHERE if unknown_past else self._orphans(), now, grace_ms)
        self.view = replace(view, previous=previous, graces=())
        self.highest = max(self.highest, view.number)
        self.eras.append(self.view)
        return self.current_view(now) or view

    def _orphans(self) -> Region:
        """Return where some (primary, backup) since the settled view is gone now.

        Each loss counts anew: what was granted after an earlier grace may be
        lost as well.
        """
        return self._orphans_of(self.lost, self._newly_lost)

    def would_orphan(self, member: MemberId) -> bool:
        """Say whether somewhere nobody would know anything without this member."""
        return bool(self._orphans_of(self.lost | {member}, {member}))

    def _orphans_of(self, lost: set[MemberId], newly_lost: set[MemberId]) -> Region:
        out = NOWHERE
        for era in self.eras:
            gone = {a for a, member in era.up.items() if member in lost}
            newly = {a for a, member in era.up.items() if member in newly_lost}
            for (primary, backup), region in era.ring.pairs().items():
                pair = {primary} if backup is None else {primary, backup}
                if pair <= gone and pair & newly:
                    out |= region
        return out

    def _owe(self, orphans: Region, now: Instant, grace_ms: int) -> None:
        self._newly_lost = set()
        if orphans and grace_ms > 0:
            self.graces.append((orphans, now.boot_ns + grace_ms * NS_PER_MS))

    def current_view(self, now: Instant) -> View | None:
        """Return the current view with what remains of its graces (G1)."""
        self.graces = [g for g in self.graces if g[1] > now.boot_ns]
        if self.view is None:
            return None
        graces = tuple(Grace(region, -((now.boot_ns - until) // NS_PER_MS)) for region, until in self.graces)
        return replace(self.view, graces=graces)

    def fact(self, kind: EventKind) -> Event:
        """Build a fact about the current view."""
        if self.view is None:
            return Event(kind)
        up, total = len(self.view.up), len(self.view.members)
        detail = f"{up} of {total} members up"
        if self.graces:
            detail += f"; {sum(r.share for r, _ in self.graces):.0%} of the ring in a grace"
        return Event(kind, view=self.view.number, version=self.view.version, detail=detail)

    # --- the journal ----------------------------------------------------------------

    def dump(self, now: Instant) -> dict[str, Any]:
        """Return it as JSON can hold it; graces end at a wall-clock time."""
        return {
            "format": 1,
            "highest": self.highest,
            "settled_view": self.settled_view,
            "view": _dump_view(self.view) if self.view else None,
            "eras": [_dump_view(v) for v in self.eras],
            "lost": [[m.address, m.incarnation] for m in sorted(self.lost)],
            "graces": [[list(region.intervals), now.wall_ns + until - now.boot_ns] for region, until in self.graces],
        }

    @classmethod
    def load(cls, journal: dict[str, Any] | None, now: Instant) -> Ledger:
        """Return what a journal holds, or an empty ledger."""
        if journal is None:
            return cls()
        ledger = cls(
            view=_load_view(journal["view"]) if journal["view"] else None,
            settled_view=journal["settled_view"],
            highest=journal["highest"],
            eras=[_load_view(v) for v in journal["eras"]],
            lost={MemberId(a, i) for a, i in journal["lost"]},
        )
        longest_ns = LEASE_MS_MAX * NS_PER_MS  # a clock that was set cannot make it longer
        for intervals, until_wall_ns in journal["graces"]:
            left_ns = min(until_wall_ns - now.wall_ns, longest_ns)
            if left_ns > 0:
                ledger.graces.append((_load_region(intervals), now.boot_ns + left_ns))
        return ledger


def _dump_view(view: View) -> dict[str, Any]:
    return {
        "number": view.number,
        "version": view.version,
        "previous": view.previous,
        "members": [[m.address, m.incarnation, m.down] for m in view.members],
    }


def _load_view(raw: dict[str, Any]) -> View:
    members = tuple(Member(a, i, down=d) for a, i, d in raw["members"])
    return View(raw["number"], raw["version"], members, raw["previous"])


def _load_region(raw: list[list[int]]) -> Region:
    return Region.of((start, stop) for start, stop in raw)
