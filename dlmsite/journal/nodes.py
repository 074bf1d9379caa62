"""Nodes and views as they are now: what the supervisor and the master see, written down.

Synchronous; runs in the journal's thread (Recorder.run).

Invariants
  N1  A label keeps its row and its colour for ever.
  N2  What nobody knows is written as unknown, never as what it was.
Elsewhere: who looks (dlmsite.operations.watch).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection, transaction

from dlmsite.journal.models import MasterSight, Node, RingVersion
from dlmsite.journal.momentnodes import Sights

STATES: Final = frozenset(
    {
        "up", "joining", "acquiring", "leaving", "suspected", "fenced", "down", "paused", "stopped", "killed",
        "unknown",
    }
)  # fmt: skip
NS_PER_MS: Final = 1_000_000
COLORS: Final = 64
"""More nodes than this share colours; their labels differ all the same."""


@dataclass(frozen=True, slots=True)
class NodeSample:
    """A node at one moment.

    Attributes:
        pid: None where no process is known.
        settled: it lacks nothing in `view`.
        operations: since its start; None where unknown.
        heartbeat_at_ns: wall clock; None where it was never heard.
    """

    label: str
    address: str
    state: str
    incarnation: int = 0
    pid: int | None = None
    settled: bool = False
    view: int = 0
    held_primary: int = 0
    held_backup: int = 0
    operations: int | None = None
    heartbeat_at_ns: int | None = None
    gauges: Mapping[str, Any] = field(default_factory=dict)


class NodeBook:
    """Keeps the Node rows, and their past (momentnodes); remembers the last sample of each for its rate."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[int, int, int]] = {}  # label -> (incarnation, operations, at_ns)
        self._sights = Sights()

    def write(self, samples: Sequence[NodeSample], now_ns: int) -> None:
        """Write what was seen; nodes that are not among the samples become unknown (N2)."""
        seen = {sample.label: sample for sample in samples}
        with transaction.atomic():
            rows = {node.label: node for node in Node.objects.all()}
            for label in sorted(seen.keys() - rows.keys(), key=lambda name: (len(name), name)):  # n2 before n10
                rows[label] = Node.objects.create(label=label, address=seen[label].address, color=_free_color(rows))
            for label, row in rows.items():
                if label in seen:
                    self._fill(row, seen[label], now_ns)
                else:
                    _forget(row, now_ns)
            _update(rows.values())
            self._sights.note(rows.values(), now_ns)

    def _fill(self, row: Node, sample: NodeSample, now_ns: int) -> None:
        row.address = sample.address
        row.incarnation = sample.incarnation
        row.pid = sample.pid
        row.state = sample.state if sample.state in STATES else "unknown"
        row.settled = sample.settled
        row.view = sample.view
        row.held_primary = sample.held_primary
        row.held_backup = sample.held_backup
        row.gauges = dict(sample.gauges)
        row.ops_per_s = self._rate(sample, now_ns)
        row.heartbeat_at_ns = sample.heartbeat_at_ns
        row.updated_at_ns = now_ns

    def _rate(self, sample: NodeSample, now_ns: int) -> float:
        """Return operations per second since the last sample of the same life."""
        if sample.operations is None:
            self._counted.pop(sample.label, None)
            return 0.0
        incarnation, operations, at_ns = self._counted.get(sample.label, (0, 0, 0))
        self._counted[sample.label] = (sample.incarnation, sample.operations, now_ns)
        if incarnation != sample.incarnation or now_ns <= at_ns or sample.operations < operations:
            return 0.0
        return round((sample.operations - operations) * 1e9 / (now_ns - at_ns), 1)


_FIELDS: Final = (
    "address", "incarnation", "pid", "state", "settled", "view", "held_primary", "held_backup", "gauges", "ops_per_s",
    "heartbeat_at_ns", "updated_at_ns",
)  # fmt: skip


def _update(rows: Iterable[Node]) -> None:
    """Twice a second for every node: bulk_update's one long CASE per column costs ten times as much."""
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(name)} = %s" for name in _FIELDS)
    # Names come from the constant above.
    statement = f"UPDATE {quote(Node._meta.db_table)} SET {assignments} WHERE {quote('id')} = %s"  # noqa: S608, SLF001
    values = [
        [json.dumps(row.gauges) if name == "gauges" else getattr(row, name) for name in (*_FIELDS, "id")]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)


@dataclass(frozen=True, slots=True)
class ViewSample:
    """A view that the master published; `members` are (address, incarnation, down)."""

    number: int
    version: int
    previous: int
    members: tuple[tuple[str, int, bool], ...]
    settled: bool


def write_view(view: ViewSample, now_ns: int) -> None:
    """Write a view down; its settling once, whenever it is told."""
    listed = [{"address": a, "incarnation": str(i), "down": down} for a, i, down in view.members]
    values = {"version": view.version, "previous": view.previous, "members": listed, "at_ns": now_ns}
    RingVersion.objects.get_or_create(number=view.number, defaults=values)
    if view.settled:
        RingVersion.objects.filter(number=view.number, settled_at_ns=None).update(settled_at_ns=now_ns)


def write_sight(stabilising_ms: int | None, now_ns: int) -> None:
    """Write down that the master was looked at, and how long its stabilisation delay still runs (None: it does not)."""
    until_ns = None if stabilising_ms is None else now_ns + stabilising_ms * NS_PER_MS
    values = {"at_ns": now_ns, "stabilising_until_ns": until_ns}
    if not MasterSight.objects.filter(pk=1).update(**values):
        MasterSight.objects.create(pk=1, **values)


def _forget(row: Node, now_ns: int) -> None:
    row.pid = None
    row.state = "unknown"
    row.settled = False
    row.held_primary = row.held_backup = 0
    row.ops_per_s = 0.0
    row.gauges = {}
    row.updated_at_ns = now_ns


def _free_color(rows: Mapping[str, Node]) -> int:
    taken = {row.color for row in rows.values()}
    return next((color for color in range(COLORS) if color not in taken), len(rows) % COLORS)
