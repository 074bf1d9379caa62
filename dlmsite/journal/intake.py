"""Reports on their way to rows: what is new in a batch, what is missing before it, and what a row can hold.

Pure. Sources number their events without holes, so a hole means that events were lost before they reached us: it
becomes an event of its own (kind "gap").

Invariants
  I1  An event is folded at most once: what is not beyond the cursor is at best a late filler of a hole, and only a row.
  I2  Whatever a source says fits the columns: numbers are clamped to 63 bits, texts are cut and hold no NUL. A row that
      the database refuses would stop everything behind it.
Elsewhere: the cursors (writer), numbering (lockcore's spool).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from dlmsite.journal.models import KEY_CHARS_MAX
from dlmsite.journal.projection import Fact
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

NUMBER_MAX: Final = (1 << 63) - 1
SOURCE_CHARS_MAX: Final = 255
SESSION_CHARS_MAX: Final = 128
OWNER_CHARS_MAX: Final = 1024
DETAIL_CHARS_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Intake:
    """What there is to do for one batch.

    Attributes:
        fresh: beyond the cursor, gaps among them; to be folded and written.
        fillers: not beyond it; to be written where they are missing.
        number: the cursor afterwards.
    """

    fresh: tuple[Fact, ...]
    fillers: tuple[Fact, ...]
    number: int


def take_in(batch: EventBatch, cursor: int) -> Intake:
    """Sort a batch into what is new and what is not; name the holes.

    Args:
        batch: in any order, as it came.
        cursor: number of the last event that is recorded, 0 if none.
    """
    source = clean_text(batch.source, SOURCE_CHARS_MAX)
    incarnation = clean_number(batch.incarnation)
    fresh: list[Fact] = []
    fillers: list[Fact] = []
    for told in sorted(map(clean, batch.events), key=lambda event: event.number):
        fact = Fact(source, incarnation, told)
        if told.number <= cursor:
            fillers.append(fact)
            continue
        if told.number > cursor + 1:
            fresh.append(Fact(source, incarnation, gap(cursor + 1, told.number - 1, incarnation, told.wall_ns)))
        fresh.append(fact)
        cursor = told.number
    return Intake(tuple(fresh), tuple(fillers), cursor)


def gap(first: int, last: int, incarnation: int, wall_ns: int, why: str = "never arrived") -> NumberedEvent:
    """Return the event that stands for the missing ones."""
    count = last - first + 1
    which = f"event {first}" if count == 1 else f"{count:,} events ({first} to {last})"
    return NumberedEvent(-first, wall_ns, Event(EventKind.GAP, detail=f"{which} of incarnation {incarnation} {why}"))


def clean(told: NumberedEvent) -> NumberedEvent:
    """Return the event with everything in bounds; the same object where it is, as nearly always."""
    event = told.event
    numbers = (event.generation, event.seq, event.view, event.version, event.ttl_ms, event.renewals)
    if not (
        max(numbers) <= NUMBER_MAX
        and min(numbers) >= 0
        and 0 < told.number <= NUMBER_MAX
        and 0 <= told.wall_ns <= NUMBER_MAX
    ):
        generation, seq, view, version, ttl_ms, renewals = map(clean_number, numbers)
        event = replace(
            event, generation=generation, seq=seq, view=view, version=version, ttl_ms=ttl_ms, renewals=renewals
        )
        told = NumberedEvent(max(1, clean_number(told.number)), clean_number(told.wall_ns), event)
    key = clean_text(event.key, KEY_CHARS_MAX)
    owner = clean_text(event.owner, OWNER_CHARS_MAX)
    peer = clean_text(event.peer, SOURCE_CHARS_MAX)
    detail = clean_text(event.detail, DETAIL_CHARS_MAX)
    session = clean_text(event.session, SESSION_CHARS_MAX)
    if (
        key is event.key
        and owner is event.owner
        and peer is event.peer
        and detail is event.detail
        and session is event.session
    ):
        return told
    return replace(told, event=replace(event, key=key, owner=owner, peer=peer, detail=detail, session=session))


def clean_number(number: int) -> int:
    """Clamp to what a BigIntegerField holds."""
    return min(max(number, 0), NUMBER_MAX)


def clean_text(text: str, chars_max: int) -> str:
    """Cut, and replace what PostgreSQL cannot hold; the same object if nothing is to be done."""
    if len(text) > chars_max:
        text = text[:chars_max]
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text


def newest_ns(facts: Iterable[Fact]) -> int:
    """Return the wall clock of the newest fact; 0 if there is none."""
    return max((fact.told.wall_ns for fact in facts), default=0)
