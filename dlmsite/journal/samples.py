"""How the nodes did, second by second: a row per second, and coarser rows made of finer ones for what is longer ago.

A row holds, for each node that was seen, what it did in that time: sums for what is counted, the highest for what
waits, the mean for what is held. A node or a second that is missing was not measured.

Invariants
  S1  Nothing is made up: the first sight of a life that was there before us tells no rate, and a second in which
      nobody looked has no row.
  S2  Bounded: LEVELS says how long each step stays, whatever the load; a row holds one entry per node.
  S3  Coarser rows are made of rows alone, so a restart of the site loses at most the second under way.
Elsewhere: who looks (dlmsite.operations.watch), reading for charts (dlmsite.dashboard.series).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any, Final

from dlmsite.journal.models import Sample
from dlmsite.journal.moments import squeeze, unsqueeze
from dlmsite.journal.nodes import NodeSample

NS_PER_S: Final = 1_000_000_000
HOUR_S: Final = 3_600
LEVELS: Final[Mapping[int, int]] = {
    1: HOUR_S,
    5: 6 * HOUR_S,
    20: 24 * HOUR_S,
    60: 30 * 24 * HOUR_S,
    300: 30 * 24 * HOUR_S,
    1_200: 30 * 24 * HOUR_S,
}
"""Step -> how long its rows stay, in seconds. A thousand points of any time within are at most 5,000 rows."""
KNOWN: Final = frozenset({"up", "acquiring", "leaving", "fenced", "joining"})
"""What such a node last said of itself is from just now."""
TIDY_EVERY: Final = 60
TIDY_ROWS: Final = 500
TIMINGS: Final = ("answered", "replicated")

Figures = dict[str, Any]
"""Of one node in one row: seconds, ops, renewals, held, copies, waiting, lag_us; answered and replicated as
[counts, total_us]."""


@dataclass(slots=True)
class _Life:
    """What one life of a node had counted when it was last written down."""

    incarnation: int
    gauges: Mapping[str, Any]


class SampleBook:
    """Turns what is seen several times a second into rows. Synchronous; runs in the journal's thread."""

    def __init__(self) -> None:
        self._second = 0
        self._lives: dict[str, _Life] = {}
        self._seen: dict[str, NodeSample] = {}
        self._peaks: dict[str, tuple[int, int]] = {}
        self._next: dict[int, int] = {}

    def note(self, samples: Iterable[NodeSample], now_ns: int) -> None:
        """Take what is seen now; write the second that is over."""
        second = now_ns // NS_PER_S
        if second != self._second:
            if self._seen:
                self._write(self._second)
            self._second = second
            self._roll(second)
            self._seen, self._peaks = {}, {}
        for sample in samples:
            if sample.state in KNOWN and sample.gauges:
                self._seen[sample.label] = sample
                waiting, lag_us = self._peaks.get(sample.label, (0, 0))
                gauges = sample.gauges
                told_us = gauges.get("replication_lag_us", 0)
                self._peaks[sample.label] = (max(waiting, gauges["waiting"]), max(lag_us, told_us))

    def _write(self, second: int) -> None:
        figures = {label: self._figures(sample) for label, sample in self._seen.items()}
        # A node that was not seen this second begins anew: what it did unseen belongs to no second.
        self._lives = {label: _Life(sample.incarnation, sample.gauges) for label, sample in self._seen.items()}
        _insert(1, second, figures)
        if second % TIDY_EVERY == 0:
            prune(second)

    def _figures(self, sample: NodeSample) -> Figures:
        gauges = sample.gauges
        waiting, lag_us = self._peaks[sample.label]
        figures: Figures = {
            "held": gauges["held_primary"],
            "copies": gauges["held_backup"],
            "waiting": waiting,
            "lag_us": lag_us,
        }
        before = self._before(sample)
        if before is None:
            return figures
        figures["seconds"] = 1
        figures["ops"] = gauges["operations"] - before.get("operations", 0)
        figures["renewals"] = gauges["renewals"] - before.get("renewals", 0)
        for name in TIMINGS:
            now, then = gauges.get(name) or {}, before.get(name) or {}
            if now.get("counts"):
                counts = [a - b for a, b in zip_longest(now["counts"], then.get("counts", ()), fillvalue=0)]
                figures[name] = [_trimmed(counts), now["total_us"] - then.get("total_us", 0)]
        return figures

    def _before(self, sample: NodeSample) -> Mapping[str, Any] | None:
        """Return what its counters were; None where nobody knows (S1)."""
        life = self._lives.get(sample.label)
        if life is not None and life.incarnation == sample.incarnation:
            return life.gauges
        return {} if life is not None and life.incarnation < sample.incarnation else None

    def _roll(self, now_s: int) -> None:
        """Make the coarser rows whose time is over."""
        steps = list(LEVELS)
        for finer, step in pairwise(steps):
            start = self._next.get(step) or _first_unmade(step, finer, now_s)
            while start + step <= now_s:
                rows = _rows(finer, start, start + step)
                if rows:
                    _insert(step, start, merge_rows(rows))
                    start += step
                else:
                    start = _next_measured(finer, start, now_s, step)
            self._next[step] = start


