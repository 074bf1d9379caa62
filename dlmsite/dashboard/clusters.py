"""What can be read of clusters that are only watched: their rings, versions, filers and events; who holds a key there.

The page computes owners, moves and comparisons itself, from the versions: it has the same ring.

Invariants
  W1  A state is told only as long as somebody watches: a cluster that nobody has looked at for STALE_S is unknown.
  W2  A filer is asked for a holder only when somebody asks us.
Elsewhere: attaching and detaching (clusteractions), the rows (dlmsite.observing), the page (static/js/watched.js).
"""

import time
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import Http404, HttpRequest, HttpResponse

from dlmsite.dashboard import churn, pages, picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Choice, KeyName, Whole
from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import (
    ANYTHING,
    COUNT,
    TEXT,
    TIME_MS,
    WIDE,
    YES_NO,
    component,
    maybe,
    obj,
    one_of,
    several,
    told,
)
from dlmsite.observing import weedask
from dlmsite.observing.alerts import UNWATCHED, Alert
from dlmsite.observing.models import ObservedCluster, ObservedEvent, ObservedFiler, ObservedRing
from lockcore.core.ring import HashRing

Json = dict[str, Any]

NS_PER_S: Final = 1_000_000_000
STALE_S: Final = 5.0
EVENTS_FIRST: Final = 200
KNOWN_MAX: Final = 200
KINDS: Final = (
    "attached", "detached", "leader", "away", "back", "ring", "joined", "left", "connected", "gone", "older", "missed",
    "canary", "fell",
)  # fmt: skip

LIMIT: Final = Whole("limit", "How many at most.", most=500, default=100)
BEFORE: Final = Whole("before", "Only events with a lower id: `next_before` of the page before.")
BEFORE_VERSION: Final = Whole("before", "Only lower versions: `next_before` of the page before.")
KIND: Final = Choice("kind", "Only events of this kind.", KINDS)
KEY: Final = KeyName(required=True)

CLUSTER: Final = component(
    "WatchedCluster",
    obj(
        name=TEXT,
        masters=told(TEXT, "as they were given, joined by commas"),
        group=told(TEXT, "filer group; empty: the default one"),
        attached=YES_NO,
        attached_by=TEXT,
        attached_ms=TIME_MS,
        canary=YES_NO,
        state=one_of("following", "away", "unknown", "detached"),
        leader=TEXT,
        trouble=told(TEXT, "what is wrong now, for people"),
        heard_ms=maybe(TIME_MS),
        seen_age_ms=maybe(COUNT),
    ),
)
RING: Final = component(
    "WatchedRing",
    obj(version=WIDE, renewed=told(WIDE, "the newest with the same members"), servers=several(TEXT), at_ms=TIME_MS),
)
FILER: Final = component(
    "WatchedFiler",
    obj(
        address=TEXT,
        label=TEXT,
        color=COUNT,
        on_ring=YES_NO,
        connected=told(maybe(YES_NO), "to the master; null: unknown"),
        since_ms=told(TIME_MS, "on the ring, or off it"),
        software=TEXT,
        canary=told(ANYTHING, "how its last canary did; empty: none was tried"),
    ),
)
EVENT: Final = component(
    "WatchedEvent", obj(id=WIDE, at_ms=TIME_MS, kind=TEXT, address=TEXT, label=TEXT, version=WIDE, text=TEXT)
)
LISTED: Final = obj(
    clusters=several(obj(cluster=CLUSTER, filers=COUNT, version=WIDE, alerts=several(churn.ALERT, "gravest first")))
)
WATCHED: Final = obj(
    cluster=CLUSTER,
    ring=maybe(RING),
    filers=several(FILER),
    alerts=several(churn.ALERT, "what is wrong now, gravest first"),
    events=several(EVENT, "the newest, newest first"),
    versions=told(COUNT, "how many are recorded"),
)
RINGS: Final = obj(rings=several(RING, "newest first"), next_before=maybe(WIDE))
EVENTS: Final = obj(events=several(EVENT, "newest first"), next_before=maybe(WIDE))
HOLDER: Final = obj(
    key=TEXT, primary=TEXT, backup=maybe(TEXT), held=YES_NO, owner=told(TEXT, "as the primary says"), asked_ms=TIME_MS
)
ABSENT: Final = {HTTPStatus.NOT_FOUND: "No cluster of that name was ever watched."}
SILENT: Final = {**ABSENT, HTTPStatus.SERVICE_UNAVAILABLE: "There is no ring, or the key's primary does not answer."}


