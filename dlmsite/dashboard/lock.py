"""The page of one lock, and what it shows: its life as recorded, and how far both of its nodes are now.

Invariants
  K1  A page reads at most ROWS_MAX events of the key, by index; older ones are the next page.
Elsewhere: what a life is (life), what is on the key now (inspecting), the page (static/js/lock.js).
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import pages, picture
from dlmsite.dashboard.api import no_ring
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.life import KINDS, Held, holds_of
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import KeyName, Whole
from dlmsite.dashboard.shapes import COUNT, TEXT, TIME_MS, WIDE, maybe, obj, ref, several, told
from dlmsite.journal.models import LockEvent
from dlmsite.operations import asking
from lockcore.core.events import EventKind
from lockcore.core.ring import position_of

Json = dict[str, Any]

ROWS_MAX: Final = 2_000
REFUSED_MAX: Final = 50
KEY: Final = KeyName(required=True)
BEFORE: Final = Whole("before", "Only events with a lower id: `next_before` of the page before.")

_STAY = obj(node=TEXT, label=TEXT, at_ms=TIME_MS, how=TEXT, event=WIDE)
_HELD = obj(
    generation=WIDE, begin_ms=maybe(TIME_MS), end_ms=maybe(TIME_MS),
    how=told(TEXT, "released, expired, taken away; empty: it goes on, or no event says how it ended"),
    why=TEXT, renewals=COUNT, ttl_ms=COUNT, view=WIDE, event=WIDE,
    owners=several(obj(name=TEXT, session=TEXT, at_ms=TIME_MS)), stays=several(_STAY),
)  # fmt: skip
LIFE: Final = obj(
    key=TEXT, position=COUNT, holds=several(_HELD, "newest first"), refused=several(ref("Event"), "newest first"),
    read=told(COUNT, "events that this was made of"), next_before=told(maybe(WIDE), "null: there are no older ones"),
)  # fmt: skip
PAIR: Final = obj(
    key=TEXT, seen_ms=TIME_MS,
    nodes=several(
        obj(
            address=TEXT, label=TEXT, role=told(TEXT, "primary or backup"), generation=WIDE, seq=WIDE,
            answers=told({"type": "boolean"}, "false: what it has is unknown"),
        )
    ),
)  # fmt: skip


@pages.served
def page(request: HttpRequest) -> HttpResponse:
    """Show one lock to whoever may see it."""
    return pages.show(request, "dashboard/lock.html")


@json_view("GET", Operation("One lock's life, as recorded.", LIFE, (KEY, BEFORE)))
def life(request: HttpRequest) -> HttpResponse:
    """Return who held a lock, newest first, and what was refused."""
    key, before = KEY.read(request), BEFORE.read(request)
    # Key and kinds are compared here: PostgreSQL takes them for so rare that it would read all of the history instead.
    rows = LockEvent.objects.filter(position=position_of(key)).order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    read = list(rows[: ROWS_MAX + 1])
    more, read = len(read) > ROWS_MAX, read[:ROWS_MAX]
    found = [row for row in read if row.key == key and row.kind in KINDS]
    labels = picture.node_labels()
    refused = [row for row in found if row.kind == EventKind.REFUSED.value]
    return answer(
        {
            "key": key,
            "position": position_of(key),
            "holds": [_held(held, labels) for held in holds_of(reversed(found))],
            "refused": [picture.event_of(row, labels) for row in refused[:REFUSED_MAX]],
            "read": len(found),
            "next_before": str(read[-1].pk) if more else None,
        }
    )


@json_view("GET", Operation("How far both nodes of a lock are.", PAIR, (KEY,)))
def pair(request: HttpRequest) -> HttpResponse:
    """Return (generation, seq) of a lock at its primary and at its backup, as they say now."""
    key = KEY.read(request)
    ring = picture.ring_of(picture.newest_view())
    owners = {role: node for role, node in zip(("primary", "backup"), ring.owners(key), strict=True) if node}
    if not owners:
        raise no_ring()
    seen = async_to_sync(asking.ask_keys)(list(owners.values()), key)
    labels = picture.node_labels()
    nodes = []
    for role, address in owners.items():
        told_of = seen[address]
        generation, seq = told_of.order if told_of is not None else (0, 0)
        nodes.append(
            {
                "address": address,
                "label": labels.get(address, address),
                "role": role,
                "generation": picture.wide(generation),
                "seq": picture.wide(seq),
                "answers": told_of is not None,
            }
        )
    return answer({"key": key, "seen_ms": time.time() * 1_000, "nodes": nodes})


def _held(held: Held, labels: Mapping[str, str]) -> Json:
    return {
        "generation": picture.wide(held.generation),
        "begin_ms": None if held.begin_ns is None else picture.ms(held.begin_ns),
        "end_ms": None if held.end_ns is None else picture.ms(held.end_ns),
        "how": held.how,
        "why": held.why,
        "renewals": held.renewals,
        "ttl_ms": held.ttl_ms,
        "view": picture.wide(held.view),
        "event": str(held.event),
        "owners": [{"name": o.name, "session": o.session, "at_ms": picture.ms(o.at_ns)} for o in held.owners],
        "stays": [
            {
                "node": stay.node,
                "label": labels.get(stay.node, stay.node),
                "at_ms": picture.ms(stay.at_ns),
                "how": stay.how,
                "event": str(stay.event),
            }
            for stay in held.stays
        ],
    }
