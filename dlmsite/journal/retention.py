"""How long history stays: the newest rows of the last days, pruned in small steps.

Set by `LOCKRING_RETENTION_ROWS` and `LOCKRING_RETENTION_DAYS`, in the environment or as Django settings; 0 means no
limit.

Elsewhere: when a step is taken (recorder).
"""

import os
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Max, Min

from dlmsite.environment import EnvironmentProblem
from dlmsite.journal.models import Cursor, LockEvent, RefusedViews, RingVersion

ROWS_DEFAULT: Final = 5_000_000
"""About 2 GB of SQLite."""
DAYS_DEFAULT: Final = 30
STEP_ROWS: Final = 2_000
"""Takes some ten milliseconds, during which events wait."""
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
    """Remove at most STEP_ROWS events that are too many or too old, oldest first; return how many."""
    ends = LockEvent.objects.aggregate(first=Min("id"), last=Max("id"))
    if ends["first"] is None:
        return 0
    step = LockEvent.objects.filter(id__lt=ends["first"] + STEP_ROWS)
    removed = 0
    if keep.rows and ends["last"] - ends["first"] >= keep.rows:
        removed, _ = step.filter(id__lte=ends["last"] - keep.rows).delete()
    if keep.days:
        before_ns = now_ns - keep.days * NS_PER_DAY
        oldest_ns = LockEvent.objects.order_by("id").values_list("wall_ns", flat=True).first()
        if oldest_ns is not None and oldest_ns < before_ns:
            removed += step.filter(wall_ns__lt=before_ns).delete()[0]
            _prune_others(before_ns)
    return removed


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
