"""Causes: an operator's action -> the views that came of it -> the locks that moved in them; and back from any event.

An action's row says which view was the newest when it began and when it ended. What changed at its node in a view
between the two is its doing ("recorded"). A view that came soon after its end and changed the same node, before another
action on it began, is taken for its doing too, and called "likely": a node that was paused is marked down two seconds
after the pause was done.

Invariants
  L1  Bounded: VIEWS_MAX views of an action, MOVED_ROWS_MAX rows of a view are looked at, and what was cut says so.
Elsewhere: where the views of an action are written down (dlmsite.operations.helm), events (auditquery).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db.models import Q

from dlmsite.dashboard import picture
from dlmsite.journal.models import LockEvent, RingVersion
from dlmsite.operations.models import OperatorAction
from lockcore.core.events import EventKind

VIEWS_MAX: Final = 10
ACTIONS_MAX: Final = 5
MOVED_ROWS_MAX: Final = 20_000
MOVED_SHOWN: Final = 50
LIKELY_NS: Final = 15_000_000_000
"""Silence (2 s), a node's goodbye (10 s) and the stabilisation delay (1 s) fit."""
MOVES: Final = (
    EventKind.PROMOTED, EventKind.DEMOTED, EventKind.TRANSFERRED, EventKind.READMITTED, EventKind.RANGE_PROMOTED,
    EventKind.RANGE_DEMOTED, EventKind.RANGE_RECEIVED,
)  # fmt: skip

Json = dict[str, Any]
Labels = Mapping[str, str]


def why(event: LockEvent, labels: Labels) -> Json:
    """Return an event's view and the actions behind that; of an operator's event, what came of it."""
    view = RingVersion.objects.filter(number=event.view).first() if event.view else None
    if event.kind == EventKind.OPERATOR:
        actions = list(OperatorAction.objects.filter(pk=event.seq)) if event.seq else []
        return {"view": None, "actions": [with_views(action, labels) for action in actions]}
    behind = actions_behind(view) if view else []
    return {
        "view": view_json(view, labels) if view else None,
        "actions": [{**action_json(action), "how": how, "views": []} for action, how in behind],
    }


def with_views(action: OperatorAction, labels: Labels) -> Json:
    """Return an action with the views that came of it, and what moved in them."""
    views = [{**view_json(view, labels), "how": how, "moved": moved(view.number)} for view, how in views_of(action)]
    return {**action_json(action), "how": "", "views": views}


def views_of(action: OperatorAction) -> list[tuple[RingVersion, str]]:
    """Return the views that came of an action, and how that is known, oldest first."""
    if action.view_from is None:
        return []
    ended_ns = action.ended_at_ns or action.requested_at_ns
    later = Q(at_ns__lte=ended_ns + LIKELY_NS) | Q(number__lte=action.view_to or 0)
    following = OperatorAction.objects.filter(address=action.address, pk__gt=action.pk, view_from__isnull=False)
    bound = following.order_by("id").values_list("view_from", flat=True).first() if action.address else None
    views = RingVersion.objects.filter(later, number__gt=action.view_from).order_by("number")[: VIEWS_MAX * 2]
    found = []
    for view in views:
        recorded = view.number <= (action.view_to or 0)
        if not recorded and bound is not None and view.number > bound:
            break
        if action.address and touches(view, action.address):
            found.append((view, "recorded" if recorded else "likely"))
    return found[:VIEWS_MAX]


def actions_behind(view: RingVersion) -> list[tuple[OperatorAction, str]]:
    """Return the actions that a view came of, newest first."""
    candidates = OperatorAction.objects.filter(view_from__lt=view.number).exclude(address="").order_by("-id")
    soon = candidates.filter(Q(ended_at_ns__gte=view.at_ns - LIKELY_NS) | Q(view_to__gte=view.number))
    return [
        (action, how)
        for action in soon[:ACTIONS_MAX]
        for caused, how in views_of(action)
        if caused.number == view.number
    ]


def touches(view: RingVersion, address: str) -> bool:
    """Say whether a node joined, left, was marked or came back in a view. Without the view before, nobody knows."""
    before = RingVersion.objects.filter(number__lt=view.number).order_by("-number").first()
    if before is None:
        return False
    return _members_at(before, address) != _members_at(view, address)


def changes(view: RingVersion, labels: Labels) -> list[str]:
    """Return in words what is different from the view before."""
    before = RingVersion.objects.filter(number__lt=view.number).order_by("-number").first()
    if before is None:
        return []
    addresses = sorted({str(member["address"]) for row in (before, view) for member in row.members})
    told = [
        (labels.get(address, address), _members_at(before, address), _members_at(view, address))
        for address in addresses
    ]
    return [f"{label} {_change(was, now)}" for label, was, now in told if was != now]


def moved(number: int) -> Json:
    """Return what moved in a view, by kind; `at_least`: it has more events than were looked at."""
    rows = LockEvent.objects.filter(view=number, view__gt=0)
    ends = rows.order_by("id").first(), rows.order_by("-id").first()
    if ends[0] is None or ends[1] is None:
        return {"kinds": {}, "total": 0, "at_least": False}
    counts: dict[str, int] = {}
    left = MOVED_ROWS_MAX
    for kind in MOVES:  # one after the other, for the index has the kind first
        some = LockEvent.objects.filter(kind=kind.value, id__range=(ends[0].pk, ends[1].pk))
        views = list(some.order_by("id").values_list("view", flat=True)[:left])
        if count := views.count(number):
            counts[kind.value] = count
        left -= len(views)
    return {"kinds": counts, "total": sum(counts.values()), "at_least": left <= 0}


def action_json(action: OperatorAction) -> Json:
    """Return an ACTION with its times and views."""
    return {
        **picture.action_of(action),
        "started_ms": _ms(action.started_at_ns),
        "ended_ms": _ms(action.ended_at_ns),
        "view_from": picture.wide(action.view_from or 0),
        "view_to": picture.wide(action.view_to or 0),
    }


def view_json(view: RingVersion, labels: Labels) -> Json:
    """Return a view in short, with what changed in it."""
    return {
        "number": str(view.number),
        "version": str(view.version),
        "at_ms": picture.ms(view.at_ns),
        "settled_ms": _ms(view.settled_at_ns),
        "changes": changes(view, labels),
    }


def _members_at(view: RingVersion, address: str) -> list[tuple[str, bool]]:
    members: Sequence[Json] = view.members
    return [(str(member["incarnation"]), bool(member["down"])) for member in members if member["address"] == address]


def _change(was: list[tuple[str, bool]], now: list[tuple[str, bool]]) -> str:
    if not was:
        return "joined"
    if not now:
        return "left the ring"
    if [life for life, _ in was] != [life for life, _ in now]:
        return "came back as a new life"
    return "is down" if any(down for _, down in now) else "is up again"


def _ms(at_ns: int | None) -> float | None:
    return None if at_ns is None else picture.ms(at_ns)
