"""One lock's life: who held it, from when until when, at which nodes, and what was refused. Made of its events.

Pure: rows come in, in the order in which they were recorded; nodes report apart, so what belongs together is found by
generation, which each hold has one of.

Invariants
  L1  Nothing is told that no event says: a hold whose beginning or end is not among the rows says so.
Elsewhere: reading the rows and asking the nodes (lock).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dlmsite.journal.models import LockEvent
from lockcore.core.events import EventKind

BEGINS: Final = frozenset({EventKind.GRANTED, EventKind.READMITTED})
SERVES: Final = frozenset({EventKind.GRANTED, EventKind.READMITTED, EventKind.PROMOTED, EventKind.TRANSFERRED})
ENDS: Final = frozenset({EventKind.RELEASED, EventKind.EXPIRED})
KINDS: Final = SERVES | ENDS | {EventKind.DEMOTED, EventKind.MIGRATED, EventKind.REFUSED}
"""What a life is made of; queues and ranges are told beside it."""
BY_OPERATOR: Final = "by an operator: "


@dataclass(slots=True)
class Stay:
    """A node that served the lock, since when and how it came to."""

    node: str
    at_ns: int
    how: str
    event: int


@dataclass(slots=True)
class Owner:
    """Whose it was, since when: a migration gives a hold another."""

    name: str
    session: str
    at_ns: int


@dataclass(slots=True)
class Held:
    """One hold.

    `begin_ns` None: it began before the rows. `how`: released, expired,
    taken away; "" while it goes on, or where no row says how it ended.
    """

    generation: int
    begin_ns: int | None = None
    end_ns: int | None = None
    how: str = ""
    why: str = ""
    renewals: int = 0
    ttl_ms: int = 0
    view: int = 0
    event: int = 0
    owners: list[Owner] = field(default_factory=list)
    stays: list[Stay] = field(default_factory=list)


def holds_of(rows: Iterable[LockEvent]) -> list[Held]:
    """Return the holds of one key, newest first."""
    found: dict[int, Held] = {}
    for row in rows:
        kind = EventKind(row.kind)
        if row.generation and kind in KINDS and kind is not EventKind.REFUSED:
            _note(found.setdefault(row.generation, Held(row.generation)), row, kind)
    for held in found.values():
        held.stays.sort(key=lambda stay: stay.at_ns)
    return sorted(found.values(), key=lambda held: -held.generation)


def _note(held: Held, row: LockEvent, kind: EventKind) -> None:
    held.view = held.view or row.view
    held.event = held.event or row.pk
    held.ttl_ms = row.ttl_ms or held.ttl_ms
    held.renewals += row.renewals
    if kind in BEGINS:
        held.begin_ns = row.wall_ns if held.begin_ns is None else min(held.begin_ns, row.wall_ns)
    if kind in SERVES:
        held.stays.append(Stay(row.source, row.wall_ns, row.kind, row.pk))
    if not held.owners or kind is EventKind.MIGRATED:
        held.owners.append(Owner(row.owner, row.session or "", row.wall_ns))
    if kind in ENDS and held.end_ns is None:
        held.end_ns = row.wall_ns
        held.how = "taken away" if row.detail.startswith(BY_OPERATOR) else row.kind
        held.why = row.detail.removeprefix(BY_OPERATOR)
