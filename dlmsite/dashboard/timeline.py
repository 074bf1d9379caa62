"""What is worth going back to: versions and views, faults, what operators did, violations, as marks on a line of time.

Invariants
  T1  At most MARKS_MAX marks, whatever the range holds: more of them are put together, and say how many they are.
  T2  At most SCANNED_MAX of each kind are looked at, the newest; where that is not all, `cut` says since when it is.
Elsewhere: the picture of a moment (moment), drawing the line (static/js/timelinestrip.js).
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Whole
from dlmsite.dashboard.problems import invalid
from dlmsite.dashboard.shapes import COUNT, TEXT, TIME_MS, WIDE, obj, one_of, several, told
from dlmsite.journal import momentread
from dlmsite.journal.models import LockEvent, RingVersion, Violation
from dlmsite.journal.momentread import LATE_NS, Bounds
from dlmsite.journal.writer import PARAMETERS_MAX, chunks
from dlmsite.operations.models import OperatorAction
from lockcore.core.events import EventKind

if TYPE_CHECKING:
    from django.db.models import QuerySet

MARKS_MAX: Final = 1_000
SCANNED_MAX: Final = 20_000
TEXT_CHARS_MAX: Final = 200
KINDS: Final = ("version", "view", "fault", "action", "violation")
BUCKETS: Final = MARKS_MAX // len(KINDS)
FAULTS: Final = (EventKind.DIED, EventKind.FENCED, EventKind.GAP)
PLURALS: Final = {
    "version": "versions", "view": "views", "fault": "faults", "action": "operator actions", "violation": "violations",
}  # fmt: skip
Json = dict[str, Any]

FROM: Final = Whole("from_ns", "From this time on; otherwise from the first row.", least=0)
TO: Final = Whole("to_ns", "Up to this time; otherwise up to the last row.", least=0)
MARK: Final = obj(
    at_ns=told(WIDE, "of several: of the first"),
    until_ns=told(WIDE, "of several: of the last; else the same"),
    at_ms=TIME_MS,
    until_ms=TIME_MS,
    kind=one_of(*KINDS),
    count=COUNT,
    text=TEXT,
    event=told(WIDE, "its row, if it is one"),
)
LINE: Final = obj(
    from_ns=WIDE,
    to_ns=WIDE,
    first_ns=told(WIDE, "of the oldest row; empty: nothing is recorded"),
    last_ns=WIDE,
    first_event=WIDE,
    last_event=WIDE,
    now_ns=WIDE,
    total=told(COUNT, "how many the marks stand for"),
    marks=several(MARK, "in the order of time"),
    cut=several(obj(kind=one_of(*KINDS), since_ns=WIDE), "kinds of which only the newest were looked at"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something on the line of time; `number` is the row it is made of."""

    at_ns: int
    kind: str
    text: str
    number: int = 0
    event: int = 0
    until_ns: int = 0
    count: int = 1


@json_view("GET", Operation("What is worth going back to, as marks on a line of time.", LINE, (FROM, TO)))
def timeline(request: HttpRequest) -> HttpResponse:
    """Return the marks of a range of time."""
    known = momentread.bounds()
    from_ns, to_ns = FROM.read(request), TO.read(request)
    from_ns = (known.first_ns if known else 0) if from_ns is None else from_ns
    to_ns = max(from_ns, known.last_ns if known else 0) if to_ns is None else to_ns
    if from_ns > to_ns:
        raise invalid("to_ns must not be before from_ns.")
    return answer(
        {
            **marks_between(from_ns, to_ns, known),
            "from_ns": str(from_ns),
            "to_ns": str(to_ns),
            "first_ns": str(known.first_ns) if known else "",
            "last_ns": str(known.last_ns) if known else "",
            "first_event": str(known.first_id) if known else "",
            "last_event": str(known.last_id) if known else "",
            "now_ns": str(time.time_ns()),
        }
    )


def marks_between(from_ns: int, to_ns: int, known: Bounds | None) -> Json:
    """Return the marks of a range of time: total, marks, and what was cut."""
    found = _read(from_ns, to_ns, known)
    marks = _tell_views(thin([mark for some in found.values() for mark in some], from_ns, to_ns))
    cut = [(kind, some[-1].at_ns) for kind, some in found.items() if len(some) >= SCANNED_MAX]
    return {
        "total": sum(map(len, found.values())),
        "marks": [mark_of(mark) for mark in marks],
        "cut": [{"kind": kind, "since_ns": str(since)} for kind, since in cut],
    }


def by_time(rows: "QuerySet[Any]", field: str, from_ns: int, to_ns: int) -> "QuerySet[Any]":
    """Return the rows of a range of time, newest first, where times rise with the ids."""
    last = rows.order_by("-id").values_list("id", flat=True).first() or 0
    times = rows.values_list("id", field)
    low, high = (momentread.bisect(times, at_ns, 1, last) for at_ns in (from_ns - 1, to_ns))
    return rows.filter(id__gte=low, id__lt=high).order_by("-id")


