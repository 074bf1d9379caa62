"""Writes down what was seen of watched clusters, and which are to be watched.

Synchronous; the observatory calls it in the journal's thread, where all writing of the site's process happens.

Invariants
  B1  Facts, the ring and the filers as they are after them are one transaction: a reader never sees half a change.
  B2  Bounded: EVENTS_KEPT events, RINGS_KEPT versions and FILERS_KEPT filers per cluster, CLUSTERS_MAX clusters.
Elsewhere: what the facts mean (sight), the rows (models).
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import transaction
from django.db.models import Max

from dlmsite.observing.models import ObservedCluster, ObservedEvent, ObservedFiler, ObservedRing
from dlmsite.observing.naming import Wanted
from dlmsite.observing.sight import Fact
from lockcore.wire.seaweed_client import RingUpdate

CLUSTERS_MAX: Final = 16
"""Watched at a time."""
KNOWN_MAX: Final = 200
EVENTS_KEPT: Final = 100_000
RINGS_KEPT: Final = 20_000
FILERS_KEPT: Final = 1_000
TEXT_CHARS_MAX: Final = 1_000
STEP_ROWS: Final = 2_000


class AttachProblem(Exception):  # noqa: N818 - for the reader to change
    """The cluster cannot be attached; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a cluster now.

    Attributes:
        connected: filers that the master has a connection to; None: it has not said.
        version: the newest that was told; 0: none.
    """

    state: str
    leader: str
    trouble: str
    heard_at_ns: int | None
    connected: frozenset[str] | None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one canary has found at a filer."""

    address: str
    canary: dict[str, Any] = field(default_factory=dict)


# --- which are watched ----------------------------------------------------------------------------------------------


def attach(wanted: Wanted, by: str, *, replace: bool = False) -> ObservedCluster:
    """Have a cluster watched from now on.

    Args:
        wanted: what somebody wrote.
        by: who.
        replace: other masters or another group than a cluster of that name has now take their place.
    Raises:
        AttachProblem: the name is taken by another cluster, or there are too many.
    """
    masters = ",".join(wanted.masters)
    with transaction.atomic():
        row = ObservedCluster.objects.filter(name=wanted.name).first()
        same = row is not None and (row.masters, row.group) == (masters, wanted.group)
        if row is not None and row.attached:
            if same:
                return row
            if not replace:
                raise AttachProblem(f"{wanted.name} is watched already, at {row.masters}. Choose another name.")
        elif ObservedCluster.objects.filter(attached=True).count() >= CLUSTERS_MAX:
            raise AttachProblem(f"{CLUSTERS_MAX} clusters are watched already. Detach one first.")
        if row is None:
            if ObservedCluster.objects.count() >= KNOWN_MAX:
                raise AttachProblem(f"{KNOWN_MAX} clusters are known. Use the name of one that was detached.")
            row = ObservedCluster(name=wanted.name)
        row.masters, row.group = masters, wanted.group
        row.attached, row.attached_by, row.attached_at_ns = True, by, time.time_ns()
        row.canary, row.state, row.leader, row.trouble = False, "unknown", "", ""
        row.heard_at_ns = row.seen_at_ns = None
        row.save()
        group = f", filer group {wanted.group}" if wanted.group else ""
        _note(row.pk, "attached", f"by {by}: {masters}{group}")
    return row


def detach(row: ObservedCluster, by: str) -> bool:
    """End the watching; say whether it was watched."""
    with transaction.atomic():
        changed = ObservedCluster.objects.filter(pk=row.pk, attached=True).update(
            attached=False, canary=False, state="unknown", trouble="", seen_at_ns=None
        )
        if changed:
            _note(row.pk, "detached", f"by {by}")
    return bool(changed)


def switch_canary(row: ObservedCluster, by: str, *, on: bool) -> None:
    """Have canary locks tried, or not any more."""
    with transaction.atomic():
        if ObservedCluster.objects.filter(pk=row.pk, attached=True, canary=not on).update(canary=on):
            _note(row.pk, "canary", f"switched {'on' if on else 'off'} by {by}")


def attached() -> list[ObservedCluster]:
    """Return the clusters that are to be watched."""
    return list(ObservedCluster.objects.filter(attached=True).order_by("id")[:CLUSTERS_MAX])


# --- what was seen --------------------------------------------------------------------------------------------------


def last_ring(cluster: int, group: str) -> RingUpdate | None:
    """Return the newest version that is recorded."""
    row = ObservedRing.objects.filter(cluster=cluster).order_by("-version").first()
    return None if row is None else RingUpdate(group, tuple(row.servers), row.renewed)


