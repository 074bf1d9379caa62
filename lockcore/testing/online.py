"""The invariants as a running check: one fact at a time, O(1) each, bounded memory.

It takes facts as the recorder writes them: all facts of one incarnation in
the order of their numbers, those of different incarnations in any order,
because one node's report may come long after another's. So it compares only
what has an order by itself: numbers within an incarnation, and views. (A
generation is above the number of the view in which it was granted.) It never
asks a clock.

What it says
  I1  a node granted a lock of which it had granted another generation, with no end between
  I2  a generation was granted twice, or fell
  I4  two nodes granted a key in one view
  I6  a released generation was promoted, handed over, readmitted or released again
  I7  an incarnation's view did not rise

What it cannot see: what was not reported (where a gap was reported, it does
not conclude from what is missing), what it has forgotten (`forgotten`), what
only two deaths at once explain (where there were two, a release may have died
with them), and renewals, which are no facts. An ending that a dying node did
not acknowledge is no fact either, so a grant by another node says nothing of
whether the lock was free: the histories of clients do (history).

Elsewhere: the whole check with all there is (history, deeds).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Protocol

KEYS_MAX = 100_000
LIVES_MAX = 1_024
GENERATIONS_MAX = 4
"""How many endings are remembered of each key."""

HANDED_ON = frozenset({"promoted", "transferred"})
ENDINGS = frozenset({"released", "expired"})
OF_HOLDERS = HANDED_ON | ENDINGS | {"granted", "readmitted"}
"""Queues, ranges and migrations say nothing of who may hold a lock: a migration keeps its generation."""


class Fact(Protocol):
    """A LockEvent, or anything of its shape. `number` counts within an incarnation of a source."""

    @property
    def source(self) -> str: ...  # noqa: D102 - the fields of a row
    @property
    def incarnation(self) -> int: ...  # noqa: D102
    @property
    def number(self) -> int: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def generation(self) -> int: ...  # noqa: D102
    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def view(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two facts of which one must not be, after the other."""

    rule: str
    text: str
    first: Fact
    second: Fact


@dataclass(slots=True)
class _Key:
    """What is remembered of one lock. `ended` by generation, the newest few."""

    grant: Fact | None = None
    handed_on: Fact | None = None
    readmitted: Fact | None = None
    ended: dict[int, Fact] = field(default_factory=dict)


@dataclass(slots=True)
class _Life:
    """What is remembered of one incarnation."""

    view: Fact | None = None
    gap: bool = False