# --- pages ----------------------------------------------------------------------------------------------------------


@pages.served
def page(request: HttpRequest) -> HttpResponse:
    """Show the clusters that are watched."""
    return pages.show(request, "dashboard/clusters.html")


@pages.served
def cluster_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one cluster that is watched."""
    if not ObservedCluster.objects.filter(name=name).exists():
        raise Http404
    return pages.show(request, "dashboard/cluster.html", name=name)


# --- JSON -----------------------------------------------------------------------------------------------------------


@json_view("GET", Operation("The clusters that are, or were, watched.", LISTED))
def clusters(request: HttpRequest) -> HttpResponse:
    """Return the clusters, those that are watched first."""
    del request
    rows = ObservedCluster.objects.order_by("-attached", "name")[:KNOWN_MAX]
    return answer({"clusters": [_listed(row) for row in rows]})


@json_view("GET", Operation("One watched cluster as it was seen last.", WATCHED, problems=ABSENT))
def cluster(request: HttpRequest, name: str) -> HttpResponse:
    """Return a watched cluster: state, ring, filers, newest events."""
    del request
    row = cluster_named(name)
    newest = _newest(row)
    labels = _labels(row)
    filers = _filers(row)
    events = ObservedEvent.objects.filter(cluster=row).order_by("-id")[:EVENTS_FIRST]
    return answer(
        {
            "cluster": cluster_of(row),
            "ring": None if newest is None else _ring(newest),
            "filers": [_filer(filer) for filer in filers],
            "alerts": _told_alerts(row, newest, filers),
            "events": [_event(event, labels) for event in events],
            "versions": ObservedRing.objects.filter(cluster=row).count(),
        }
    )


@json_view(
    "GET", Operation("Versions of a watched ring, newest first.", RINGS, (LIMIT, BEFORE_VERSION), problems=ABSENT)
)
def rings(request: HttpRequest, name: str) -> HttpResponse:
    """Return versions, page by page."""
    limit, rows = LIMIT.need(request), ObservedRing.objects.filter(cluster=cluster_named(name)).order_by("-version")
    if (before := BEFORE_VERSION.read(request)) is not None:
        rows = rows.filter(version__lt=before)
    found = list(rows[: limit + 1])
    more = str(found[limit - 1].version) if len(found) > limit else None
    return answer({"rings": [_ring(row) for row in found[:limit]], "next_before": more})


@json_view("GET", Operation("What has happened in a watched cluster.", EVENTS, (LIMIT, BEFORE, KIND), problems=ABSENT))
def events(request: HttpRequest, name: str) -> HttpResponse:
    """Return events, newest first, page by page."""
    row, limit = cluster_named(name), LIMIT.need(request)
    rows = ObservedEvent.objects.filter(cluster=row).order_by("-id")
    if (before := BEFORE.read(request)) is not None:
        rows = rows.filter(id__lt=before)
    if kind := KIND.read(request):
        rows = rows.filter(kind=kind)
    found, labels = list(rows[: limit + 1]), _labels(row)
    more = str(found[limit - 1].pk) if len(found) > limit else None
    return answer({"events": [_event(event, labels) for event in found[:limit]], "next_before": more})


@json_view(
    "GET",
    Operation("How often filers of a watched cluster came and went.", churn.CHURN, (churn.OVER,), problems=ABSENT),
)
def churned(request: HttpRequest, name: str) -> HttpResponse:
    """Return joins and departures, step by step."""
    row, over = cluster_named(name), churn.OVER.read(request) or "hour"
    return answer(churn.churn_of(row, over, _labels(row), time.time_ns()))


@json_view("GET", Operation("Who holds a key in a watched cluster.", HOLDER, (KEY,), problems=SILENT))
def holder(request: HttpRequest, name: str) -> HttpResponse:
    """Ask the key's primary who holds it (W2)."""
    row, key = cluster_named(name), KEY.read(request)
    newest = _newest(row) if row.attached else None
    primary, backup = HashRing(newest.servers if newest else ()).owners(key)
    if primary is None:
        text = "No ring of this cluster is known, or it is not watched any more."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The holder is unknown", text)
    try:
        owner = async_to_sync(weedask.holder_of)(primary, key)
    except weedask.NoAnswer as why:
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The holder is unknown", f"{primary}: {why}") from None
    return answer(
        {
            "key": key,
            "primary": primary,
            "backup": backup,
            "held": owner is not None,
            "owner": owner or "",
            "asked_ms": time.time() * 1_000,
        }
    )


