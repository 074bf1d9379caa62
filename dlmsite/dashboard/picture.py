"""Rows as the browser gets them.

Pure functions from rows to JSON-able values, and the queries of a whole picture.

Invariants
  P1  Every 64-bit number is a string: JavaScript would round it. "Does not apply" is the empty string.
  P2  Times are wall-clock milliseconds.
Elsewhere: violations (invariants), what the page makes of it (static/js/contract.js has the same shapes), who sends it
(feed, consumers, api).
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db.models import Max

from dlmsite.dashboard import faults, invariants
from dlmsite.journal.models import HeldLock, LockEvent, MasterSight, Node, Pulse, RefusedViews, RingVersion
from dlmsite.operations import requests
from dlmsite.operations.models import Helm, OperatorAction
from lockcore.core.ring import HashRing

NS_PER_MS: Final = 1_000_000
SNAPSHOT_EVENTS: Final = 100
SNAPSHOT_LOCKS_MAX: Final = 50_000
"""As many as the page keeps."""
ACTIONS: Final = 20
PULSE_FRESH_MS: Final = 3_000.0
"""The recorder writes its pulse every second; an older one says that it is behind by as much."""

Json = dict[str, Any]


def wide(number: int) -> str:
    """Return a 64-bit number as text; zero, which means "does not apply", as none."""
    return str(number) if number else ""


def ms(ns: int) -> float:
    """Return wall-clock nanoseconds as milliseconds."""
    return ns / NS_PER_MS


def node_labels() -> dict[str, str]:
    """Return address -> label of every node that was ever seen."""
    return dict(Node.objects.order_by("updated_at_ns").values_list("address", "label"))


def ring_of(view: RingVersion | None) -> HashRing:
    """Return a view's ring; one without members where there is no view."""
    members = list(view.members) if view else []
    return HashRing((m["address"] for m in members), down=(m["address"] for m in members if m["down"]))


def event_of(row: LockEvent, labels: Mapping[str, str]) -> Json:
    """Return an EVENT."""
    return {
        "id": str(row.pk or ""),
        "time_ms": ms(row.wall_ns),
        "node": row.source,
        "label": labels.get(row.source, row.source),
        "kind": row.kind,
        "key": row.key,
        "owner": row.owner,
        "generation": wide(row.generation),
        "seq": wide(row.seq),
        "view": wide(row.view),
        "version": wide(row.version),
        "peer": row.peer,
        "detail": row.detail,
        "ttl_ms": row.ttl_ms,
        "renewals": row.renewals,
        "session": row.session or "",
    }


def view_of(row: RingVersion | None, labels: Mapping[str, str]) -> Json | None:
    """Return a VIEW; None while there is none."""
    if row is None:
        return None
    return {
        "number": str(row.number),
        "version": str(row.version),
        "settled": row.settled_at_ns is not None,
        "at_ms": ms(row.at_ns),
        "members": [{**member, "label": labels.get(member["address"], member["address"])} for member in row.members],
    }


def node_of(row: Node, now_ns: int, refused: RefusedViews | None = None) -> Json:
    """Return a NODE. `state` is what was seen `seen_age_ms` ago; whether that is health, the page judges."""
    age_ms = None if row.heartbeat_at_ns is None else _age_ms(row.heartbeat_at_ns, now_ns)
    return {
        "address": row.address,
        "label": row.label,
        "color": row.color,
        "incarnation": wide(row.incarnation),
        "pid": row.pid,
        "state": row.state,
        "settled": row.settled,
        "view": wide(row.view),
        "refused_views": refused.count if refused else 0,
        "refused_last": wide(refused.last_view) if refused else "",
        "refused_ms": ms(refused.last_ns) if refused else None,
        "held_primary": row.held_primary,
        "held_backup": row.held_backup,
        "ops_per_s": row.ops_per_s,
        "heartbeat_age_ms": age_ms,
        "seen_age_ms": _age_ms(row.updated_at_ns, now_ns),
    }


def master_of(row: MasterSight | None, now_ns: int) -> Json | None:
    """Return a MASTER; None where it was never seen."""
    if row is None:
        return None
    until_ns = row.stabilising_until_ns
    left_ms = None if until_ns is None else max(0, round((until_ns - now_ns) / NS_PER_MS))
    return {"seen_age_ms": _age_ms(row.at_ns, now_ns), "stabilising_ms": left_ms}


