"""What goes into an incident file: an interval of the history with all that is needed to tell it again elsewhere.

    asked -> the picture at its beginning -> its events, piece by piece -> what there was beside them -> what is missing

Invariants
  I1  Bounded: EVENTS_MAX events and BYTES_MAX of them, START_BYTES_MAX of held locks, and so many of all else; what did
      not fit is counted or said, and where events were cut the interval ends with the last of them.
  I2  Nothing is in it that its maker may not see, and no secret: it is made of the rows that the pages show.
Elsewhere: the file (incidentfile), a past picture (moment), the chain (dlmsite.journal.verifying).
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from dlmsite.dashboard import audit, auditlinks, auditquery, invariants, moment, picture
from dlmsite.dashboard.auditfilter import Filter, as_utc
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.dashboard.timeline import by_time
from dlmsite.journal import momentnodes
from dlmsite.journal.models import LockEvent, Node, RingVersion, Violation
from dlmsite.journal.verifying import verify_span
from dlmsite.operations.models import OperatorAction

EVENTS_MAX: Final = 20_000
BYTES_MAX: Final = 64 << 20
START_BYTES_MAX: Final = 16 << 20
PIECE_ROWS: Final = 2_000
VIEWS_MAX: Final = 1_000
ACTIONS_MAX: Final = 200
VIOLATIONS_MAX: Final = 200
SIGHTS_MAX: Final = 500
VERIFIED_MAX: Final = 60_000
FINDINGS_SHOWN: Final = 20
FORMAT: Final = 1
COLUMNS: Final = (
    "id", "wall_ns", "node", "kind", "key", "owner", "generation", "seq", "view", "version", "peer", "detail", "ttl_ms",
    "renewals", "session", "place",
)  # fmt: skip

Json = dict[str, Any]


@dataclass(slots=True)
class Interval:
    """What was asked for, and how far the file has got.

    Attributes:
        maker: who asked.
        events: how many are in the file.
        first_id: of the first of them in the order of ids; 0: none.
        until_ns: wall clock of the newest of them.
        cut: there are more.
    """

    from_ns: int
    to_ns: int
    maker: str
    events: int = 0
    first_id: int = 0
    last_id: int = 0
    until_ns: int = 0
    cut: bool = False
    says: list[str] = field(default_factory=list)


def interval(from_ns: int | None, to_ns: int | None, maker: str) -> Interval:
    """Return an interval of which something is recorded.

    Raises:
        Refusal: it cannot be meant, or nothing of it is recorded.
    """
    if from_ns is None or to_ns is None:
        raise invalid("Say from when to when: ?from=TIME&to=TIME.")
    if from_ns > to_ns:
        raise invalid("from is later than to. Exchange them.")
    ends = auditquery.ends()
    if ends is None or to_ns < ends[0].wall_ns or from_ns > ends[1].wall_ns:
        text = audit.nothing(Filter(from_ns=from_ns, to_ns=to_ns), cut=False)
        raise Refusal(HTTPStatus.NOT_FOUND, "Nothing is recorded of this interval", text)
    return Interval(from_ns, to_ns, maker)


def beginning(asked: Interval) -> Json:
    """Return the head of the file: what was asked for, and the picture when the interval began."""
    before = moment.past_at(max(0, asked.from_ns - 1))
    start = moment.picture_of(before)
    start["locks"], left = _within(start["locks"], START_BYTES_MAX)
    left += max(0, len(before.moment.told.held) - picture.SNAPSHOT_LOCKS_MAX)
    if left:
        asked.says.append(f"{left:,} locks that were held when the interval began are left out for lack of room.")
    labels = picture.node_labels()
    return {
        "format": FORMAT,
        "made_ns": str(time.time_ns()),
        "made_by": asked.maker,
        "from_ns": str(asked.from_ns),
        "to_ns": str(asked.to_ns),
        "columns": COLUMNS,
        "labels": labels,
        "colors": dict(Node.objects.values_list("address", "color")),
        "start": {name: start[name] for name in ("moment", "view", "nodes", "locks")},
        "rules": invariants.RULES,
    }


def pieces(asked: Interval) -> Iterator[list[list[Any]]]:
    """Yield the interval's events in the order of ids, some at a time (COLUMNS); each piece is a query of its own."""
    wanted = Filter(from_ns=asked.from_ns, to_ns=asked.to_ns)
    through, size = 0, 0
    while not asked.cut:
        found = auditquery.page(wanted, min(PIECE_ROWS, EVENTS_MAX - asked.events), after=through)
        through = found.through
        piece = []
        for row in found.rows:
            values = _event(row)
            size += sum(len(value) for value in values if isinstance(value, str))
            if size > BYTES_MAX:
                asked.cut = True
                break
            _note(asked, row)
            piece.append(values)
        yield piece
        if not found.more:
            return
        asked.cut = asked.cut or asked.events >= EVENTS_MAX


