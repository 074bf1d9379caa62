"""The space-time diagram: its page, and the events around a moment with what went between their lanes.

Invariants
  D1  At most `limit` events, the nearest to the moment, and CONTEXT_MAX of views and nodes beside them; how many more
      there are is counted up to COUNTED_MAX on each side, and said.
  D2  Events are found through an index, within the budget of the history's filter (auditquery).
Elsewhere: what an arrow is (spacetime), the page (static/js/spacetime.js).
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import audit, auditquery, pages, picture
from dlmsite.dashboard.auditfilter import KEY, KINDS, NODE, NS_MAX, NS_PER_MS, SESSION, Filter, read_filter
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Choice, Whole
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.dashboard.shapes import COUNT, TEXT, WIDE, YES_NO, maybe, obj, one_of, ref, several, told
from dlmsite.dashboard.spacetime import MASTER, Arrow, Lane, draw
from dlmsite.journal import momentread
from dlmsite.journal.models import LockEvent, Node, RingVersion
from lockcore.core.events import EventKind

Json = dict[str, Any]

LIMIT_MAX: Final = 2_000
COUNTED_MAX: Final = 4_000
CONTEXT_MAX: Final = 500
MEMBERS_MAX: Final = 64
SPAN_MS_MAX: Final = 86_400_000
CONTEXT_KINDS: Final = (
    EventKind.VIEW, EventKind.SETTLED, EventKind.DIED, EventKind.JOINED, EventKind.LEFT, EventKind.FENCED,
    EventKind.UNFENCED, EventKind.GAP,
)  # fmt: skip
"""What befell the ring: without it nobody knows why a lock moved."""

AT: Final = Whole("at_ns", "The moment in the middle: wall clock, nanoseconds since 1970.", least=0)
EVENT: Final = Whole("event", "The moment of the event of this id, instead of a time. Neither: what was last.")
SPAN: Final = Whole("span_ms", "How long a stretch is looked at.", least=1, most=SPAN_MS_MAX, default=10_000)
LIMIT: Final = Whole("limit", "How many events at most: the nearest to the moment.", most=LIMIT_MAX, default=1_000)
CONTEXT: Final = Choice("context", "Whether views and what befell nodes are there whatever is filtered.", ("yes", "no"))
PARAMETERS_HERE: Final = (AT, EVENT, SPAN, LIMIT, CONTEXT, KEY, NODE, KINDS, SESSION)

_LANE = obj(
    id=told(TEXT, "ring address, 'master', 'site', 'client:NAME', or 'clients' for those without their own"),
    kind=one_of("master", "node", "site", "client", "clients"), label=TEXT, color=maybe(COUNT),
)  # fmt: skip
_ARROW = obj(
    kind=one_of(
        "view", "settled", "join", "goodbye", "transfer", "handed over", "replica", "copy", "forward", "request",
        "answer",
    ),
    from_=told(TEXT, "id of a lane"), to=told(TEXT, "id of a lane"),
    from_event=told(WIDE, "the event at which it left; empty: open"), to_event=told(WIDE, "empty: open"),
    why=told(TEXT, "what is not known of it"), back_ns=told(COUNT, "by how much it arrives before it left"),
    refused=YES_NO,
)  # fmt: skip
DIAGRAM: Final = obj(
    at_ns=WIDE, from_ns=WIDE, to_ns=WIDE, live=told(YES_NO, "no moment was asked for"),
    first_ns=told(WIDE, "of the oldest row that is kept; empty: nothing is recorded"), last_ns=WIDE,
    event=told(maybe(ref("Event")), "the one that was asked for"),
    lanes=several(_LANE, "from top to bottom"),
    events=several(ref("Event"), "in the order of time; each is a point on its node's lane"),
    wall_ns=several(WIDE, "when each of them happened, to the nanosecond"),
    arrows=several(_ARROW),
    left_out=told(COUNT, "events of this stretch that match and are not here"),
    at_least=told(YES_NO, "there are more of them than were counted"),
    cut=told(YES_NO, "the time of one request was used up before the whole stretch was looked at"),
    says=told(TEXT, "where there is something to say of what was not found"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Around:
    """The stretch that is looked at: wall clock, both ends included."""

    at_ns: int
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Events of a stretch, in the order of time, and what of it is not here."""

    rows: list[LockEvent]
    left_out: int = 0
    at_least: bool = False
    cut: bool = False


@pages.served
def page(request: HttpRequest) -> HttpResponse:
    """Show the diagram to whoever may see it."""
    return pages.show(request, "dashboard/spacetime.html", kinds=list(EventKind))


