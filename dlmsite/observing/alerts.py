"""What is wrong in a watched cluster now, as far as can be seen from outside.

Pure: rows come in, alerts go out, the gravest first. An alert is a state and no event: it is told as long as it is so.

Invariants
  A1  Of a cluster that nobody watches only that is told: whatever else was seen may have changed.
Elsewhere: what was seen (book), who tells of it (dlmsite.dashboard.clusters, metrics).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dlmsite.observing.models import ObservedCluster, ObservedFiler

BAD: Final = "bad"
"""Locks are refused, lost or given twice, or may be at any moment."""
WARN: Final = "warn"
UNWATCHED: Final = "nobody watches it now: `manage.py up` (or `master`) does"
KINDS: Final = ("unwatched", "away", "empty", "gone", "canary", "fell", "alone", "churn")
CHURN_MIN: Final = 10
CHURN_S: Final = 600


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong.

    Attributes:
        kind: one of KINDS.
        severity: BAD or WARN.
        text: for people; says what it means.
        address: of the filer it is about; empty: of the cluster.
    """

    kind: str
    severity: str
    text: str
    address: str = ""


def alerts_of(
    cluster: ObservedCluster,
    servers: Sequence[str] | None,
    filers: Sequence[ObservedFiler],
    changes: int,
    *,
    seen: bool,
) -> list[Alert]:
    """Return what is wrong in a cluster.

    Args:
        cluster: one that is attached; of others nothing is told.
        servers: of its newest ring; None: none was ever told.
        filers: its filers.
        changes: how often a filer joined or left within CHURN_S.
        seen: whether somebody watches it now.
    """
    if not cluster.attached:
        return []
    if not seen:
        return [Alert("unwatched", BAD, UNWATCHED)]
    found = [*_of_the_ring(cluster, servers, changes), *(alert for filer in filers for alert in _of(filer))]
    return sorted(found, key=lambda alert: (alert.severity != BAD, KINDS.index(alert.kind)))


def _of_the_ring(cluster: ObservedCluster, servers: Sequence[str] | None, changes: int) -> Iterator[Alert]:
    if cluster.state == "away":
        yield Alert("away", BAD, "no master answers: what is shown is the last that was heard")
    if servers is not None and len(servers) == 0:
        yield Alert("empty", BAD, "its ring has no filer: nobody serves a lock")
    if servers is not None and len(servers) == 1:
        yield Alert("alone", WARN, "its ring has one filer: locks have no backup, and are gone if it dies", servers[0])
    if changes >= CHURN_MIN:
        yield Alert("churn", WARN, f"filers joined or left {changes} times within {CHURN_S // 60} minutes")


def _of(filer: ObservedFiler) -> Iterator[Alert]:
    if filer.on_ring and filer.connected is False:
        yield Alert("gone", BAD, "the master has lost it, and it is still on the ring", filer.address)
    if filer.on_ring and (problem := filer.canary.get("problem")):
        yield Alert("canary", BAD, f"its last canary lock failed: {problem}", filer.address)
    if filer.on_ring and filer.canary.get("falls"):
        text = f"its generations fell, the last time from {filer.canary.get('fell_from')}: do not fence by them"
        yield Alert("fell", WARN, text, filer.address)