def rest(asked: Interval) -> Json:
    """Return the end of the file: what there was beside the events, whether the rows are whole, what is left out."""
    if asked.cut:
        asked.to_ns = asked.until_ns
        asked.says.append(
            f"The interval holds more events than fit ({EVENTS_MAX:,}, {BYTES_MAX >> 20} MiB): the file ends at "
            f"{as_utc(asked.until_ns)}. Make another one from there on, or of a shorter interval."
        )
    labels = picture.node_labels()
    body = {
        "views": _views(asked, labels),
        "nodes": _sights(asked),
        "actions": _actions(asked, labels),
        "violations": _violations(asked, labels),
        "chain": _chain(asked),
    }
    end = {"events": asked.events, "cut": asked.cut, "to_ns": str(asked.to_ns), "says": asked.says}
    return {**body, **end}


# --- inside ---------------------------------------------------------------------------------------------------------


def _event(row: LockEvent) -> list[Any]:
    wide = picture.wide
    return [
        str(row.pk), str(row.wall_ns), row.source, row.kind, row.key, row.owner, wide(row.generation), wide(row.seq),
        wide(row.view), wide(row.version), row.peer, row.detail, row.ttl_ms, row.renewals, row.session or "",
        wide(row.place or 0),
    ]  # fmt: skip


def _note(asked: Interval, row: LockEvent) -> None:
    asked.events += 1
    asked.first_id = asked.first_id or row.pk
    asked.last_id = row.pk
    asked.until_ns = max(asked.until_ns, row.wall_ns)


def _within(values: list[Any], bytes_max: int) -> tuple[list[Any], int]:
    """Return as many as fit, and how many do not."""
    size = 0
    for at, value in enumerate(values):
        size += len(json.dumps(value))
        if size > bytes_max:
            return values[:at], len(values) - at
    return values, 0


def _most(asked: Interval, rows: list[Any], most: int, what: str) -> list[Any]:
    if len(rows) > most:
        asked.says.append(f"Of the {what} of the interval, the first {most:,} are here.")
    return rows[:most]


def _views(asked: Interval, labels: dict[str, str]) -> list[Json]:
    rows = RingVersion.objects.filter(at_ns__range=(asked.from_ns, asked.to_ns)).order_by("at_ns", "number")
    found = []
    for row in _most(asked, list(rows[: VIEWS_MAX + 1]), VIEWS_MAX, "views"):
        settled_ns = str(row.settled_at_ns) if row.settled_at_ns and row.settled_at_ns <= asked.to_ns else ""
        view = picture.view_of(row, labels) or {}
        changes = auditlinks.changes(row, labels)
        found.append({**view, "at_ns": str(row.at_ns), "settled_ns": settled_ns, "changes": changes})
    return found


def _sights(asked: Interval) -> list[Json]:
    """Return how the nodes were, each time that something about them had changed."""
    seen = momentnodes.seen_between(asked.from_ns, asked.to_ns, SIGHTS_MAX + 1)
    return [
        {"at_ns": str(at_ns), "nodes": [picture.node_of(Node(**values, updated_at_ns=at_ns), at_ns) for values in rows]}
        for at_ns, rows in _most(asked, seen, SIGHTS_MAX, "looks at nodes")
    ]


def _actions(asked: Interval, labels: dict[str, str]) -> list[Json]:
    inside = by_time(OperatorAction.objects.all(), "requested_at_ns", asked.from_ns, asked.to_ns)
    rows = list(inside.order_by("id")[: ACTIONS_MAX + 1])
    found = []
    for row in _most(asked, rows, ACTIONS_MAX, "operators' actions"):
        told = auditlinks.action_json(row)
        views = [{"number": str(view.number), "how": how} for view, how in auditlinks.views_of(row)]
        found.append({**told, "label": labels.get(row.address, ""), "views": views})
    return found


def _violations(asked: Interval, labels: dict[str, str]) -> list[Json]:
    inside = by_time(Violation.objects.all(), "found_at_ns", asked.from_ns, asked.to_ns)
    shown = _most(asked, list(inside.order_by("id")[: VIOLATIONS_MAX + 1]), VIOLATIONS_MAX, "violations")
    return [invariants.violation_of(row, lambda event: picture.event_of(event, labels)) for row in shown]


def _chain(asked: Interval) -> Json:
    """Return the chain's head now, and whether the rows of the interval belong to it."""
    report = verify_span(asked.first_id, asked.last_id, VERIFIED_MAX) if asked.events else verify_span(1, 0, 0)
    place, seal = report.head
    return {
        "head": f"{place}:{seal}" if place else "",
        "checked": report.checked,
        "older": report.older,
        "unchecked": report.unchecked,
        "breaks": report.breaks,
        "found": [finding.text for finding in report.found[:FINDINGS_SHOWN]],
    }