class OnlineChecker:
    """Takes facts; returns what contradicts what.

    Args:
        keys_max: how many locks are remembered; the ones not heard of for longest are forgotten.
    """

    def __init__(self, *, keys_max: int = KEYS_MAX) -> None:
        """Know nothing yet."""
        self.checked = 0
        self.found = 0
        self.forgotten = 0
        self._keys_max = keys_max
        self._keys: OrderedDict[str, _Key] = OrderedDict()
        self._lives: OrderedDict[tuple[str, int], _Life] = OrderedDict()
        self._deaths = [-1, -1]  # the views in which the last two members died

    def take(self, fact: Fact) -> list[Contradiction]:
        """Check a fact against what came before it."""
        self.checked += 1
        found: list[Contradiction] = []
        if fact.kind == "gap":
            self._life(fact).gap = True
        elif fact.kind == "view":
            found += self._view(fact)
        elif fact.kind == "died":
            self._deaths = sorted([*self._deaths, fact.view])[1:]
        elif fact.key and fact.kind in OF_HOLDERS:
            known = self._key(fact.key)
            if fact.kind == "granted":
                found += self._granted(known, fact)
            elif fact.kind in ENDINGS:
                found += self._ended(known, fact)
            elif fact.kind in HANDED_ON:
                found += self._after_release(known.ended.get(fact.generation), fact, known.readmitted)
                known.handed_on = fact
            elif fact.kind == "readmitted":
                found += _readmitted(known, fact)
                known.readmitted = fact
        self.found += len(found)
        return found

    # --- views ------------------------------------------------------------------------

    def _view(self, fact: Fact) -> list[Contradiction]:
        life = self._life(fact)
        before, life.view = life.view, fact
        if before is None or before.number >= fact.number or before.view < fact.view:
            return []
        if before.view == fact.view and fact.source == "master":
            return []  # a master tells of its current view again
        return [Contradiction("I7", f"{fact.source} went from view {before.view} to {fact.view}", before, fact)]

    # --- locks -------------------------------------------------------------------------

    def _granted(self, known: _Key, fact: Fact) -> list[Contradiction]:
        before = known.grant
        if before is None or fact.generation > before.generation:
            known.grant = fact
        if before is None:
            return []
        low, high = sorted((before, fact), key=lambda f: f.generation)
        about = f"{fact.key}: generation"
        if low.generation == high.generation:
            return [Contradiction("I2", f"{about} {fact.generation} was granted twice", before, fact)]
        if low.view == high.view and not _one_life(low, high):
            text = f"{fact.key}: granted by {low.source} and by {high.source} in one view"
            return [Contradiction("I4", text, low, high)]
        if low.view > high.view or (_one_life(low, high) and low.number > high.number):
            return [Contradiction("I2", f"{about} {low.generation} was granted after {high.generation}", high, low)]
        return self._granted_over(known, low, high)

    def _granted_over(self, known: _Key, low: Fact, high: Fact) -> list[Contradiction]:
        """I1: the lower generation has ended, or there was a grant over a held lock."""
        back = known.readmitted
        if low.generation in known.ended or (back is not None and back.generation > low.generation):
            return []
        if low.view != high.view or self._life(high).gap:
            return []  # a node that died may have taken the ending with it
        text = f"{low.key}: generation {high.generation} was granted while {low.generation} was held"
        return [Contradiction("I1", text, low, high)]

    def _ended(self, known: _Key, fact: Fact) -> list[Contradiction]:
        before = known.ended.get(fact.generation)
        if before is None or fact.kind == "released":
            known.ended[fact.generation] = fact
        if len(known.ended) > GENERATIONS_MAX:
            del known.ended[min(known.ended)]
        if fact.kind != "released":
            return []
        if before is not None and before.kind == "released" and not _is_of(known.readmitted, fact.generation):
            text = f"{fact.key}: generation {fact.generation} was released twice"
            return [Contradiction("I6", text, before, fact)]
        handed = known.handed_on
        if handed is None or handed.generation != fact.generation:
            return []
        return self._after_release(fact, handed, known.readmitted)

    def _after_release(self, release: Fact | None, fact: Fact, readmitted: Fact | None) -> list[Contradiction]:
        """I6, unless both who knew of the release may have died: an older copy, or its token, may come back then."""
        if release is None or release.kind != "released" or not _later(fact, release):
            return []
        if _is_of(readmitted, fact.generation) or (release.view < fact.view and self._deaths[0] >= release.view):
            return []
        text = f"{fact.key}: generation {fact.generation} was {fact.kind} at {fact.source} after its release"
        return [Contradiction("I6", text, release, fact)]

    # --- memory ------------------------------------------------------------------------

    def _key(self, key: str) -> _Key:
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _Key()
            if len(self._keys) > self._keys_max:
                self._keys.popitem(last=False)
                self.forgotten += 1
        else:
            self._keys.move_to_end(key)
        return known

    def _life(self, fact: Fact) -> _Life:
        name = fact.source, fact.incarnation
        life = self._lives.get(name)
        if life is None:
            life = self._lives[name] = _Life()
            if len(self._lives) > LIVES_MAX:
                self._lives.popitem(last=False)
        return life


def _one_life(one: Fact, other: Fact) -> bool:
    return (one.source, one.incarnation) == (other.source, other.incarnation)


def _is_of(fact: Fact | None, generation: int) -> bool:
    return fact is not None and fact.generation == generation


def _later(fact: Fact, other: Fact) -> bool:
    """Say whether a fact is certainly later than another one of the same generation.

    Not by views: a release is told when the pair has it, which may be in a later view than the one it was decided in.
    """
    return fact.number > other.number if _one_life(fact, other) else fact.seq > other.seq


def _readmitted(known: _Key, fact: Fact) -> list[Contradiction]:
    """I6: within one view nobody has died who knows of the release."""
    release = known.ended.get(fact.generation)
    if release is None or release.kind != "released" or release.view != fact.view or release.seq > fact.seq:
        return []
    text = f"{fact.key}: generation {fact.generation} was readmitted in the view of its release"
    return [Contradiction("I6", text, release, fact)]
