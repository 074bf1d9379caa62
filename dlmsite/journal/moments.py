"""The cluster's locks as they were: a frame, and the events after it told again.

Pure. The rules are those of the live projection, which folds the same facts in the same order; nothing is decided here
a second time.

Invariants
  M1  Told again, the facts after a frame give what the live projection held after the last of them.
  M2  What was only a late filler of a hole when it was recorded moves no lock here either.
  M3  Facts that are missing are counted, never passed over.
Elsewhere: taking frames (momentframes), finding frame and rows of a moment (momentread), the rules (projection).
"""

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from dlmsite.journal.projection import Fact, Held, Life, Order, Projection
from lockcore.core.events import EventKind

ZLIB_LEVEL: Final = 1
"""Twice as fast as the default, a tenth larger."""
_COLUMNS: Final = (
    "key", "node", "incarnation", "owner", "generation", "seq", "order_ns", "since_ns", "ttl_ms", "session",
)  # fmt: skip
_values_of: Final = attrgetter(*_COLUMNS)
_STATES: Final[Mapping[EventKind, str]] = {
    EventKind.DIED: "down",
    EventKind.FENCED: "fenced",
    EventKind.UNFENCED: "up",
}
_GAP: Final = re.compile(r"event (?P<one>\d+) |[\d,]+ events \((?P<first>\d+) to (?P<last>\d+)\) ", re.ASCII)

FindEndings = Callable[[dict[str, int]], dict[str, Order]]
"""Of keys with the generation that a fact claims is held: the last ending that was recorded before."""


@dataclass(frozen=True, slots=True)
class Base:
    """What a moment is told again from.

    Attributes:
        held: what was held after the event `through_id`.
        at_ns: wall clock of it.
        cursors: how far each life had told by then, as far as that is known.
    """

    held: Sequence[Held] = ()
    through_id: int = 0
    at_ns: int = 0
    cursors: Mapping[Life, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Facts that never arrived, and where in the telling they are missing."""

    source: str
    wall_ns: int
    missing: int
    text: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a moment was like.

    Attributes:
        held: by key.
        gaps: in the order they were recorded.
        states: of nodes whose state a fact has changed: (state, incarnation or 0, wall clock), by address.
        facts: how many were told again.
    """

    held: Mapping[str, Held]
    gaps: tuple[Gap, ...]
    states: Mapping[str, tuple[str, int, int]]
    facts: int


def replay(base: Base, facts: Sequence[Fact], find_endings: FindEndings) -> Replayed:
    """Tell facts again.

    Args:
        base: what was before them.
        facts: recorded after the base, in the order of their rows.
        find_endings: asked about facts so old that the base may know their locks as ended.
    """
    told, gaps = _without_fillers(base, facts)
    projection = Projection(base.held, base.at_ns)
    changes = projection.fold(told, find_endings(projection.suspects(told)))
    projection.commit(changes, base.at_ns)
    return Replayed(projection.held, tuple(gaps), _states(told), len(told))


def pack(locks: Iterable[Held]) -> bytes:
    """Return locks as a frame's part holds them."""
    return squeeze([_values_of(held) for held in locks])


def unpack(blob: bytes) -> list[Held]:
    """Return the locks of a frame's part."""
    return [Held(*row) for row in unsqueeze(blob)]


def squeeze(value: Any) -> bytes:
    """Return JSON, compressed."""
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode(), ZLIB_LEVEL)


def unsqueeze(blob: bytes) -> Any:
    """Return what was squeezed.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return json.loads(zlib.decompress(blob))
    except zlib.error as error:
        raise ValueError(f"a part of a frame is damaged: {error}") from error


def gap_bounds(detail: str) -> tuple[int, int]:
    """Return the first and the last number that the text of a gap names; (0, -1) if it names none."""
    found = _GAP.match(detail)
    if found is None:
        return 0, -1
    first, last = found["one"] or found["first"], found["one"] or found["last"]
    return int(first), int(last)


def _without_fillers(base: Base, facts: Sequence[Fact]) -> tuple[list[Fact], list[Gap]]:
    """Return the facts that were beyond their life's cursor when they were recorded (M2), and the gaps among them."""
    cursors = dict(base.cursors)
    told: list[Fact] = []
    gaps: list[Gap] = []
    for fact in facts:
        life = (fact.source, fact.incarnation)
        number = fact.told.number
        if fact.told.event.kind is EventKind.GAP:
            first, number = gap_bounds(fact.told.event.detail)
            gaps.append(Gap(fact.source, fact.told.wall_ns, number - first + 1, fact.told.event.detail))
        elif number <= cursors.get(life, 0):
            continue
        cursors[life] = max(number, cursors.get(life, 0))
        told.append(fact)
    return told, gaps


def _states(facts: Iterable[Fact]) -> dict[str, tuple[str, int, int]]:
    found: dict[str, tuple[str, int, int]] = {}
    for fact in facts:
        event = fact.told.event
        state = _STATES.get(event.kind)
        if state is not None:
            about, life = (event.peer, 0) if event.kind is EventKind.DIED else (fact.source, fact.incarnation)
            found[about] = (state, life, fact.told.wall_ns)
    return found
