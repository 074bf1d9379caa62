"""What became of the locks of a plan, told from recorded facts and set beside what was foreseen.

Pure. A lock is one hold: a key and its generation. Whoever released it, or let it lapse, before the plan came to it has
made no prediction wrong; that is told as such, and is no difference.

Invariants
  U1  Each lock has exactly one verdict.
  U2  Facts of other holds of the same key change nothing, but that a later one shows that this one is over.
Elsewhere: the prediction (foresight), reading the facts (planrows), the same facts as a life (dlmsite.dashboard.life).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from dlmsite.operations.foresight import Course, Fate
from lockcore.core.events import EventKind


class Verdict(StrEnum):
    """How an outcome stands to its prediction."""

    SAME = "same"
    ENDED = "ended"
    DIFFERS = "differs"


class Fact(NamedTuple):
    """What a row of the journal says of a lock."""

    kind: str
    key: str
    generation: int
    node: str


class Expected(NamedTuple):
    """A lock that was held when the plan was committed to."""

    key: str
    generation: int
    owner: str
    course: Course


class Outcome(NamedTuple):
    """What became of a lock. `node`: its primary, or the last one; `ended`: how the hold ended, empty if it goes on."""

    verdict: Verdict
    fate: Fate
    node: str
    ended: str


_HOPS: Final = {EventKind.PROMOTED.value: Fate.PROMOTED, EventKind.TRANSFERRED.value: Fate.TRANSFERRED}
_ENDS: Final = frozenset({EventKind.RELEASED.value, EventKind.EXPIRED.value})
KINDS: Final = frozenset({*_HOPS, *_ENDS, EventKind.GRANTED.value, EventKind.READMITTED.value})


@dataclass(slots=True)
class _Life:
    """What is known of one lock by now."""

    generation: int
    node: str
    how: set[Fate] = field(default_factory=set)
    ended: str = ""
    came_back: bool = False


def judge(expected: Iterable[Expected], facts: Iterable[Fact], living: Collection[str]) -> list[Outcome]:
    """Return what became of each lock, in the same order.

    Args:
        expected: no key twice.
        facts: since the plan was committed to, in the order in which they were recorded.
        living: addresses of the ring as it is by now.
    """
    known = list(expected)
    lives = {lock.key: _Life(lock.generation, lock.course.before[0] or "") for lock in known}
    for fact in facts:
        life = lives.get(fact.key)
        if life is not None:
            _note(life, fact)
    return [_outcome(lock.course, lives[lock.key], living) for lock in known]


def table(expected: Iterable[Expected], outcomes: Iterable[Outcome]) -> Mapping[Fate, dict[Verdict, int]]:
    """Return how many of each prediction came out how."""
    counts = {fate: dict.fromkeys(Verdict, 0) for fate in Fate}
    for lock, outcome in zip(expected, outcomes, strict=True):
        counts[lock.course.fate][outcome.verdict] += 1
    return counts


def _note(life: _Life, fact: Fact) -> None:
    if fact.generation > life.generation:
        life.ended = life.ended or ("passed on" if fact.kind == EventKind.GRANTED else "")
        return
    if fact.generation < life.generation:
        return
    if fact.kind in _HOPS and fact.node != life.node:
        life.node = fact.node
        life.how.add(_HOPS[fact.kind])
    elif fact.kind == EventKind.READMITTED:
        life.came_back, life.node = True, fact.node
    elif fact.kind == EventKind.RELEASED or (fact.kind == EventKind.EXPIRED and fact.node == life.node):
        life.ended = life.ended or fact.kind  # a copy that runs out elsewhere ends nothing


def _outcome(course: Course, life: _Life, living: Collection[str]) -> Outcome:
    lost = life.came_back or (not life.ended and life.node not in living)
    moved = next((fate for fate in (Fate.TRANSFERRED, Fate.PROMOTED) if fate in life.how), Fate.STAYS)
    fate = Fate.GRACE if lost else moved
    ended = life.ended or ("came back" if life.came_back else "")
    return Outcome(_verdict(course, fate, life), fate, life.node, ended)


def _verdict(course: Course, fate: Fate, life: _Life) -> Verdict:
    if fate is course.fate and (fate is Fate.GRACE or life.node == course.after[0]):
        return Verdict.SAME
    return Verdict.ENDED if life.ended else Verdict.DIFFERS