def merge_rows(rows: Sequence[Mapping[str, Figures]]) -> dict[str, Figures]:
    """Return what nodes did over several rows, one after the other."""
    if len(rows) == 1:
        return dict(rows[0])
    labels = {label for row in rows for label in row}
    return {label: merge([row[label] for row in rows if label in row]) for label in sorted(labels)}


def merge(parts: Sequence[Figures]) -> Figures:
    """Return what one node did over several times that follow each other."""
    merged = _added(parts)
    for name in ("held", "copies"):
        merged[name] = round(sum(part[name] for part in parts) / len(parts), 2)
    return merged


def total(parts: Sequence[Figures]) -> Figures:
    """Return what several nodes did together in the same time."""
    merged = _added(parts)
    merged["seconds"] = max((part.get("seconds", 0) for part in parts), default=0)
    for name in ("held", "copies", "waiting"):
        merged[name] = round(sum(part[name] for part in parts), 2)
    return merged


def read(step: int, from_s: int, to_s: int) -> list[tuple[int, dict[str, Figures]]]:
    """Return (start, nodes) of the rows that begin in [from_s, to_s), oldest first."""
    found = Sample.objects.filter(step_s=step, at_ns__gte=from_s * NS_PER_S, at_ns__lt=to_s * NS_PER_S)
    rows = found.order_by("at_ns").values_list("at_ns", "blob")
    return [(at_ns // NS_PER_S, unsqueeze(bytes(blob))) for at_ns, blob in rows]


def prune(now_s: int) -> int:
    """Remove some of the rows that have been there long enough; return how many."""
    removed = 0
    for step, keep_s in LEVELS.items():
        old = Sample.objects.filter(step_s=step, at_ns__lt=(now_s - keep_s) * NS_PER_S).order_by("at_ns")
        gone = list(old.values_list("id", flat=True)[:TIDY_ROWS])
        removed += Sample.objects.filter(id__in=gone).delete()[0]
    return removed


def _rows(step: int, from_s: int, to_s: int) -> list[dict[str, Figures]]:
    return [nodes for _, nodes in read(step, from_s, to_s)]


def _insert(step: int, at_s: int, nodes: Mapping[str, Figures]) -> None:
    # A clock that was set back comes to the same second twice: the first one stays.
    row = Sample(step_s=step, at_ns=at_s * NS_PER_S, blob=squeeze(nodes))
    Sample.objects.bulk_create([row], ignore_conflicts=True)


def _first_unmade(step: int, finer: int, now_s: int) -> int:
    """At the start: go on after the newest row of this step; without one, at the oldest that can be made."""
    newest = Sample.objects.filter(step_s=step).order_by("-at_ns").values_list("at_ns", flat=True).first()
    if newest is not None and newest // NS_PER_S <= now_s:
        return newest // NS_PER_S + step
    return _next_measured(finer, 0, now_s, step)


def _next_measured(finer: int, from_s: int, now_s: int, step: int) -> int:
    """Return the start of the next time in which there is a finer row, else of the one that is under way."""
    rows = Sample.objects.filter(step_s=finer, at_ns__gte=from_s * NS_PER_S).order_by("at_ns")
    first = rows.values_list("at_ns", flat=True).first()
    at_s = now_s if first is None else min(now_s, first // NS_PER_S)
    return at_s - at_s % step


def _added(parts: Sequence[Figures]) -> Figures:
    merged: Figures = {
        "waiting": max((part["waiting"] for part in parts), default=0),
        "lag_us": max((part["lag_us"] for part in parts), default=0),
    }
    counted = [part for part in parts if part.get("seconds")]
    if not counted:
        return merged
    for name in ("seconds", "ops", "renewals"):
        merged[name] = sum(part[name] for part in counted)
    for name in TIMINGS:
        timed = [part[name] for part in counted if name in part]
        if timed:
            counts = [sum(column) for column in zip_longest(*(counts for counts, _ in timed), fillvalue=0)]
            merged[name] = [counts, sum(sum_us for _, sum_us in timed)]
    return merged


def _trimmed(counts: list[int]) -> list[int]:
    while counts and counts[-1] == 0:
        counts.pop()
    return counts