def write(cluster: int, facts: Sequence[Fact], state: State) -> None:
    """Write down what has happened, and how things are after it (B1)."""
    with transaction.atomic():
        for fact in facts:
            if fact.ring is not None:
                _write_ring(cluster, fact.ring, fact.at_ns)
        _renew(cluster, state.version)
        _write_connections(cluster, state.connected)
        ObservedEvent.objects.bulk_create(
            ObservedEvent(
                cluster_id=cluster,
                at_ns=fact.at_ns,
                kind=fact.kind,
                address=fact.address,
                version=fact.version,
                text=fact.text[:TEXT_CHARS_MAX],
            )
            for fact in facts
        )
        ObservedCluster.objects.filter(pk=cluster).update(
            state=state.state,
            leader=state.leader,
            trouble=state.trouble[:TEXT_CHARS_MAX],
            heard_at_ns=state.heard_at_ns,
            seen_at_ns=time.time_ns(),
        )


def note_seen(clusters: Iterable[int]) -> None:
    """Say that these are being watched now."""
    ObservedCluster.objects.filter(pk__in=list(clusters)).update(seen_at_ns=time.time_ns())


def write_software(cluster: int, address: str, software: str) -> None:
    """Write down what a filer says it is."""
    ObservedFiler.objects.filter(cluster=cluster, address=address).update(software=software[:64])


def write_canaries(cluster: int, seen: Iterable[Seen], facts: Sequence[Fact]) -> None:
    """Write down how canaries did, and what of that is worth an event."""
    with transaction.atomic():
        for one in seen:
            ObservedFiler.objects.filter(cluster=cluster, address=one.address).update(canary=one.canary)
        ObservedEvent.objects.bulk_create(
            ObservedEvent(cluster_id=cluster, at_ns=f.at_ns, kind=f.kind, address=f.address, text=f.text) for f in facts
        )


def prune(cluster: int) -> None:
    """Remove some of what is too much, oldest first (B2)."""
    events = ObservedEvent.objects.filter(cluster=cluster)
    newest = events.order_by("-id").values_list("id", flat=True)
    for through in newest[EVENTS_KEPT : EVENTS_KEPT + 1]:
        old = events.filter(id__lte=through).order_by("id").values_list("id", flat=True)[:STEP_ROWS]
        events.filter(id__in=list(old)).delete()
    rings = ObservedRing.objects.filter(cluster=cluster)
    for version in rings.order_by("-version").values_list("version", flat=True)[RINGS_KEPT : RINGS_KEPT + 1]:
        older = rings.filter(version__lte=version).order_by("version").values_list("id", flat=True)[:STEP_ROWS]
        rings.filter(id__in=list(older)).delete()
    filers = ObservedFiler.objects.filter(cluster=cluster, on_ring=False)
    for since in filers.order_by("-since_ns").values_list("since_ns", flat=True)[FILERS_KEPT : FILERS_KEPT + 1]:
        filers.filter(since_ns__lte=since).delete()


# --- inside ---------------------------------------------------------------------------------------------------------


def _note(cluster: int, kind: str, text: str) -> None:
    ObservedEvent.objects.create(cluster_id=cluster, at_ns=time.time_ns(), kind=kind, text=text[:TEXT_CHARS_MAX])


def _write_ring(cluster: int, ring: RingUpdate, at_ns: int) -> None:
    ObservedRing.objects.update_or_create(
        cluster_id=cluster,
        version=ring.version,
        defaults={"servers": list(ring.servers), "at_ns": at_ns, "renewed": ring.version},
    )
    filers = ObservedFiler.objects.filter(cluster=cluster)
    filers.filter(on_ring=True).exclude(address__in=ring.servers).update(on_ring=False, since_ns=at_ns)
    for filer in _known(cluster, ring.servers, at_ns):
        if not filer.on_ring:
            filers.filter(pk=filer.pk).update(on_ring=True, since_ns=at_ns)


def _renew(cluster: int, version: int) -> None:
    """Note that the newest ring was told again under a newer version."""
    rings = ObservedRing.objects.filter(cluster=cluster)
    for newest in rings.order_by("-version").values_list("id", flat=True)[:1]:
        rings.filter(pk=newest, renewed__lt=version).update(renewed=version)


def _write_connections(cluster: int, connected: frozenset[str] | None) -> None:
    filers = ObservedFiler.objects.filter(cluster=cluster)
    if connected is None:
        filers.exclude(connected=None).update(connected=None)
        return
    _known(cluster, connected, time.time_ns())
    filers.filter(address__in=connected).exclude(connected=True).update(connected=True)
    filers.exclude(address__in=connected).exclude(connected=False).update(connected=False)


def _known(cluster: int, addresses: Iterable[str], at_ns: int) -> list[ObservedFiler]:
    """Return the rows of filers; those that are new get the next numbers, in the order of their addresses."""
    wanted = set(addresses)
    filers = ObservedFiler.objects.filter(cluster=cluster)
    known = list(filers.filter(address__in=wanted))
    number = filers.aggregate(last=Max("number"))["last"] or 0
    for address in sorted(wanted - {filer.address for filer in known}):
        number += 1
        known.append(ObservedFiler.objects.create(cluster_id=cluster, address=address, number=number, since_ns=at_ns))
    return known