# --- shapes ---------------------------------------------------------------------------------------------------------


def cluster_named(name: str) -> ObservedCluster:
    """Return a cluster.

    Raises:
        Refusal: there is none of that name.
    """
    row = ObservedCluster.objects.filter(name=name).first()
    if row is None:
        text = f"No cluster {name[:64]!r} was ever watched. Look at the list of clusters for those there are."
        raise Refusal(HTTPStatus.NOT_FOUND, "No such cluster", text)
    return row


def cluster_of(row: ObservedCluster) -> Json:
    """Return a WatchedCluster."""
    age_ns = _seen_age_ns(row)
    stale = not is_seen(row)
    trouble = row.trouble
    if row.attached and stale:
        trouble = UNWATCHED
    return {
        "name": row.name,
        "masters": row.masters,
        "group": row.group,
        "attached": row.attached,
        "attached_by": row.attached_by,
        "attached_ms": picture.ms(row.attached_at_ns),
        "canary": row.canary,
        "state": "detached" if not row.attached else "unknown" if stale else row.state,
        "leader": row.leader,
        "trouble": trouble,
        "heard_ms": None if row.heard_at_ns is None else picture.ms(row.heard_at_ns),
        "seen_age_ms": None if age_ns is None else age_ns // 1_000_000,
    }


def is_seen(row: ObservedCluster) -> bool:
    """Return whether somebody watches a cluster now (W1)."""
    age_ns = _seen_age_ns(row)
    return age_ns is not None and age_ns <= STALE_S * NS_PER_S


def alerts_in(row: ObservedCluster) -> list[Alert]:
    """Return what is wrong in a cluster now."""
    return _alerts(row, _newest(row), _filers(row))


def _seen_age_ns(row: ObservedCluster) -> int | None:
    return None if row.seen_at_ns is None else max(0, time.time_ns() - row.seen_at_ns)


def _filers(row: ObservedCluster) -> list[ObservedFiler]:
    return list(ObservedFiler.objects.filter(cluster=row).order_by("-on_ring", "number")[:KNOWN_MAX])


def _alerts(row: ObservedCluster, newest: ObservedRing | None, filers: list[ObservedFiler]) -> list[Alert]:
    return churn.alerts_now(row, None if newest is None else newest.servers, filers, seen=is_seen(row))


def _told_alerts(row: ObservedCluster, newest: ObservedRing | None, filers: list[ObservedFiler]) -> list[Json]:
    labels = {filer.address: f"f{filer.number}" for filer in filers}
    return [churn.alert_of(alert, labels) for alert in _alerts(row, newest, filers)]


def _listed(row: ObservedCluster) -> Json:
    newest = _newest(row)
    return {
        "cluster": cluster_of(row),
        "filers": len(newest.servers) if newest else 0,
        "version": picture.wide(newest.renewed) if newest else "",
        "alerts": _told_alerts(row, newest, _filers(row)) if row.attached else [],
    }


def _newest(row: ObservedCluster) -> ObservedRing | None:
    return ObservedRing.objects.filter(cluster=row).order_by("-version").first()


def _labels(row: ObservedCluster) -> dict[str, str]:
    filers = ObservedFiler.objects.filter(cluster=row).values_list("address", "number")
    return {address: f"f{number}" for address, number in filers}


def _ring(row: ObservedRing) -> Json:
    version, renewed = picture.wide(row.version), picture.wide(row.renewed)
    return {"version": version, "renewed": renewed, "servers": row.servers, "at_ms": picture.ms(row.at_ns)}


def _filer(row: ObservedFiler) -> Json:
    return {
        "address": row.address,
        "label": f"f{row.number}",
        "color": row.number - 1,
        "on_ring": row.on_ring,
        "connected": row.connected,
        "since_ms": picture.ms(row.since_ns),
        "software": row.software,
        "canary": row.canary,
    }


def _event(row: ObservedEvent, labels: dict[str, str]) -> Json:
    return {
        "id": str(row.pk),
        "at_ms": picture.ms(row.at_ns),
        "kind": row.kind,
        "address": row.address,
        "label": labels.get(row.address, row.address),
        "version": picture.wide(row.version),
        "text": row.text,
    }
