"""Failovers and how long they took, read from the views that were published.

A failover begins with the view that marks a member down, and ends when that view, or the next one that got so far, was
settled: from then on every living member has all it should have. What came before, until the master knew of the death,
is up to two seconds and a half for who falls silent, and is not in it. Where nobody is left there is no failover.

Elsewhere: the views (dlmsite.journal.nodes.write_view), drawing them (static/js/charts.js).
"""

from typing import Any, Final

from dlmsite.dashboard.shapes import TEXT, TIME_MS, WIDE, component, maybe, obj, several, told
from dlmsite.journal.models import Node, RingVersion

VIEWS_MAX: Final = 1_000
NS_PER_MS: Final = 1_000_000

FAILOVER: Final = component(
    "Failover",
    obj(
        at_ms=TIME_MS,
        view=WIDE,
        nodes=several(TEXT, "labels of those that were marked down"),
        duration_ms=maybe(told({"type": "number"}, "until that was settled; null: not yet, or nobody saw it")),
    ),
)


def between(from_ns: int, to_ns: int) -> tuple[list[dict[str, Any]], int]:
    """Return the failovers that began in [from_ns, to_ns), oldest first, and how many views were not looked at."""
    found = RingVersion.objects.filter(at_ns__gte=from_ns, at_ns__lt=to_ns)
    views = list(found.order_by("-at_ns")[:VIEWS_MAX])[::-1]
    left_out = found.count() - len(views) if len(views) == VIEWS_MAX else 0
    if not views:
        return [], 0
    before = RingVersion.objects.filter(at_ns__lt=views[0].at_ns).order_by("-at_ns").first()
    after = RingVersion.objects.filter(at_ns__gte=to_ns, settled_at_ns__isnull=False).order_by("at_ns").first()
    labels = dict(Node.objects.values_list("address", "label"))
    turns = []
    down = _down(before) if before else set()
    for place, view in enumerate(views):
        fallen = sorted(_down(view) - down)
        down = _down(view)
        if fallen and len(down) < len(view.members):
            later = [*views[place:], *([after] if after else [])]
            settled_ns = next((other.settled_at_ns for other in later if other.settled_at_ns is not None), None)
            turns.append(
                {
                    "at_ms": view.at_ns / NS_PER_MS,
                    "view": str(view.number),
                    "nodes": [labels.get(address, address) for address, _ in fallen],
                    "duration_ms": None if settled_ns is None else round((settled_ns - view.at_ns) / NS_PER_MS, 3),
                }
            )
    return turns, left_out


def _down(view: RingVersion) -> set[tuple[str, str]]:
    return {(member["address"], member["incarnation"]) for member in view.members if member["down"]}
