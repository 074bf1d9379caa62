"""Which locks are held now, folded from events.

Pure: events come in, changes come out, nothing is kept until `commit`. Events of one source arrive in their order;
events of different sources in any order, some of them late (a killed node's last events are read after its backup's).

A lock's history is ordered by (generation, seq, wall clock of the event). The wall clock only decides between events of
one state of one lock: two nodes that tell of the same handover.

Invariants
  P1  A row never goes back in that order.
  P2  An ending is remembered, so that a late event does not bring the lock back. Memory is bounded: what was recorded
      before `horizon_ns` may be forgotten, and an event that old is a suspect, to be checked against rows of endings.
  P3  A copy that runs out on a node that serves the lock no longer ends nothing.
Elsewhere: reading and writing the rows (writer).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from lockcore.core.events import Event, EventKind, NumberedEvent

HELD_MAX: Final = 250_000
"""More held locks than this are not projected; the events themselves are all rows."""
ENDED_MAX: Final = 100_000
"""At 5,000 events a second still more than ten seconds of endings."""
SUSPECT_SLACK_NS: Final = 5_000_000_000
"""Wall clocks of two machines differ less than this."""
LOST_AFTER_NS: Final = 70_000_000_000
"""The longest lease (60 s) with room: what a dead node held and nobody took over is free by then."""

FOREVER: Final = (1 << 63) - 1
"""Seq of a release: nothing of its generation comes after it."""

HOLDING: Final = frozenset(
    {
        EventKind.GRANTED,
        EventKind.READMITTED,
        EventKind.PROMOTED,
        EventKind.TRANSFERRED,
        EventKind.DEMOTED,
        EventKind.MIGRATED,
    }
)
"""A migration is another session with the same generation: it was held all the time."""
ENDING: Final = frozenset({EventKind.RELEASED, EventKind.EXPIRED})

Order = tuple[int, int, int]
"""(generation, seq, wall_ns)"""
_NO_END: Final[tuple[Order, int]] = ((0, 0, 0), 0)
Life = tuple[str, int]
"""(address, incarnation) of a node; incarnation 0 where an event names only the address"""


@dataclass(frozen=True, slots=True)
class Held:
    """A lock and who serves it."""

    key: str
    node: str
    incarnation: int
    owner: str
    generation: int
    seq: int
    order_ns: int
    since_ns: int
    ttl_ms: int
    session: str = ""

    @property
    def order(self) -> Order:
        """Its place in the lock's history."""
        return (self.generation, self.seq, self.order_ns)


@dataclass(frozen=True, slots=True)
class Fact:
    """An event and whose it is."""

    source: str
    incarnation: int
    told: NumberedEvent


@dataclass(slots=True)
class Changes:
    """What a transaction has to write: rows to put, keys to drop, endings to remember."""

    held: dict[str, Held | None] = field(default_factory=dict)
    ended: dict[str, Order] = field(default_factory=dict)


class Projection:
    """The held locks, as far as the events so far say.

    Args:
        rows: what was projected before.
        now_ns: wall clock; nothing that ended before is remembered.
    """

    def __init__(self, rows: Iterable[Held], now_ns: int) -> None:
        self.held: dict[str, Held] = {row.key: row for row in rows}
        self.horizon_ns = now_ns
        self._ended: dict[str, tuple[Order, int]] = {}  # with when it was recorded; oldest first
        self._missing_since_ns: dict[Life, int] = {}

    def suspects(self, facts: Iterable[Fact]) -> dict[str, int]:
        """Return keys whose ending may have been forgotten (P2), with the generation that an event claims is held."""
        limit_ns = self.horizon_ns + SUSPECT_SLACK_NS
        found: dict[str, int] = {}
        for fact in facts:
            event = fact.told.event
            if event.kind in HOLDING and fact.told.wall_ns < limit_ns and event.key not in self._ended:
                found[event.key] = min(event.generation, found.get(event.key, event.generation))
        return found

    def fold(self, facts: Iterable[Fact], endings: dict[str, Order] | None = None) -> Changes:
        """Return what the facts change, in the order they come.

        Args:
            facts: events that were never folded before.
            endings: of suspects, the last one that is known from rows.
        """
        changes = Changes(ended=dict(endings or {}))
        for fact in facts:
            event = fact.told.event
            if not event.key:
                continue
            if event.kind in ENDING:
                self._end(changes, fact, event)
            elif event.kind in HOLDING:
                self._hold(changes, fact, event)
        return changes

    def commit(self, changes: Changes, now_ns: int) -> None:
        """Keep what has been written."""
        for key, held in changes.held.items():
            if held is None:
                self.held.pop(key, None)
            else:
                self.held[key] = held
        for key, order in changes.ended.items():
            self._ended.pop(key, None)
            self._ended[key] = (order, now_ns)
        while len(self._ended) > ENDED_MAX:
            _, recorded_ns = self._ended.pop(next(iter(self._ended)))
            self.horizon_ns = max(self.horizon_ns, recorded_ns)

    def lost(self, living: Iterable[Life], now_ns: int) -> Changes:
        """Return the removal of locks whose node has been gone for longer than any lease.

        Nobody told their end: both nodes that knew them died.
        """
        lives = set(living)
        addresses = {address for address, _ in lives}
        missing: dict[Life, int] = {}
        changes = Changes()
        for held in self.held.values():
            life = (held.node, held.incarnation)
            if life in lives or (held.incarnation == 0 and held.node in addresses):
                continue
            since_ns = missing.setdefault(life, self._missing_since_ns.get(life, now_ns))
            if now_ns - since_ns >= LOST_AFTER_NS:
                changes.held[held.key] = None
        self._missing_since_ns = missing
        return changes

    def _end(self, changes: Changes, fact: Fact, event: Event) -> None:
        held = self._held(changes, event.key)
        if event.kind is EventKind.RELEASED:
            order = (event.generation, FOREVER, FOREVER)
        else:
            order = (event.generation, event.seq, fact.told.wall_ns)
            if held is not None and held.generation == event.generation and held.node != fact.source:
                return  # P3
        changes.ended[event.key] = max(order, self._end_of(changes, event.key))
        if held is not None and held.generation <= event.generation:
            changes.held[event.key] = None

    def _hold(self, changes: Changes, fact: Fact, event: Event) -> None:
        order = (event.generation, event.seq, fact.told.wall_ns)
        held = self._held(changes, event.key)
        # Whatever ended it has left no row here; an ending that did not (P3) is among the rows of endings all the same.
        if order < held.order if held is not None else order <= self._end_of(changes, event.key):
            return
        if event.kind is EventKind.DEMOTED:
            if held is not None and event.peer:
                changes.held[event.key] = replace(
                    held, node=event.peer, incarnation=0, seq=event.seq, order_ns=fact.told.wall_ns
                )
            return
        if held is None and len(self.held) + len(changes.held) >= HELD_MAX:
            return
        same = held is not None and held.generation == event.generation
        changes.held[event.key] = Held(
            key=event.key,
            node=fact.source,
            incarnation=fact.incarnation,
            owner=event.owner,
            generation=event.generation,
            seq=event.seq,
            order_ns=fact.told.wall_ns,
            since_ns=held.since_ns if held is not None and same else fact.told.wall_ns,
            ttl_ms=event.ttl_ms or (held.ttl_ms if held is not None else 0),
            session=event.session,
        )

    def _held(self, changes: Changes, key: str) -> Held | None:
        return changes.held[key] if key in changes.held else self.held.get(key)

    def _end_of(self, changes: Changes, key: str) -> Order:
        return changes.ended.get(key) or self._ended.get(key, _NO_END)[0]
