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
  G3  A grace never ends sooner for a restart: what is left of it is counted on
      CLOCK_BOOTTIME, and where that began anew it is what was left when written.
  G4  Who began with nothing takes older views, as long as locks of theirs may
      be held, as a past that it does not know.
Elsewhere: when views are made (master), what a grace means (serving).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from lockcore.core.events import Event, EventKind
from lockcore.core.limits import LEASE_MS_MAX, NODE_LEASE_MARGIN_MS, NODE_LEASE_MS, NS_PER_MS
from lockcore.core.region import EVERYWHERE, NOWHERE, Region
from lockcore.core.view import Grace, Member, MemberId, View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lockcore.core.messages import Instant

FORMAT: Final = 2
"""Of the journal. Format 1 held wall-clock dates, which a clock that is set makes wrong."""
LONGEST_NS: Final = (LEASE_MS_MAX + NODE_LEASE_MS + NODE_LEASE_MARGIN_MS) * NS_PER_MS
"""No moment in a journal is further away, whatever is written there."""


@dataclass(slots=True)
class Ledger:
    """The master's memory.

    `graces` holds (region, end in CLOCK_BOOTTIME), `boot_id` names the boot
    in which that clock counts. `blind` is (number, end): the first view of a
    memory that began with nothing, and until when locks may be held of which
    older views know (G4).
    """

    boot_id: str | None = None
    blind: tuple[int, int] | None = None
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

    def is_foreign(self, view: View, now: Instant) -> bool:
        """Say whether a view is from before this memory, and may matter still (G4)."""
        return self.blind is not None and view.number < self.blind[0] and now.boot_ns < self.blind[1]

    def settle(self) -> None:
        """All living members have all they need: the past does not matter."""
        if self.view is not None:
            self.settled_view = self.view.number
            self.eras = [self.view]
            self.lost = set()

    def publish(self, view: View, now: Instant, grace_ms: int, *, unknown_past: bool) -> View:
        """Make `view` the current one; return it complete."""
        if self.view is None:
            until_ns = now.boot_ns + (grace_ms + NODE_LEASE_MS + NODE_LEASE_MARGIN_MS) * NS_PER_MS
            self.blind = None if unknown_past else (view.number, until_ns)
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
        """Return it as JSON can hold it; moments are in CLOCK_BOOTTIME of this boot."""
        return {
            "format": FORMAT,
            "boot_id": self.boot_id,
            "boot_ns": now.boot_ns,
            "blind": self.blind,
            "highest": self.highest,
            "settled_view": self.settled_view,
            "view": _dump_view(self.view) if self.view else None,
            "eras": [_dump_view(v) for v in self.eras],
            "lost": [[m.address, m.incarnation] for m in sorted(self.lost)],
            "graces": [[list(region.intervals), until] for region, until in self.graces],
        }

    @classmethod
    def load(cls, journal: dict[str, Any] | None, now: Instant, boot_id: str | None = None) -> Ledger:
        """Return what a journal holds, or an empty ledger.

        Args:
            journal: what `dump` returned, maybe in another life.
            now: its clocks.
            boot_id: of the boot in which `now` counts; None where that is always the same.

        Raises:
            ValueError: it is of another format.
        """
        if journal is None:
            return cls(boot_id)
        if journal["format"] != FORMAT:
            raise ValueError(f"a journal of format {journal['format']}, not {FORMAT}")
        same_boot = journal["boot_id"] == boot_id and journal["boot_ns"] <= now.boot_ns
        written_ns = now.boot_ns if same_boot else journal["boot_ns"]

        def end_ns(until_ns: int) -> int:
            return now.boot_ns + min(until_ns - written_ns, LONGEST_NS)

        graces = [(_load_region(raw), end_ns(until_ns)) for raw, until_ns in journal["graces"]]
        blind = journal["blind"]
        return cls(
            boot_id=boot_id,
            blind=(blind[0], end_ns(blind[1])) if blind else None,
            view=_load_view(journal["view"]) if journal["view"] else None,
            settled_view=journal["settled_view"],
            highest=journal["highest"],
            eras=[_load_view(v) for v in journal["eras"]],
            lost={MemberId(a, i) for a, i in journal["lost"]},
            graces=[(region, until_ns) for region, until_ns in graces if until_ns > now.boot_ns],
        )


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
