"""The rows of plans: committing to one, and writing down what came of it.

Synchronous. What was foreseen of each lock is kept compressed beside the totals, so that it can be set beside what
happened long after.

Invariants
  P1  A plan and its actions are written in one transaction, and only while no other change of the ring is under way.
  P2  What happened is written once, when it is final.
  P3  Bounded: the newest PLANS_KEPT plans stay, each with at most LOCKS_KEPT locks and FACTS_MAX facts looked at.
Elsewhere: the prediction (foresight), the judgement (outcomes), when it is made (concluding), what is asked and shown
(dlmsite.dashboard.plan).
"""

import json
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import F

from dlmsite.journal.models import LockEvent
from dlmsite.operations import requests
from dlmsite.operations.foresight import Change, Course, Fate, Hop, Pace, waves
from dlmsite.operations.models import ChangePlan, Helm, OperatorAction
from dlmsite.operations.outcomes import KINDS, Expected, Fact, Outcome, Verdict
from lockcore.core.events import EventKind

PLANS_KEPT: Final = 100
LOCKS_KEPT: Final = 50_000
"""As many as the page keeps."""
FACTS_MAX: Final = 300_000
"""About a second of reading."""
_COLUMNS: Final = ("kind", "key", "generation", "source")

Json = dict[str, Any]


class Busy(Exception):  # noqa: N818 - an answer, not an error
    """Somebody else changes the ring."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that nobody has committed to yet. `foreseen`: its totals."""

    view: int
    pace: Pace
    changes: tuple[Change, ...]
    foreseen: Json
    locks: Sequence[Expected]
    after_event: int


def commit(draft: Draft, who: str) -> ChangePlan:
    """Write a plan down, with a request for each of its changes.

    Raises:
        Busy: another change of the ring has not ended.
    """
    now_ns = time.time_ns()
    with transaction.atomic():
        Helm.objects.filter(pk=1).update(
            at_ns=F("at_ns")
        )  # one commit at a time: the next waits here, and sees our requests
        other = requests.open_changes()
        if other is not None:
            raise Busy(f"{other.who} changes the ring just now ({other.what} {other.target}). Wait for that to end.")
        numbered = [(wave, change) for wave, each in enumerate(waves(draft.changes, draft.pace)) for change in each]
        plan = ChangePlan.objects.create(
            who=who,
            view=draft.view,
            pace=draft.pace.value,
            changes=[
                {"what": c.what.value, "label": c.label, "address": c.address, "wave": wave} for wave, c in numbered
            ],
            foreseen=draft.foreseen,
            locks=_pack(_packed_locks(draft.locks[:LOCKS_KEPT])),
            after_event=draft.after_event,
            committed_at_ns=now_ns,
        )
        for wave, change in numbered:
            OperatorAction.objects.create(
                who=who, what=change.what.value, target=change.label, requested_at_ns=now_ns, plan=plan, wave=wave
            )
        old = ChangePlan.objects.order_by("-id").values_list("id", flat=True)[PLANS_KEPT:]
        ChangePlan.objects.filter(id__in=list(old)).delete()
    return plan


def actions_of(plan: ChangePlan) -> list[OperatorAction]:
    """Return its actions, in the order in which they were to be done."""
    return list(OperatorAction.objects.filter(plan=plan).order_by("id"))


def expected_of(plan: ChangePlan) -> list[Expected]:
    """Return what was foreseen of each lock."""
    found = _unpack(plan.locks)
    courses = [_course_of(raw) for raw in found["courses"]]
    return [Expected(key, generation, owner, courses[course]) for key, generation, owner, course in found["locks"]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What was recorded since. `gaps`: places where facts never arrived; `cut`: there is more than was looked at."""

    rows: Sequence[Fact]
    gaps: int
    cut: bool


def facts_since(after_event: int) -> Facts:
    """Return what rows say of any lock after an event."""
    rows = LockEvent.objects.filter(id__gt=after_event).order_by("id").values_list(*_COLUMNS)[: FACTS_MAX + 1]
    found: list[Fact] = []
    gaps = looked_at = 0
    for kind, key, generation, source in rows.iterator(chunk_size=2_000):
        looked_at += 1
        if kind in KINDS:
            found.append(Fact(kind, key, generation, source))
        gaps += kind == EventKind.GAP.value
    return Facts(found, gaps, looked_at > FACTS_MAX)


def recorded_settled(view: int, up: Collection[str]) -> bool:
    """Say whether each of these nodes is recorded to have settled in a view, and all its facts before that with it."""
    told = LockEvent.objects.filter(view=view, view__gt=0, kind=EventKind.SETTLED.value, source__in=list(up))
    return told.values("source").distinct().count() == len(up)


def unconcluded() -> list[int]:
    """Return the plans that have ended and of which nobody has written down what came of them."""
    plans = ChangePlan.objects.filter(happened__isnull=True).order_by("id").values_list("id", flat=True)
    return [plan_id for plan_id in plans if requests.plan_ended(plan_id)]


def write_down(plan: ChangePlan, happened: Json, outcomes: Sequence[Outcome]) -> None:
    """Write down what became of it, once (P2)."""
    packed = _pack([list(outcome) for outcome in outcomes])
    ChangePlan.objects.filter(pk=plan.pk, happened__isnull=True).update(happened=happened, outcomes=packed)


def outcomes_of(plan: ChangePlan) -> list[Outcome]:
    """Return what became of each lock, as it was written down."""
    if plan.outcomes is None:
        return []
    return [Outcome(Verdict(v), Fate(fate), node, end) for v, fate, node, end in _unpack(plan.outcomes)]


def _packed_locks(locks: Iterable[Expected]) -> Json:
    numbers: dict[Course, int] = {}
    rows = [(key, generation, owner, numbers.setdefault(c, len(numbers))) for key, generation, owner, c in locks]
    return {"courses": [list(_raw(course)) for course in numbers], "locks": rows}


def _raw(course: Course) -> Iterator[Any]:
    yield course.before
    yield course.after
    yield [(hop.node, hop.how.value) for hop in course.hops]
    yield course.fate.value


def _course_of(raw: Any) -> Course:
    before, after, hops, fate = raw
    return Course(tuple(before), tuple(after), tuple(Hop(node, Fate(how)) for node, how in hops), Fate(fate))


def _pack(value: Any) -> bytes:
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)


def _unpack(blob: bytes | memoryview) -> Any:
    return json.loads(zlib.decompress(blob))