def _age_ms(then_ns: int, now_ns: int) -> int:
    return max(0, round((now_ns - then_ns) / NS_PER_MS))


def action_of(row: OperatorAction) -> Json:
    """Return an ACTION."""
    return {
        "id": str(row.pk),
        "who": row.who,
        "what": row.what,
        "target": row.target,
        "state": row.state,
        "detail": row.detail,
        "requested_ms": ms(row.requested_at_ns),
    }


def workload_of(helm: Helm | None) -> Json:
    """Return whether there is a workload to switch, and whether it is on."""
    available = helm is not None and helm.workload_available
    return {"available": available, "on": bool(available and helm and helm.workload_on)}


def lag_ms_of(pulse: Pulse | None, now_ns: int) -> float | None:
    """Return how far the rows are behind the cluster; None where nobody has measured."""
    if pulse is None:
        return None
    silent_ms = ms(now_ns - pulse.at_ns)
    return round(pulse.lag_ms if silent_ms < PULSE_FRESH_MS else pulse.lag_ms + silent_ms, 1)


def last_event_id() -> int:
    """Return the id of the newest event; 0 if there is none."""
    return LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0


def events_after(after: int, limit: int) -> list[LockEvent]:
    """Return events with a higher id, oldest first."""
    return list(LockEvent.objects.filter(id__gt=after).order_by("id")[:limit])


def newest_view() -> RingVersion | None:
    """Return the view published last."""
    return RingVersion.objects.order_by("-number").first()


def nodes_written_ns() -> int:
    """Return when the nodes were last written down."""
    return int(Node.objects.aggregate(at_ns=Max("updated_at_ns"))["at_ns"] or 0)


def nodes(now_ns: int) -> list[Json]:
    """Return every NODE, n2 before n10."""
    rows = sorted(Node.objects.all(), key=lambda row: (len(row.label), row.label))
    lives = {"source__in": [row.address for row in rows], "incarnation__in": [row.incarnation for row in rows]}
    refused = {(found.source, found.incarnation): found for found in RefusedViews.objects.filter(**lives)}
    return [node_of(row, now_ns, refused.get((row.address, row.incarnation))) for row in rows]


def master(now_ns: int) -> Json | None:
    """Return the MASTER as it was last seen."""
    return master_of(MasterSight.objects.filter(pk=1).first(), now_ns)


def actions() -> list[Json]:
    """Return the newest ACTIONs, newest first."""
    return [action_of(row) for row in OperatorAction.objects.order_by("-id")[:ACTIONS]]


def held_locks() -> Iterable[list[Any]]:
    """Yield [key, owner, generation, seq, primary address, since_ms, ttl_ms, session] of every held lock."""
    fields = ("key", "owner", "generation", "seq", "node", "since_ns", "ttl_ms", "session")
    for key, owner, generation, seq, node, since_ns, ttl_ms, session in HeldLock.objects.values_list(*fields)[
        :SNAPSHOT_LOCKS_MAX
    ]:
        yield [key, owner, str(generation), str(seq), node, ms(since_ns), ttl_ms, session]


def invariants_of(labels: Mapping[str, str], now_ns: int) -> Json:
    """Return the INVARIANTS."""
    return invariants.part(lambda row: event_of(row, labels), now_ns)


def snapshot() -> Json:
    """Return a whole picture.

    The last event id is read first: what happens meanwhile comes again as events, which change nothing that is known.
    """
    last = last_event_id()
    labels = node_labels()
    now_ns = time.time_ns()
    newest = LockEvent.objects.filter(id__lte=last).order_by("-id")[:SNAPSHOT_EVENTS]
    return {
        "type": "snapshot",
        "last_event_id": str(last),
        "view": view_of(newest_view(), labels),
        "master": master(now_ns),
        "nodes": nodes(now_ns),
        "locks": list(held_locks()),
        "actions": actions(),
        "workload": workload_of(requests.present_helm()),
        "holds": faults.holds(),
        "rehearsal": faults.rehearsal(),
        "scenario": faults.scenario(),
        "invariants": invariants_of(labels, now_ns),
        "events": [event_of(row, labels) for row in reversed(newest)],
        "lag_ms": lag_ms_of(Pulse.objects.filter(pk=1).first(), now_ns),
    }
