"""Facts from the history: what nodes, master and operators' rows told of a run.

Synchronous; every query is served by an index and bounded.

Elsewhere: what a run's own clients heard (hands), judging (verdicts).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from django.db.models import QuerySet

from dlmsite.journal.models import LockEvent, Node, RingVersion
from dlmsite.operations.models import OperatorAction
from dlmsite.operations.scenarios.facts import Deed, Published, Record, Told
from lockcore.core.events import EventKind
from lockcore.core.ring import position_of

ROWS_MAX: Final = 500
NODE_KINDS: Final = (EventKind.JOINED, EventKind.LEFT, EventKind.DIED, EventKind.FENCED, EventKind.UNFENCED)
ENDS: Final = (EventKind.RELEASED, EventKind.EXPIRED)
HOLDS: Final = frozenset({"pause", "isolate"})


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to a run: rows after `after_id`, views from `view` on, its lock, its actions."""

    after_id: int
    view: int
    started_ns: int
    key: str = ""
    actions: tuple[int, ...] = ()


def begin(started_ns: int) -> Scope:
    """Return where the history is now."""
    after = LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
    view = RingVersion.objects.order_by("-number").values_list("number", flat=True).first() or 0
    return Scope(after, view, started_ns)


def add_recorded(record: Record, scope: Scope) -> Record:
    """Return a record with what the history has of it, and whether that is all."""
    labels = dict(Node.objects.order_by("updated_at_ns").values_list("address", "label"))
    found = replace(
        record,
        lock=_lock(scope, labels),
        nodes=_nodes(scope, labels, NODE_KINDS),
        views=_views(scope, labels),
        deeds=_deeds(OperatorAction.objects.filter(pk__in=scope.actions).order_by("id")),
        others=_others(scope),
    )
    return replace(found, gap=_gap(found, _nodes(scope, labels, (EventKind.GAP,))))


def _lock(scope: Scope, labels: Mapping[str, str]) -> tuple[Told, ...]:
    if not scope.key:
        return ()
    found = LockEvent.objects.filter(position=position_of(scope.key), key=scope.key, id__gt=scope.after_id)
    return _in_time(_told(row, labels) for row in found.order_by("id")[:ROWS_MAX])


def _nodes(scope: Scope, labels: Mapping[str, str], kinds: Sequence[EventKind]) -> tuple[Told, ...]:
    rows = [
        row
        for kind in kinds
        for row in LockEvent.objects.filter(kind=kind.value, id__gt=scope.after_id).order_by("id")[:ROWS_MAX]
    ]
    return _in_time(_told(row, labels) for row in rows)


def _views(scope: Scope, labels: Mapping[str, str]) -> tuple[Published, ...]:
    found = RingVersion.objects.filter(number__gte=scope.view).order_by("number")[:ROWS_MAX]
    return tuple(
        Published(
            view.number,
            view.version,
            view.at_ns,
            frozenset(labels.get(m["address"], m["address"]) for m in view.members if not m["down"]),
        )
        for view in found
    )


def _others(scope: Scope) -> tuple[Deed, ...]:
    """Return what somebody else did to nodes since the run began."""
    first = min(scope.actions, default=0)
    found = OperatorAction.objects.filter(pk__gt=first, started_at_ns__gte=scope.started_ns).exclude(address="")
    return _deeds(found.exclude(pk__in=scope.actions).order_by("id")) if first else ()


def _deeds(actions: QuerySet[OperatorAction]) -> tuple[Deed, ...]:
    return tuple(
        Deed(a.pk, a.what, a.target, a.state, a.started_at_ns or 0, a.ended_at_ns or 0, f"{a.who}: {a.what} {a.target}")
        for a in actions[:ROWS_MAX]
    )


def _told(row: LockEvent, labels: Mapping[str, str]) -> Told:
    source, peer = labels.get(row.source, row.source), labels.get(row.peer, row.peer)
    return Told(row.pk, row.wall_ns, source, row.kind, row.generation, row.view, peer, row.detail)


def _in_time(rows: Iterable[Told]) -> tuple[Told, ...]:
    """Return rows by the time that their source told: nodes report apart."""
    return tuple(sorted(rows, key=lambda told: (told.at_ns, told.event)))


def _gap(record: Record, gaps: tuple[Told, ...]) -> str:
    """Say why facts may be missing (Record.gap)."""
    if gaps:
        return f"some of what {gaps[0].source} told is missing in the history"
    ended = any(t.kind in ENDS and t.generation == record.generation for t in record.lock)
    if not record.generation or not ended:
        return "the history does not have the end of the lock yet"
    for deed in record.deeds:
        back = (t for t in record.nodes if t.kind == EventKind.UNFENCED and t.source == deed.label)
        if deed.what in HOLDS and deed.began_ns and not any(t.at_ns >= deed.began_ns for t in back):
            return f"{deed.label} has not told yet what it did"
    return ""