def thin(marks: Iterable[Mark], from_ns: int, to_ns: int) -> list[Mark]:
    """Return marks in the order of time, those of one kind put together where there are too many."""
    ordered = sorted(marks, key=lambda mark: (mark.at_ns, KINDS.index(mark.kind), mark.number))
    if len(ordered) <= MARKS_MAX:
        return ordered
    width = max(1, (to_ns - from_ns) // BUCKETS + 1)
    found: dict[tuple[int, str], Mark] = {}
    for mark in ordered:
        place = ((mark.at_ns - from_ns) // width, mark.kind)
        first = found.get(place)
        found[place] = mark if first is None else _together(first, mark)
    return list(found.values())


def mark_of(mark: Mark) -> Json:
    """Return a MARK."""
    until_ns = mark.until_ns or mark.at_ns
    return {
        "at_ns": str(mark.at_ns),
        "until_ns": str(until_ns),
        "at_ms": picture.ms(mark.at_ns),
        "until_ms": picture.ms(until_ns),
        "kind": mark.kind,
        "count": mark.count,
        "text": mark.text[:TEXT_CHARS_MAX],
        "event": picture.wide(mark.event),
    }


# --- inside ---------------------------------------------------------------------------------------------------------


def _together(first: Mark, mark: Mark) -> Mark:
    count = first.count + mark.count
    return replace(first, until_ns=mark.at_ns, count=count, text=f"{count:,} {PLURALS[mark.kind]}", event=0, number=0)


def _read(from_ns: int, to_ns: int, known: Bounds | None) -> dict[str, list[Mark]]:
    """Return the marks of each kind, newest first."""
    versions, views = _views(from_ns, to_ns)
    return {
        "version": versions,
        "view": views,
        "fault": _faults(from_ns, to_ns, known) if known else [],
        "action": _actions(from_ns, to_ns),
        "violation": _violations(from_ns, to_ns),
    }


def _views(from_ns: int, to_ns: int) -> tuple[list[Mark], list[Mark]]:
    rows = RingVersion.objects.filter(at_ns__range=(from_ns, to_ns)).order_by("-at_ns", "-number")
    versions, views = [], []
    for number, version, at_ns in rows.values_list("number", "version", "at_ns")[:SCANNED_MAX]:
        if number == version:  # else it has kept its version: only a "down" mark differs
            versions.append(Mark(at_ns, "version", "A new version of the ring", number))
        else:
            views.append(Mark(at_ns, "view", "A new view of the same version", number))
    return versions, views


def _faults(from_ns: int, to_ns: int, known: Bounds) -> list[Mark]:
    low, high = momentread.id_after(max(0, from_ns - LATE_NS), known), momentread.id_after(to_ns + LATE_NS, known)
    labels = picture.node_labels()
    rows: list[tuple[Any, ...]] = []
    for kind in FAULTS:  # one after the other, for the index has the kind first
        some = LockEvent.objects.filter(kind=kind.value, id__gte=low, id__lt=high).order_by("-id")
        rows += some.values_list("id", "wall_ns", "kind", "source", "peer", "detail")[:SCANNED_MAX]
    rows.sort(reverse=True)
    marks = [_fault(row, labels) for row in rows if from_ns <= row[1] <= to_ns]
    return marks[:SCANNED_MAX]


def _fault(row: tuple[Any, ...], labels: Mapping[str, str]) -> Mark:
    number, wall_ns, kind, source, peer, detail = row
    who = labels.get(peer or source, peer or source) if kind == EventKind.DIED else labels.get(source, source)
    text = f"{who}: {detail}" if kind == EventKind.GAP else f"{who} {kind}: {detail}" if detail else f"{who} {kind}"
    return Mark(wall_ns, "fault", text, number, event=number)


def _actions(from_ns: int, to_ns: int) -> list[Mark]:
    rows = by_time(OperatorAction.objects.all(), "requested_at_ns", from_ns, to_ns)
    fields = ("id", "requested_at_ns", "who", "what", "target", "state")
    return [
        Mark(
            at_ns,
            "action",
            f"{what} {target} by {who}".replace("  ", " ") + ("" if state == "done" else f" ({state})"),
            number,
        )
        for number, at_ns, who, what, target, state in rows.values_list(*fields)[:SCANNED_MAX]
    ]


def _violations(from_ns: int, to_ns: int) -> list[Mark]:
    rows = by_time(Violation.objects.all(), "found_at_ns", from_ns, to_ns)
    return [
        Mark(at_ns, "violation", f"{rule}: {text}", number, event=second or 0)
        for number, at_ns, rule, text, second in rows.values_list("id", "found_at_ns", "rule", "text", "second_id")[
            :SCANNED_MAX
        ]
    ]


def _tell_views(marks: Sequence[Mark]) -> Iterator[Mark]:
    """Yield the marks, those of single views with what is new in them."""
    numbers = [mark.number for mark in marks if mark.kind in {"version", "view"} and mark.count == 1]
    labels = picture.node_labels()
    members: dict[int, list[Json]] = {}
    for some in chunks(numbers, PARAMETERS_MAX):
        members.update(RingVersion.objects.filter(number__in=some).values_list("number", "members"))
    before: Sequence[Json] | None = None
    for mark in marks:
        now = members.get(mark.number) if mark.kind in {"version", "view"} else None
        if now is None:
            yield mark
            continue
        yield replace(mark, text=f"{mark.text}: {told_members(before, now, labels)}")
        before = now


def told_members(before: Sequence[Json] | None, now: Sequence[Json], labels: Mapping[str, str]) -> str:
    """Return what is new among members, or how many there are."""
    up = sum(not member["down"] for member in now)
    counted = f"{up} of {len(now)} members up"
    if before is None:
        return counted
    was, is_now = ({member["address"]: member for member in members} for members in (before, now))
    news = [f"{labels.get(a, a)} joined" for a in is_now.keys() - was.keys()]
    news += [f"{labels.get(a, a)} left" for a in was.keys() - is_now.keys()]
    for address in is_now.keys() & was.keys():
        if is_now[address]["down"] != was[address]["down"]:
            news.append(f"{labels.get(address, address)} {'down' if is_now[address]['down'] else 'up again'}")
    return f"{', '.join(sorted(news))}; {counted}" if news else counted
