"""What moved between two moments: locks that changed their node or holder, arcs that changed hands, nodes.

Lists are bounded, totals are of all.

Elsewhere: the moments (moment), drawing it (static/js/timelinecompare.js).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.moment import HEAD, head_of, nodes_of, past_at
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Whole
from dlmsite.dashboard.shapes import COUNT, NUMBER, TEXT, WIDE, maybe, obj, one_of, several, told
from dlmsite.journal.models import RingVersion
from dlmsite.journal.projection import Held

LISTED: Final = 200
FLOWS: Final = 100
Json = dict[str, Any]

A: Final = Whole("a_ns", "One moment: wall clock, nanoseconds.", least=0, required=True)
B: Final = Whole("b_ns", "The other moment.", least=0, required=True)
WHATS: Final = ("moved", "passed", "granted", "released")
SIDE: Final = obj(node=TEXT, label=TEXT, owner=TEXT, generation=WIDE, session=TEXT)
LOCK: Final = obj(key=TEXT, what=one_of(*WHATS), a=maybe(SIDE), b=maybe(SIDE))
COMPARED: Final = obj(
    a=HEAD,
    b=HEAD,
    locks=obj(
        moved=told(COUNT, "held by the same holder, at another node"),
        passed=told(COUNT, "held by another holder"),
        granted=told(COUNT, "held at b only"),
        released=told(COUNT, "held at a only"),
        stayed=COUNT,
        list=several(LOCK, "the first of those that did not stay"),
    ),
    arcs=obj(
        share=told(NUMBER, "of the key space whose primary differs, 0 to 1"),
        flows=several(obj(source=maybe(TEXT), target=maybe(TEXT), share=NUMBER), "primaries, largest first"),
    ),
    nodes=several(obj(address=TEXT, label=TEXT, a=TEXT, b=TEXT), "whose state differs; unknown where nobody looked"),
    views=obj(a=WIDE, b=WIDE, between=told(COUNT, "views that were published after the one and up to the other")),
)


@json_view("GET", Operation("What moved between two moments.", COMPARED, (A, B)))
def compare(request: HttpRequest) -> HttpResponse:
    """Return what differs."""
    before, after = past_at(A.need(request)), past_at(B.need(request))
    labels = picture.node_labels()
    return answer(
        {
            "a": head_of(before, labels),
            "b": head_of(after, labels),
            "locks": locks_between(before.moment.told.held, after.moment.told.held, labels),
            "arcs": arcs_between(before.view, after.view),
            "nodes": nodes_between(nodes_of(before), nodes_of(after)),
            "views": _views(before.view, after.view),
        }
    )


def locks_between(a: Mapping[str, Held], b: Mapping[str, Held], labels: Mapping[str, str]) -> Json:
    """Return what became of locks: totals of all, and the first LISTED that did not stay, what moved first."""
    totals: Counter[str] = Counter()
    changed: dict[str, list[str]] = {what: [] for what in WHATS}
    for key in a.keys() | b.keys():
        what = _what(a.get(key), b.get(key))
        totals[what] += 1
        if what in changed:
            changed[what].append(key)
    first = [(key, what) for what in WHATS for key in sorted(changed[what])][:LISTED]
    listed = [
        {"key": key, "what": what, "a": _side(a.get(key), labels), "b": _side(b.get(key), labels)}
        for key, what in first
    ]
    return {**{what: totals[what] for what in (*WHATS, "stayed")}, "list": listed}


def arcs_between(a: RingVersion | None, b: RingVersion | None) -> Json:
    """Return the share of the key space that changed its primary, and from whom to whom."""
    diff = picture.ring_of(a).diff(picture.ring_of(b))
    flows = sorted(diff.shares().items(), key=lambda flow: -flow[1])[:FLOWS]
    return {
        "share": diff.share,
        "flows": [{"source": source, "target": target, "share": share} for (source, target), share in flows],
    }


def nodes_between(a: list[Json], b: list[Json]) -> list[Json]:
    """Return the nodes whose state differs."""
    before, after = ({node["address"]: node for node in nodes} for nodes in (a, b))
    found = []
    for address in sorted(before.keys() | after.keys()):
        one, other = before.get(address), after.get(address)
        states = [node["state"] if node else "unknown" for node in (one, other)]
        if states[0] != states[1]:
            label = (other or one or {})["label"]
            found.append({"address": address, "label": label, "a": states[0], "b": states[1]})
    return found


def _what(a: Held | None, b: Held | None) -> str:
    if a is None:
        return "granted"
    if b is None:
        return "released"
    if (a.generation, a.session) != (b.generation, b.session):
        return "passed"
    return "stayed" if a.node == b.node else "moved"


def _side(held: Held | None, labels: Mapping[str, str]) -> Json | None:
    if held is None:
        return None
    return {
        "node": held.node,
        "label": labels.get(held.node, held.node),
        "owner": held.owner,
        "generation": str(held.generation),
        "session": held.session,
    }


def _views(a: RingVersion | None, b: RingVersion | None) -> Json:
    low, high = sorted((a.number if a else 0, b.number if b else 0))
    between = RingVersion.objects.filter(number__gt=low, number__lte=high).count()
    return {"a": str(a.number) if a else "", "b": str(b.number) if b else "", "between": between}
