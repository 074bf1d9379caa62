"""What a run's faults have cost, from what its clients wrote down.

An *outage* of a probe's lock is the time without an answered renewal, from
the fault or from the last answer, whichever is later, to the next answer. Of
locks whose primary a fault struck, the longest outage is the failover time
(of a death: the longest that began before the node was started again).

Elsewhere: the records (records), safety (lockcore.testing.history).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Final

from lockcore.client.machine import GONE
from lockcore.core.ring import HashRing
from lockcore.testing.history import Call, Did

if TYPE_CHECKING:
    from lockcore.testing.chaos.kinds import Trial
    from lockcore.testing.chaos.records import Recorded, Sample

NOTICED_NS: Final = 250_000_000
"""A longer outage counts as unavailability: probes renew every 100 ms or so."""


@dataclass(slots=True)
class Cost:
    """What one trial has cost.

    Attributes:
        failover_ms: longest outage of each probe whose lock was touched.
        set_aside: how many such figures a stall of our own made worthless.
        unavailable_ms: outages above NOTICED_NS, on average over all probes.
        never_back: touched probes that no renewal reached before the next fault.
    """

    failover_ms: list[float] = field(default_factory=list)
    set_aside: int = 0
    unavailable_ms: float = 0.0
    never_back: int = 0

    @property
    def median_ms(self) -> float | None:
        """The failover time of the probe in the middle, None without one."""
        return median(self.failover_ms) if self.failover_ms else None


@dataclass(slots=True)
class Watched:
    """What trials are measured by: answered renewals of each probe in their order, and stalls."""

    probes: dict[str, list[Sample]] = field(default_factory=dict)
    stalls: list[tuple[int, int]] = field(default_factory=list)

    def add(self, recorded: Recorded) -> None:
        """Take more; samples of one probe come in the order in which they were told."""
        for sample in recorded.samples:
            self.probes.setdefault(sample.key, []).append(sample)
        self.stalls += recorded.stalls


def cost_of(trial: Trial, watched: Watched) -> Cost:
    """Measure one trial."""
    out = Cost(failover_ms=list(trial.failovers_ms))
    probes = watched.probes
    stalls = [(a, b) for a, b in watched.stalls if trial.begun_ns < b and a < trial.quiet_ns]
    for key, samples in probes.items():
        outages = _outages(samples, trial.begun_ns, trial.quiet_ns)
        out.unavailable_ms += sum(b - a for a, b in outages if b - a > NOTICED_NS) / 1e6 / len(probes)
        if not _touches(trial, key):
            continue
        if not outages or outages[-1][1] >= trial.quiet_ns:
            out.never_back += 1
        failovers = [outage for outage in outages if not trial.back_ns or outage[0] < trial.back_ns]
        begin_ns, end_ns = max(failovers, key=lambda outage: outage[1] - outage[0], default=(0, 0))
        if any(begin_ns < stall_end and stall_begin < end_ns for stall_begin, stall_end in stalls):
            out.set_aside += 1
        elif end_ns:
            out.failover_ms.append((end_ns - begin_ns) / 1e6)
    return out


def _outages(samples: list[Sample], begin_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Return the times between answers, from `begin_ns`; the last goes on to `end_ns` where no answer came."""
    out = []
    before_ns = begin_ns
    first = bisect_right(samples, begin_ns, key=lambda sample: sample.told_ns)
    for sample in islice(samples, first, None):
        if sample.asked_ns < begin_ns:
            continue
        if sample.told_ns > end_ns:
            break
        out.append((before_ns, sample.told_ns))
        before_ns = sample.told_ns
    if end_ns - before_ns > NOTICED_NS:
        out.append((before_ns, end_ns))
    return out


def _touches(trial: Trial, key: str) -> bool:
    if not trial.touched:
        return True
    primary, backup = HashRing(trial.ring).owners(key)
    if trial.between:
        return {primary, backup} == set(trial.touched)
    return primary in trial.touched


def lost_locks(calls: list[Call]) -> list[Call]:
    """Return renewals that were refused for good within a lease that had been acknowledged (I5)."""
    ends_ns: dict[tuple[str, str, int], int] = {}
    out = []
    for call in sorted(calls, key=lambda c: c.returned_ns):
        lock = call.client, call.key, call.generation
        if call.did is Did.UNLOCK:
            ends_ns.pop(lock, None)
        elif call.ok:
            ends_ns[lock] = max(ends_ns.get(lock, 0), call.invoked_ns + call.ttl_ms * 1_000_000)
        elif call.did is Did.RENEW and call.code in GONE and call.returned_ns < ends_ns.pop(lock, 0):
            out.append(call)
    return out
