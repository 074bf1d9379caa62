"""How often the filers of a watched cluster come and go, in steps of time; and what is wrong there now.

Elsewhere: what is wrong (dlmsite.observing.alerts), all else that is told of such a cluster (clusters).
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dlmsite.dashboard import picture
from dlmsite.dashboard.parameters import Choice
from dlmsite.dashboard.shapes import COUNT, TEXT, TIME_MS, YES_NO, component, obj, one_of, several, told
from dlmsite.observing import alerts
from dlmsite.observing.models import ObservedCluster, ObservedEvent, ObservedFiler

Json = dict[str, Any]

NS_PER_S: Final = 1_000_000_000
MINUTE_S: Final = 60
DAY_S: Final = 86_400
STEPS: Final = {"hour": (MINUTE_S, 60), "day": (15 * MINUTE_S, 96), "month": (DAY_S, 30)}
"""A step in seconds, and how many there are."""
CHANGES_MAX: Final = 20_000
FILERS_MAX: Final = 200
JOINED: Final = "joined"
LEFT: Final = "left"

OVER: Final = Choice("over", "How far back: the last hour, day, or month of 30 days.", tuple(STEPS))
ALERT: Final = component(
    "WatchedAlert",
    obj(
        kind=one_of(*alerts.KINDS),
        severity=one_of(alerts.BAD, alerts.WARN),
        text=TEXT,
        address=told(TEXT, "of a filer; empty: of the cluster"),
        label=TEXT,
    ),
)
STEP: Final = obj(at_ms=told(TIME_MS, "its beginning"), joined=COUNT, left=COUNT)
CHURN: Final = obj(
    over=one_of(*STEPS),
    from_ms=TIME_MS,
    to_ms=TIME_MS,
    step_ms=COUNT,
    steps=several(STEP, "oldest first, with those in which nothing changed"),
    filers=several(obj(address=TEXT, label=TEXT, joined=COUNT, left=COUNT), "those that changed, most often first"),
    cut=told(YES_NO, "there were more changes than are looked at: what is older is missing"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A filer that joined or left."""

    at_ns: int
    kind: str
    address: str


def churn_of(row: ObservedCluster, over: str, labels: Mapping[str, str], now_ns: int) -> Json:
    """Return a CHURN."""
    step_s, count = STEPS[over]
    step_ns = step_s * NS_PER_S
    end_ns = (now_ns // step_ns + 1) * step_ns
    from_ns = end_ns - count * step_ns
    changes = list(_changes(row, from_ns))
    steps = Counter(((change.at_ns - from_ns) // step_ns, change.kind) for change in changes)
    filers = Counter((change.address, change.kind) for change in changes)
    addresses = sorted({change.address for change in changes}, key=lambda a: (-filers[a, JOINED] - filers[a, LEFT], a))
    return {
        "over": over,
        "from_ms": picture.ms(from_ns),
        "to_ms": picture.ms(end_ns),
        "step_ms": step_s * 1_000,
        "steps": [
            {"at_ms": picture.ms(from_ns + at * step_ns), "joined": steps[at, JOINED], "left": steps[at, LEFT]}
            for at in range(count)
        ],
        "filers": [
            {"address": a, "label": labels.get(a, a), "joined": filers[a, JOINED], "left": filers[a, LEFT]}
            for a in addresses[:FILERS_MAX]
        ],
        "cut": len(changes) == CHANGES_MAX,
    }


def alerts_now(
    row: ObservedCluster, servers: list[str] | None, filers: list[ObservedFiler], *, seen: bool
) -> list[alerts.Alert]:
    """Return what is wrong in a cluster now."""
    since_ns = time.time_ns() - alerts.CHURN_S * NS_PER_S
    changes = sum(1 for _ in _changes(row, since_ns)) if row.attached and seen else 0
    return alerts.alerts_of(row, servers, filers, changes, seen=seen)


def alert_of(alert: alerts.Alert, labels: Mapping[str, str]) -> Json:
    """Return a WatchedAlert."""
    label = labels.get(alert.address, alert.address)
    told = {"kind": alert.kind, "severity": alert.severity, "text": alert.text}
    return {**told, "address": alert.address, "label": label}


def _changes(row: ObservedCluster, from_ns: int) -> Iterator[Change]:
    """Yield what changed since then, newest first, CHANGES_MAX at most."""
    rows = ObservedEvent.objects.filter(cluster=row, kind__in=(JOINED, LEFT)).order_by("-id")
    for at_ns, kind, address in rows.values_list("at_ns", "kind", "address")[:CHANGES_MAX].iterator():
        if at_ns < from_ns:
            return
        yield Change(at_ns, kind, address)
