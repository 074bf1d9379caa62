"""How long history stays: the newest rows of the last days, pruned in small steps.

Set by `LOCKRING_RETENTION_ROWS` and `LOCKRING_RETENTION_DAYS`, in the environment or as Django settings; 0 means no
limit.

Elsewhere: when a step is taken (recorder).
"""

import os
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Min

from dlmsite.environment import EnvironmentProblem
from dlmsite.journal import momentframes, momentnodes
from dlmsite.journal.chain import before_prune
from dlmsite.journal.models import Cursor, LockEvent, RefusedViews, RingVersion

ROWS_DEFAULT: Final = 5_000_000
"""About 2 GB of SQLite."""
DAYS_DEFAULT: Final = 30
STEP_ROWS: Final = 2_000
"""Takes some ten milliseconds, during which events wait."""
MOMENTS_STEP: Final = 50
"""Frames, and sights of nodes: more than are made while a step's events are."""
PAUSE_S: Final = 0.2
"""Between full steps: 10,000 rows a second, twice what the recorder takes in."""
NS_PER_DAY: Final = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept; 0 means no limit."""

    rows: int
    days: int


def limits() -> Limits:
    """Read the limits.

    Raises:
        EnvironmentProblem: one is not a whole number.
    """
    return Limits(_limit("LOCKRING_RETENTION_ROWS", ROWS_DEFAULT), _limit("LOCKRING_RETENTION_DAYS", DAYS_DEFAULT))


def prune(keep: Limits, now_ns: int) -> int:
    """Remove at most STEP_ROWS events that are too many or too old, oldest first; return how many.

    Only from the beginning, without a hole, because of the chain: a row that is not old yet keeps those behind it. A
    row from the future (a clock was ahead) does not.
    """
    ends = LockEvent.objects.aggregate(first=Min("id"), last=Max("id"))
    if ends["first"] is None:
        return 0
    through = ends["last"] - keep.rows if keep.rows else 0
    old = 0
    if keep.days:
        before_ns = now_ns - keep.days * NS_PER_DAY
        old = _last_old(before_ns, now_ns)
        if old:
            _prune_others(before_ns)
    through = min(max(through, old), ends["first"] + STEP_ROWS - 1)
    if through < ends["first"]:
        return 0
    with transaction.atomic():
        before_prune(through)
        removed, _ = LockEvent.objects.filter(id__lte=through).delete()
        _prune_moments()
    return removed


def _prune_moments() -> None:
    """Nothing can be told again from before the oldest event."""
    oldest = LockEvent.objects.order_by("id").values_list("id", "wall_ns").first()
    if oldest is not None:
        momentframes.prune(oldest[0], MOMENTS_STEP)
        momentnodes.prune(oldest[1], MOMENTS_STEP)


def _last_old(before_ns: int, now_ns: int) -> int:
    """Return the id of the last of the old rows that history begins with; 0 if the first one is not old."""
    last = 0
    for pk, wall_ns in LockEvent.objects.order_by("id").values_list("id", "wall_ns")[:STEP_ROWS]:
        if wall_ns < before_ns:
            last = pk
        elif wall_ns <= now_ns:
            break
    return last


def _prune_others(before_ns: int) -> None:
    newest = RingVersion.objects.order_by("-number").values_list("number", flat=True).first()
    RingVersion.objects.filter(at_ns__lt=before_ns).exclude(number=newest or 0).delete()
    Cursor.objects.filter(at_ns__lt=before_ns).delete()
    RefusedViews.objects.filter(last_ns__lt=before_ns).delete()


def _limit(name: str, default: int) -> int:
    value = getattr(settings, name, None) or os.environ.get(name) or default
    if isinstance(value, int):
        return max(0, value)
    if not value.strip().isdecimal():
        raise EnvironmentProblem(f"{name} must be a whole number (0 for no limit), not {value!r}.")
    return int(value)
