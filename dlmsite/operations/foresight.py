"""What a set of changes would do to the ring and to each lock: the plan, before anybody commits to it.

Pure. It begins at a settled view without dead members, as the master does with all that is planned, and follows the
rings of the views that will come. Only kills can meet each other half-way, for the master lets nobody go or in before
everybody is settled. So "together" has three waves: all kills at the same moment, then all joins, then all goodbyes; in
turn each change is a wave of its own, and begins when the one before it has settled.

What happens to a lock is named as the cluster will record it: `promoted` where a node that had a copy becomes its
primary (the former primary died, or said goodbye), `transferred` where it is sent to a node that had none (a newcomer),
`stays` where the primary remains. Where every node that knew it died at once, or nobody is left, it is a `grace`: its
holder may come back, nobody else gets it, until the longest lease is over.

Invariants
  F1  The shares of what happens to the key space add up to 1.
  F2  The owners afterwards are those of the ring without who leaves and with who joins, whatever the pace.
Elsewhere: the rows of a plan (planrows), carrying it out (helm, turns), what became of it (outcomes), the same rules
in the cluster itself (lockcore.core.ledger, views), against which a test compares this.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Final

from lockcore.core.region import SPACE
from lockcore.core.ring import HashRing

CHANGES_MAX: Final = 16
"""In one plan. The helm claims as many requests at a time, so that kills that belong together are."""

Owners = tuple[str | None, str | None]
"""(primary, backup)"""


class What(StrEnum):
    """A change of the ring that can be staged, in the order of the waves."""

    KILL = "kill"
    ADD = "add"
    STOP = "stop"


class Pace(StrEnum):
    """Whether changes happen at once, or each when the one before it has settled."""

    TOGETHER = "together"
    IN_TURN = "in turn"


class Fate(StrEnum):
    """What happens to a lock."""

    STAYS = "stays"
    PROMOTED = "promoted"
    TRANSFERRED = "transferred"
    GRACE = "grace"


@dataclass(frozen=True, slots=True)
class Change:
    """A staged change; the address of one that is added is the one it is expected to get."""

    what: What
    label: str
    address: str


@dataclass(frozen=True, slots=True)
class Hop:
    """A lock goes to another primary."""

    node: str
    how: Fate


@dataclass(frozen=True, slots=True)
class Course:
    """What happens to the locks of one stretch of the ring: owners before and after, and the primaries on the way.

    `hops` ends where it is lost.
    """

    before: Owners
    after: Owners
    hops: tuple[Hop, ...]
    fate: Fate

    @property
    def copied(self) -> bool:
        """Whether another node has to be told, to be its backup."""
        return self.fate is not Fate.GRACE and self.after[1] is not None and self.after[1] not in self.before


@dataclass(frozen=True, slots=True)
class _Step:
    """One view: what kind of change makes it, who goes in it, the ring it gives."""

    what: What
    gone: frozenset[str]
    ring: HashRing


class Foresight:
    """The plan of some changes.

    Args:
        members: addresses of the ring as it is, all of them up.
        changes: distinct nodes; who is killed or stopped is a member, who is added is none.
        pace: how they follow each other.
    """

    def __init__(self, members: Iterable[str], changes: Sequence[Change], pace: Pace) -> None:
        self.before = HashRing(members)
        self.waves = waves(changes, pace)
        self._steps = tuple(_steps(self.before.servers, self.waves))
        living = set(self.before.servers)
        for change in changes:
            living = living | {change.address} if change.what is What.ADD else living - {change.address}
        self.after = HashRing(living)
        self._cuts = sorted({p for ring in (self.before, self.after, *self._rings()) for p, _ in ring.virtual_nodes()})
        self._courses = self._follow_all()

    def course_at(self, position: int) -> Course:
        """Return what happens to a lock at a position."""
        if not self._cuts:
            return _nowhere()
        return self._courses[bisect_left(self._cuts, position) % len(self._cuts)]

    def stretches(self) -> Iterator[tuple[int, Course]]:
        """Yield (size, course) of every stretch of the ring; the sizes add up to 2^32."""
        if not self._cuts:
            yield SPACE, _nowhere()
        for i, course in enumerate(self._courses):
            size = (self._cuts[i] - self._cuts[i - 1]) % SPACE
            yield size or SPACE, course  # one cut: all the way round

    def shares(self) -> dict[Fate, float]:
        """Return the share of the key space of each fate (F1)."""
        sizes = dict.fromkeys(Fate, 0)
        for size, course in self.stretches():
            sizes[course.fate] += size
        return {fate: size / SPACE for fate, size in sizes.items()}

    def copied_share(self) -> float:
        """Return the share of the key space of which another node becomes the backup."""
        return sum(size for size, course in self.stretches() if course.copied) / SPACE

    def flows(self) -> list[tuple[str | None, str | None, float]]:
        """Return (from, to, share) of the key space that changes its primary, largest first."""
        sizes: dict[tuple[str | None, str | None], int] = {}
        for size, course in self.stretches():
            pair = course.before[0], course.after[0]
            if pair[0] != pair[1]:
                sizes[pair] = sizes.get(pair, 0) + size
        found = sorted(sizes.items(), key=lambda item: (-item[1], str(item[0])))
        return [(source, target, size / SPACE) for (source, target), size in found]

    def _rings(self) -> Iterator[HashRing]:
        return (step.ring for step in self._steps)

    def _follow_all(self) -> list[Course]:
        known: dict[tuple[Owners, ...], Course] = {}
        courses = []
        for cut in self._cuts:
            owners = tuple(ring.owners_at(cut) for ring in (self.before, *self._rings(), self.after))
            course = known.get(owners)
            if course is None:
                course = known[owners] = _follow(owners, self._steps)
            courses.append(course)
        return courses


def waves(changes: Sequence[Change], pace: Pace) -> tuple[tuple[Change, ...], ...]:
    """Return the changes in the order in which they are done: those of one wave at once."""
    if pace is Pace.IN_TURN:
        return tuple((change,) for change in changes)
    order = list(What)
    kinds = sorted(changes, key=lambda change: order.index(change.what))
    return tuple(tuple(group) for _, group in groupby(kinds, key=lambda change: change.what))


def _steps(members: Collection[str], all_waves: Iterable[tuple[Change, ...]]) -> Iterator[_Step]:
    living = set(members)
    for wave in all_waves:
        what, addresses = wave[0].what, frozenset(change.address for change in wave)
        if what is What.ADD:
            living |= addresses
            yield _Step(what, frozenset(), HashRing(living))
        else:
            yield _Step(what, addresses, HashRing(living, down=addresses))
            living -= addresses


def _follow(owners: Sequence[Owners], steps: Sequence[_Step]) -> Course:
    """Go through the views: `owners` are those before, in each step, and afterwards."""
    hops: list[Hop] = []
    lost = False
    for (primary, backup), (heir, _), step in zip(owners, owners[1:], steps, strict=False):
        pair = {primary} if backup is None else {primary, backup}
        lost = heir is None or (step.what is What.KILL and pair <= step.gone)
        if lost:
            break
        if heir != primary and heir is not None:
            hops.append(Hop(heir, Fate.TRANSFERRED if step.what is What.ADD else Fate.PROMOTED))
    kinds = {hop.how for hop in hops}
    fate = next((fate for fate in (Fate.TRANSFERRED, Fate.PROMOTED) if fate in kinds), Fate.STAYS)
    return Course(owners[0], owners[-1], tuple(hops), Fate.GRACE if lost else fate)


def _nowhere() -> Course:
    return Course((None, None), (None, None), (), Fate.STAYS)
