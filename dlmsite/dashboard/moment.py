"""The picture of a past moment: the shape of a snapshot, and beside it what is known of the moment itself.

Invariants
  P1  What cannot be told again is said (`doubts`, `gaps`), and who was not looked at is unknown, not well.
  P2  Times before the first and after the last row have answers that say so.
Elsewhere: telling locks again (dlmsite.journal.momentread), what moved between two moments (compare), where moments
worth a look are (timeline).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Whole
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.dashboard.shapes import (
    COUNT,
    SNAPSHOT,
    TEXT,
    TIME_MS,
    WIDE,
    maybe,
    obj,
    one_of,
    ref,
    several,
    told,
)
from dlmsite.journal import momentnodes, momentread
from dlmsite.journal.models import LockEvent, Node, RingVersion
from dlmsite.journal.momentread import Bounds, Moment
from dlmsite.journal.moments import Replayed
from dlmsite.journal.projection import Held
from dlmsite.operations.models import ActionState, OperatorAction

GAPS_SHOWN: Final = 20
Json = dict[str, Any]

AT: Final = Whole("at_ns", "The moment: wall clock, nanoseconds since 1970.", least=0)
EVENT: Final = Whole("event", "The moment directly after the event of this id, instead of a time.")
GAP: Final = obj(at_ms=TIME_MS, node=TEXT, label=TEXT, missing=COUNT, text=TEXT)
HEAD: Final = obj(
    at_ns=WIDE,
    at_ms=TIME_MS,
    event=told(WIDE, "rows up to this one were looked at"),
    where=told(one_of("before", "within", "after", "empty"), "where the moment lies: before the first row, ..."),
    first_ns=WIDE,
    last_ns=WIDE,
    held=COUNT,
    frame=told(maybe(WIDE), "the event after which the frame was taken that this was told again from"),
    facts=told(COUNT, "how many were told again after the frame"),
    doubts=several(TEXT, "why it may not be all"),
    missing=told(COUNT, "facts that never arrived, among those told again"),
    gaps=several(GAP, "where they are missing, the first of them"),
)
PAST: Final = obj(**{**SNAPSHOT["properties"], "invariants": maybe(ref("Invariants")), "moment": HEAD})
NOT_FOUND: Final = {HTTPStatus.NOT_FOUND: "There is no such event, or it has been removed."}


@dataclass(frozen=True, slots=True)
class Past:
    """A moment with everything that is shown of it."""

    moment: Moment
    where: str
    known: Bounds
    view: RingVersion | None


@json_view("GET", Operation("The picture as it was at a past moment.", PAST, (AT, EVENT), problems=NOT_FOUND))
def moment(request: HttpRequest) -> HttpResponse:
    """Return a past picture: `at_ns`, or `event`."""
    at_ns, event = AT.read(request), EVENT.read(request)
    if (at_ns is None) == (event is None):
        raise invalid("Say which moment: ?at_ns=NANOSECONDS, or ?event=ID.")
    return answer(picture_of(past_at(at_ns) if at_ns is not None else _past_after(event or 0)))


def past_at(at_ns: int) -> Past:
    """Return what is known of a time."""
    known = momentread.bounds()
    if known is None:
        return Past(_nothing(at_ns, "Nothing has been recorded yet."), "empty", Bounds(0, 0, 0, 0), _view(at_ns))
    if at_ns < known.first_ns:
        return Past(
            _nothing(at_ns, "Nothing is recorded of this time: it is before the first row."),
            "before",
            known,
            _view(at_ns),
        )
    found = momentread.at_time(at_ns, known)
    return Past(found, "after" if at_ns > known.last_ns else "within", known, _view(at_ns))


def head_of(past: Past, labels: Mapping[str, str]) -> Json:
    """Return what is said of the moment itself."""
    found, known = past.moment, past.known
    gaps = [
        {
            "at_ms": picture.ms(gap.wall_ns),
            "node": gap.source,
            "label": labels.get(gap.source, gap.source),
            "missing": gap.missing,
            "text": gap.text,
        }
        for gap in found.told.gaps[:GAPS_SHOWN]
    ]
    return {
        "at_ns": str(found.at_ns),
        "at_ms": picture.ms(found.at_ns),
        "event": str(found.through_id),
        "where": past.where,
        "first_ns": str(known.first_ns),
        "last_ns": str(known.last_ns),
        "held": len(found.told.held),
        "frame": None if found.frame_id is None else str(found.frame_id),
        "facts": found.told.facts,
        "doubts": list(found.doubts),
        "missing": sum(gap.missing for gap in found.told.gaps),
        "gaps": gaps,
    }


def picture_of(past: Past) -> Json:
    """Return a SNAPSHOT of the moment, with its head."""
    found, at_ns = past.moment, past.moment.at_ns
    labels = picture.node_labels()
    newest = LockEvent.objects.filter(id__lte=found.through_id, wall_ns__lte=at_ns).order_by("-id")
    view = picture.view_of(past.view, labels)
    if view is not None and past.view is not None:
        view["settled"] = past.view.settled_at_ns is not None and past.view.settled_at_ns <= at_ns
    return {
        "type": "snapshot",
        "moment": head_of(past, labels),
        "last_event_id": str(found.through_id),
        "view": view,
        "master": None,
        "nodes": nodes_of(past),
        "locks": [_lock(held) for held in list(found.told.held.values())[: picture.SNAPSHOT_LOCKS_MAX]],
        "actions": _actions(at_ns),
        "workload": {"available": False, "on": False},
        "holds": [],
        "rehearsal": None,
        "scenario": None,
        "invariants": None,
        "events": [picture.event_of(row, labels) for row in reversed(newest[: picture.SNAPSHOT_EVENTS])],
        "lag_ms": None,
    }


def nodes_of(past: Past) -> list[Json]:
    """Return every NODE as it was seen last by then, and as facts say since."""
    found = past.moment
    seen = momentnodes.seen_at(found.at_ns) if past.where != "before" else None
    held = Counter(lock.node for lock in found.told.held.values())
    if seen is None:
        return [picture.node_of(row, found.at_ns) for row in _unseen_members(past.view, held)]
    seen_ns, fields = seen
    valid = found.at_ns - seen_ns <= momentnodes.VALID_NS
    nodes = []
    for values in fields:
        row = Node(**{**values, "held_primary": held[values["address"]]}, updated_at_ns=seen_ns)
        state, life, at_ns = found.told.states.get(row.address, ("", 0, 0))
        if at_ns > seen_ns and life in {0, row.incarnation}:
            row.state = state
        nodes.append(picture.node_of(row, seen_ns if valid else found.at_ns))
    return nodes


# --- inside ---------------------------------------------------------------------------------------------------------


def _past_after(event: int) -> Past:
    row = LockEvent.objects.filter(pk=event).first()
    known = momentread.bounds()
    if row is None or known is None:
        text = f"There is no event {event:,}: it was removed with old history, or never was. Try a time: ?at_ns=."
        raise Refusal(HTTPStatus.NOT_FOUND, "No such event", text)
    return Past(momentread.after_event(row, known), "within", known, _view(row.wall_ns))


def _nothing(at_ns: int, why: str) -> Moment:
    return Moment(at_ns, 0, None, Replayed({}, (), {}, 0), (why,))


def _view(at_ns: int) -> RingVersion | None:
    return RingVersion.objects.filter(at_ns__lte=at_ns).order_by("-at_ns", "-number").first()


def _unseen_members(view: RingVersion | None, held: Mapping[str, int]) -> Iterable[Node]:
    """Yield the members of a view of which nobody wrote down what they were like."""
    members = {member["address"]: int(member["incarnation"]) for member in (view.members if view else ())}
    for row in Node.objects.filter(address__in=members).order_by("label"):
        yield Node(
            label=row.label, address=row.address, color=row.color, incarnation=members[row.address],
            held_primary=held[row.address],
        )  # fmt: skip


def _lock(held: Held) -> Sequence[Any]:
    """Return a lock as `picture.held_locks` does."""
    return [
        held.key, held.owner, str(held.generation), str(held.seq), held.node, picture.ms(held.since_ns), held.ttl_ms,
        held.session,
    ]  # fmt: skip


def _actions(at_ns: int) -> list[Json]:
    """Return the newest ACTIONs that had been asked for, as far as they had got."""
    last = OperatorAction.objects.order_by("-id").values_list("id", flat=True).first() or 0
    end = momentread.bisect(OperatorAction.objects.values_list("id", "requested_at_ns"), at_ns, 1, last)
    return [_action(row, at_ns) for row in OperatorAction.objects.filter(id__lt=end).order_by("-id")[: picture.ACTIONS]]


def _action(row: OperatorAction, at_ns: int) -> Json:
    if row.ended_at_ns is not None and row.ended_at_ns > at_ns:
        row.detail = ""
        begun = row.started_at_ns is not None and row.started_at_ns <= at_ns
        row.state = ActionState.RUNNING if begun else ActionState.REQUESTED
    return picture.action_of(row)
