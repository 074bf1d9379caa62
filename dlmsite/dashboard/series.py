"""How the nodes did over time, as numbers to draw: at most POINTS_MAX of them, whatever the time asked for.

Invariants
  T1  Unknown is null: a time in which nobody measured, a rate without a beginning, a quantile of no operations.
  T2  Quantiles come from counts that were added up, never from quantiles that were averaged.
Elsewhere: the rows (dlmsite.journal.samples), failovers (failovers), the page (static/js/charts.js).
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import failovers
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Whole
from dlmsite.dashboard.problems import invalid
from dlmsite.dashboard.shapes import COUNT, NUMBER, TEXT, TIME_MS, WIDE, maybe, obj, several, told
from dlmsite.journal import samples
from dlmsite.journal.models import Node
from dlmsite.journal.samples import NS_PER_S, Figures
from lockcore.core.timing import BUCKETS_US

POINTS_MAX: Final = 1_000
POINTS_DEFAULT: Final = 300
SPAN_DEFAULT_S: Final = 900
SPAN_MAX_S: Final = 31 * 24 * 3_600
US_PER_MS: Final = 1_000
QUANTILES: Final = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}

FROM: Final = Whole("from_ns", "Wall clock; 15 minutes before the end if it is not said.")
TO: Final = Whole("to_ns", "Wall clock; now if it is not said.")
STEP: Final = Whole("step_s", "Seconds per point; as many as give some 300 points if it is not said.", most=SPAN_MAX_S)

LINE: Final = several(maybe(NUMBER), "one number per point; null where nobody measured")
LINES: Final = obj(
    ops_per_s=LINE, p50_ms=LINE, p95_ms=LINE, p99_ms=LINE, held=LINE, waiting=LINE, lag_ms=LINE, replicated_p99_ms=LINE
)
SERIES: Final = obj(
    from_ns=WIDE,
    to_ns=WIDE,
    step_s=told(COUNT, "seconds per point"),
    at_ms=several(TIME_MS, "where each point begins"),
    total=LINES,
    nodes=several(obj(**LINES["properties"], label=TEXT, color=told(COUNT, "index into the page's palette"))),
    failovers=several(failovers.FAILOVER, "oldest first"),
    failovers_left_out=COUNT,
)


@json_view("GET", Operation("How the nodes did over time.", SERIES, (FROM, TO, STEP)))
def series(request: HttpRequest) -> HttpResponse:
    """Return operations, times, locks, waiters and lag, per node and together, and failovers."""
    now_s = time.time_ns() // NS_PER_S
    to_ns = TO.read(request) or (now_s + 1) * NS_PER_S
    from_ns = FROM.read(request) or max(1, to_ns - SPAN_DEFAULT_S * NS_PER_S)
    step = _step(from_ns, to_ns, STEP.read(request), now_s)
    first_s = from_ns // NS_PER_S // step * step
    starts = range(first_s, -(-to_ns // NS_PER_S), step)
    points = _points(starts, now_s)
    labels = sorted({label for point in points for label in point}, key=lambda label: (len(label), label))
    colors = dict(Node.objects.values_list("label", "color"))
    turns, left_out = failovers.between(from_ns, to_ns)
    return answer(
        {
            "from_ns": str(from_ns),
            "to_ns": str(to_ns),
            "step_s": step,
            "at_ms": [start * 1_000 for start in starts],
            "total": _lines([_together(list(point.values())) for point in points]),
            "nodes": [
                {**_lines([point.get(label) for point in points]), "label": label, "color": colors.get(label, 0)}
                for label in labels
            ],
            "failovers": turns,
            "failovers_left_out": left_out,
        }
    )


def quantile_us(counts: Sequence[int], share: float) -> float | None:
    """Return the time below which `share` of what was counted stayed; None of nothing.

    Within a bucket times are taken to be spread evenly, as Prometheus does; beyond the last bound it is that bound.
    """
    sums = list(accumulate(counts))
    if not sums or not sums[-1]:
        return None
    wanted = share * sums[-1]
    place = bisect_left(sums, wanted)
    if place >= len(BUCKETS_US):
        return float(BUCKETS_US[-1])
    below = sums[place - 1] if place else 0
    low_us = BUCKETS_US[place - 1] if place else 0
    return low_us + (BUCKETS_US[place] - low_us) * (wanted - below) / counts[place]


def _step(from_ns: int, to_ns: int, asked: int | None, now_s: int) -> int:
    """Return the step: a multiple of one whose rows are still there.

    Raises:
        Refusal: the times are in the wrong order or too far apart, or would be too many points.
    """
    if from_ns >= to_ns:
        raise invalid("from_ns must be before to_ns.")
    span_s = -(-(to_ns - from_ns) // NS_PER_S)
    if span_s > SPAN_MAX_S:
        raise invalid(f"From from_ns to to_ns must be at most {SPAN_MAX_S:,} s; samples stay no longer.")
    kept = [step for step, keep_s in samples.LEVELS.items() if now_s - from_ns // NS_PER_S <= keep_s]
    finest = min(kept, default=max(samples.LEVELS))
    wanted = max(asked or -(-span_s // POINTS_DEFAULT), finest)
    level = max(step for step in samples.LEVELS if step <= wanted)
    step = -(-wanted // level) * level
    # One more: neither end need be a multiple of the step.
    if span_s > (POINTS_MAX - 1) * step:
        least = -(-span_s // (POINTS_MAX - 1))
        raise invalid(f"That would be more than {POINTS_MAX:,} points: choose step_s of at least {least:,}.")
    return step


def _points(starts: range, now_s: int) -> list[dict[str, Figures]]:
    """Return what each node did in each step; a point of nothing is empty."""
    if not starts:
        return []
    level = max(step for step in samples.LEVELS if starts.step % step == 0)
    gathered: list[list[dict[str, Figures]]] = [[] for _ in starts]
    end_s = min(starts[-1] + starts.step, now_s + 1)
    for at_s, nodes in samples.read(level, starts[0], end_s):
        gathered[(at_s - starts[0]) // starts.step].append(nodes)
    return [samples.merge_rows(rows) for rows in gathered]


def _together(parts: Sequence[Figures]) -> Figures | None:
    if not parts:
        return None
    rates = [_rate(part) for part in parts]
    known = [rate for rate in rates if rate is not None]
    return {**samples.total(parts), "rate": sum(known) if known else None}


def _lines(points: Sequence[Figures | None]) -> dict[str, Any]:
    def line(value: Callable[[Figures], float | None]) -> list[float | None]:
        values = [None if point is None else value(point) for point in points]
        return [None if value is None else round(value, 3) for value in values]

    return {
        "ops_per_s": line(lambda point: point["rate"] if "rate" in point else _rate(point)),
        **{name: line(partial(_ms, "answered", share)) for name, share in QUANTILES.items()},
        "held": line(lambda point: point["held"]),
        "waiting": line(lambda point: point["waiting"]),
        "lag_ms": line(lambda point: point["lag_us"] / US_PER_MS),
        "replicated_p99_ms": line(partial(_ms, "replicated", QUANTILES["p99_ms"])),
    }


def _rate(point: Figures) -> float | None:
    return point["ops"] / point["seconds"] if point.get("seconds") else None


def _ms(name: str, share: float, point: Figures) -> float | None:
    took_us = quantile_us(point[name][0], share) if name in point else None
    return None if took_us is None else took_us / US_PER_MS