@json_view(
    "GET",
    Operation(
        "What went between nodes, master and clients around a moment.", DIAGRAM, PARAMETERS_HERE, problems=audit.GONE
    ),
)
def diagram(request: HttpRequest) -> HttpResponse:
    """Return lanes, events and arrows: around `at_ns`, around `event`, or of what was last."""
    at_ns, number = AT.read(request), EVENT.read(request)
    if at_ns is not None and number is not None:
        raise invalid("Say at_ns or event, not both.")
    row = _event(number) if number is not None else None
    asked = read_filter(request, audit.addresses())
    around = stretch(at_ns if row is None else row.wall_ns, SPAN.need(request), time.time_ns())
    seen = look(asked, around, LIMIT.need(request), context=CONTEXT.read(request) != "no")
    known = momentread.bounds()
    return answer(
        {
            "at_ns": str(around.at_ns),
            "from_ns": str(around.from_ns),
            "to_ns": str(around.to_ns),
            "live": at_ns is None and row is None,
            "first_ns": str(known.first_ns) if known else "",
            "last_ns": str(known.last_ns) if known else "",
            "left_out": seen.left_out,
            "at_least": seen.at_least,
            "cut": seen.cut,
            "says": "" if seen.rows else audit.nothing(_within(asked, around.from_ns, around.to_ns), cut=seen.cut),
            **_drawn(seen.rows, row, around, asked),
        }
    )


def stretch(at_ns: int | None, span_ms: int, now_ns: int) -> Around:
    """Return the stretch around a moment; without one, the stretch that ends now."""
    span_ns = span_ms * NS_PER_MS
    if at_ns is None:
        return Around(now_ns, now_ns - span_ns, now_ns)
    from_ns = max(0, at_ns - span_ns // 2)
    return Around(at_ns, from_ns, min(NS_MAX, from_ns + span_ns))


def look(asked: Filter, around: Around, limit: int, *, context: bool) -> Seen:
    """Return the events nearest to a moment, in the order of time.

    Args:
        asked: what they have to be, but for the time.
        around: the stretch.
        limit: how many at most.
        context: also what befell the ring, CONTEXT_MAX at most, though the filter leaves it out.
    """
    most = limit + COUNTED_MAX
    before = auditquery.page(_within(asked, around.from_ns, around.at_ns), most)
    found = list(before.rows)
    cut, more = before.cut, before.more
    if around.at_ns < around.to_ns:
        after = auditquery.page(_within(asked, around.at_ns + 1, around.to_ns), most, after=0)
        found += after.rows
        cut, more = cut or after.cut, more or after.more
    found.sort(key=lambda row: (abs(row.wall_ns - around.at_ns), row.pk))
    rows = {row.pk: row for row in found[:limit]}
    if context and not asked.kinds and (asked.key or asked.session or asked.node):
        rows |= {row.pk: row for row in _context(asked, around)}
    ordered = sorted(rows.values(), key=lambda row: (row.wall_ns, row.pk))
    return Seen(ordered, max(0, len(found) - limit), more, cut)


def _within(asked: Filter, from_ns: int, to_ns: int) -> Filter:
    return replace(asked, from_ns=from_ns, to_ns=to_ns)


def _context(asked: Filter, around: Around) -> Iterable[LockEvent]:
    kinds = tuple(kind.value for kind in CONTEXT_KINDS)
    found = auditquery.page(Filter(kinds=kinds, from_ns=around.from_ns, to_ns=around.to_ns), CONTEXT_MAX).rows
    return [row for row in found if not asked.node or row.source in {asked.node, MASTER}]


def _event(number: int) -> LockEvent:
    row = LockEvent.objects.filter(pk=number).first()
    if row is None:
        text = f"There is no event {number:,}: it never was, or is older than what is kept. Try a time: ?at_ns=."
        raise Refusal(HTTPStatus.NOT_FOUND, "No such event", text)
    return row


def _drawn(rows: Sequence[LockEvent], row: LockEvent | None, around: Around, asked: Filter) -> Json:
    labels = picture.node_labels()
    colors = dict(Node.objects.values_list("address", "color"))
    drawing = draw(rows, _members(around.to_ns) if not asked.node else (), labels)
    return {
        "event": None if row is None else picture.event_of(row, labels),
        "lanes": [_lane(lane, colors) for lane in drawing.lanes],
        "events": [picture.event_of(shown, labels) for shown in rows],
        "wall_ns": [str(shown.wall_ns) for shown in rows],
        "arrows": [_arrow(arrow) for arrow in drawing.arrows],
    }


def _members(at_ns: int) -> list[str]:
    view = RingVersion.objects.filter(at_ns__lte=at_ns).order_by("-at_ns", "-number").first()
    return [member["address"] for member in (view.members if view else [])][:MEMBERS_MAX]


def _lane(lane: Lane, colors: Mapping[str, int]) -> Json:
    return {"id": lane.id, "kind": lane.kind, "label": lane.name, "color": colors.get(lane.id)}


def _arrow(arrow: Arrow) -> Json:
    return {
        "kind": arrow.kind,
        "from": arrow.begin,
        "to": arrow.end,
        "from_event": picture.wide(arrow.begin_event),
        "to_event": picture.wide(arrow.end_event),
        "why": arrow.why,
        "back_ns": arrow.back_ns,
        "refused": arrow.refused,
    }
