"""A published view: the members of the ring, and which of them are down.

Two numbers, both wall-clock nanoseconds made strictly increasing by the
master: `version` names a membership, `number` names the view. A view with
the same members but another "down" mark keeps its version.

Invariants
  V1  `previous` names the view that this one directly follows, or 0 where
      no continuity is promised. Only who held `previous` may carry anything
      over without being handed it.
  V2  A member is an (address, incarnation): a restarted node is another one.
Elsewhere: when views are made (master), what a node does with one (handover).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lockcore.core.ring import HashRing

if TYPE_CHECKING:
    from lockcore.core.region import Region


@dataclass(frozen=True, slots=True, order=True)
class MemberId:
    """One life of a node: its ring address and its incarnation."""

    address: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member as a view shows it."""

    address: str
    incarnation: int
    down: bool = False

    @property
    def id(self) -> MemberId:
        """The identity without the mark."""
        return MemberId(self.address, self.incarnation)


@dataclass(frozen=True, slots=True)
class Grace:
    """Positions whose every complete copy died, and how long to wait there.

    Until `remaining_ms` after a node adopts the view, fresh locks in
    `region` are refused and holders are re-admitted by their tokens.
    """

    region: Region
    remaining_ms: int


@dataclass(frozen=True)
class View:
    """What the master publishes. Complete: it needs no earlier view."""

    number: int
    version: int
    members: tuple[Member, ...]
    previous: int = 0
    graces: tuple[Grace, ...] = ()

    @cached_property
    def ring(self) -> HashRing:
        """The ring of this view, down members skipped."""
        return HashRing((m.address for m in self.members), down=(m.address for m in self.members if m.down))

    @cached_property
    def up(self) -> dict[str, MemberId]:
        """The members that serve, by address."""
        return {m.address: m.id for m in self.members if not m.down}

    def is_up(self, member: MemberId) -> bool:
        """Say whether this very incarnation serves in the view."""
        return self.up.get(member.address) == member
