"""Who held this lock, when, and with which fencing token: pages of events, one event with its causes, actions.

Elsewhere: what is looked for (auditfilter), finding it (auditquery), causes (auditlinks), files (auditexport).
"""

from http import HTTPStatus
from typing import Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import auditlinks, auditquery, pages, picture
from dlmsite.dashboard.auditfilter import FROM, OPERATOR, PARAMETERS, TO, Filter, as_utc, read_filter
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Text, Whole
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.dashboard.shapes import ANYTHING, COUNT, TEXT, TIME_MS, WIDE, YES_NO, maybe, obj, ref, several, told
from dlmsite.journal.models import LockEvent, Node, RingVersion
from dlmsite.operations.models import OperatorAction
from lockcore.core.events import EventKind

LIMIT: Final = Whole("limit", "How many at most.", most=500, default=100)
BEFORE: Final = Whole("before", "Only events with a lower id: `next_before` of the page before.")
AFTER: Final = Whole("after", "Only events with a higher id: `next_after`. The oldest of them.", least=0)
EVENT_ID: Final = Whole("id", "Id of the event.", required=True)
TARGET: Final = Text("target", "Only what was done to this node or thing.", chars_max=64)
WHAT: Final = Text("what", "Only such actions, such as kill.", chars_max=16)

_SHORT_VIEW = obj(number=WIDE, version=WIDE, at_ms=TIME_MS, settled_ms=maybe(TIME_MS), changes=several(TEXT))
_EVENT = obj(event=ref("Event"), wall_ns=WIDE, incarnation=WIDE, number=TEXT, place=WIDE)
PAGE: Final = obj(
    events=several(ref("Event"), "newest first"),
    next_before=told(maybe(WIDE), "for the page of older events; null: there are none"),
    next_after=told(WIDE, "for newer ones; also when there are none yet"),
    more_after=told(YES_NO, "of a request with `after`: there are more already"),
    scanned=told(COUNT, "rows that were looked at"),
    cut=told(YES_NO, "the time of one request was used up before the page was full: go on with the cursor"),
    says=told(TEXT, "where there is something to say of what was not found"),
)
ONE: Final = obj(**_EVENT["properties"], view=maybe(_SHORT_VIEW), actions=several(ANYTHING))
ACTIONS: Final = obj(
    actions=several(ANYTHING, "newest first, each with the views that came of it"), next_before=maybe(WIDE)
)
ACTION_PARAMETERS: Final = (LIMIT, BEFORE, OPERATOR, WHAT, TARGET, FROM, TO)
GONE: Final = {HTTPStatus.NOT_FOUND: "It never was, or is older than what is kept."}
ACTIONS_MAX: Final = 50
"""Each takes some queries."""


@pages.served
def page(request: HttpRequest) -> HttpResponse:
    """Show the history to whoever may see it."""
    return pages.show(request, "dashboard/audit.html", kinds=list(EventKind))


@json_view("GET", Operation("History that matches a filter, by key.", PAGE, (LIMIT, BEFORE, AFTER, *PARAMETERS)))
def events(request: HttpRequest) -> HttpResponse:
    """Return a page of events, newest first."""
    limit, before, after = LIMIT.need(request), BEFORE.read(request), AFTER.read(request)
    if before is not None and after is not None:
        raise invalid("Say before or after, not both.")
    asked = read_filter(request, addresses())
    found = auditquery.page(asked, limit, before=before, after=after)
    rows = found.rows if after is None else found.rows[::-1]
    labels = picture.node_labels()
    body: dict[str, object] = {
        "events": [picture.event_of(row, labels) for row in rows],
        "scanned": found.scanned,
        "cut": found.cut,
        "says": "" if rows or after is not None else nothing(asked, cut=found.cut),
    }
    if after is not None:
        older = rows[-1].pk if rows else after + 1
        links = {"next_before": str(older), "next_after": str(found.through), "more_after": found.more}
    else:
        # The first page ends with what was there when it began, whether that matches or not: what comes later is new.
        known = found.newest if before is None else rows[0].pk if rows else before - 1
        older_link = str(found.through) if found.more else None
        links = {"next_before": older_link, "next_after": str(known), "more_after": False}
    return answer({**body, **links})


@json_view("GET", Operation("One event, and what caused it or came of it.", ONE, (EVENT_ID,), problems=GONE))
def event(request: HttpRequest) -> HttpResponse:
    """Return an event with its view and the operators' actions behind it."""
    number = EVENT_ID.need(request)
    row = LockEvent.objects.filter(pk=number).first()
    if row is None:
        text = f"There is no event {number}: it never was, or is older than what is kept."
        raise Refusal(HTTPStatus.NOT_FOUND, "No such event", text)
    labels = picture.node_labels()
    return answer(
        {
            "event": picture.event_of(row, labels),
            "wall_ns": str(row.wall_ns),
            "incarnation": str(row.incarnation),
            "number": str(row.number),
            "place": picture.wide(row.place or 0),
            **auditlinks.why(row, labels),
        }
    )


@json_view("GET", Operation("Operators' actions and what came of them.", ACTIONS, ACTION_PARAMETERS))
def actions(request: HttpRequest) -> HttpResponse:
    """Return what operators asked for, newest first, refused requests included."""
    limit = min(LIMIT.need(request), ACTIONS_MAX)
    rows = OperatorAction.objects.order_by("-id")
    if (before := BEFORE.read(request)) is not None:
        rows = rows.filter(id__lt=before)
    for column, value in (
        ("who", OPERATOR.read(request)),
        ("what", WHAT.read(request)),
        ("target", TARGET.read(request)),
        ("requested_at_ns__gte", FROM.read(request)),
        ("requested_at_ns__lte", TO.read(request)),
    ):
        if value:
            rows = rows.filter(**{column: value})
    found = list(rows[: limit + 1])
    labels = picture.node_labels()
    return answer(
        {
            "actions": [auditlinks.with_views(action, labels) for action in found[:limit]],
            "next_before": str(found[limit - 1].pk) if len(found) > limit else None,
        }
    )


def addresses() -> dict[str, str]:
    """Return the newest ring address of each label."""
    return dict(Node.objects.values_list("label", "address"))


def nothing(asked: Filter, *, cut: bool) -> str:
    """Say why there may be nothing."""
    ends = auditquery.ends()
    if ends is None:
        return "Nothing has been recorded yet."
    if cut:
        return "Nothing found so far; this is as far as one request looks. Go on to look further back."
    first, last = (as_utc(row.wall_ns) for row in ends)
    if asked.to_ns is not None and asked.to_ns < ends[0].wall_ns:
        return f"The oldest event that is kept is of {first}; nothing older can be shown."
    if asked.from_ns is not None and asked.from_ns > ends[1].wall_ns:
        return f"The newest event is of {last}; nothing is newer."
    return _never_was(asked) or f"No event from {first} to {last} matches."


def _never_was(asked: Filter) -> str:
    if asked.view and not RingVersion.objects.filter(number=asked.view).exists():
        return f"There was no view {asked.view}, as far as is recorded."
    if asked.version and not RingVersion.objects.filter(version=asked.version).exists():
        return f"There was no version {asked.version} of the ring, as far as is recorded."
    return ""
