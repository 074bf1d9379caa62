"""Finds what a moment is told again from: the nearest frame before it, and the rows after that.

A moment is a time, or an event. At a time T it is what follows from every fact that its source dates T or earlier,
among the rows that were recorded up to LATE_NS later: what a killed node left behind is recorded after its death. After
an event it is what follows from the rows up to that one.

Invariants
  R1  The newest frame is used whose facts all happened by T; so at most the events between two frames are read, and
      those of LATE_NS.
  R2  What cannot be known is said (`doubts`): no frame, rows that were removed, a telling that was cut at REPLAY_MAX, a
      clock that went back.
Elsewhere: telling again (moments), views and nodes of the moment (momentnodes, dlmsite.dashboard.moment).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dlmsite.journal.models import Frame, FramePart, LockEvent
from dlmsite.journal.moments import Base, Replayed, replay, unpack
from dlmsite.journal.projection import Fact, Order
from dlmsite.journal.writer import endings_of
from lockcore.core.events import Event, EventKind, NumberedEvent

LATE_NS: Final = 3_000_000_000
REPLAY_MAX: Final = 60_000
ENDINGS_ROWS: Final = 100_000
"""A fact that is told again later than so many rows after the end of its lock would bring it back."""
_KINDS: Final = {kind.value: kind for kind in EventKind}
_FIELDS: Final = (
    "source", "incarnation", "number", "wall_ns", "kind", "key", "owner", "generation", "seq", "view", "version",
    "peer", "detail", "ttl_ms", "renewals", "session",
)  # fmt: skip
_KIND_AT: Final = _FIELDS.index("kind")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The oldest and the newest row: ids, and wall clock.

    Attributes:
        from_beginning: nothing was ever recorded before the oldest one.
    """

    first_id: int
    first_ns: int
    last_id: int
    last_ns: int
    from_beginning: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of one.

    Attributes:
        at_ns: wall clock.
        through_id: rows up to this one were looked at.
        frame_id: the event after which the frame was taken; None without a frame.
        doubts: why it may not be all; empty: it is all that was recorded.
    """

    at_ns: int
    through_id: int
    frame_id: int | None
    told: Replayed
    doubts: tuple[str, ...]


def bounds() -> Bounds | None:
    """Return what is recorded; None if nothing is."""
    rows = LockEvent.objects.values_list("id", "wall_ns")
    first, last = rows.order_by("id").first(), rows.order_by("-id").first()
    if first is None or last is None:
        return None
    return Bounds(*first, *last, LockEvent.objects.filter(pk=first[0], place=1).exists())


def at_time(at_ns: int, known: Bounds) -> Moment:
    """Return the moment at a wall-clock time.

    Args:
        at_ns: from `known.first_ns` on.
        known: what is recorded.
    """
    frame = Frame.objects.filter(whole=True, at_ns__lte=at_ns).order_by("-at_ns", "-id").first()
    doubts: list[str] = []
    after = _start(frame, id_after(at_ns, known) if frame is None else 0, known, doubts)
    through = _last_recorded(after, at_ns, known, frame, doubts)
    return _tell(frame, after, through, at_ns, doubts, until_ns=at_ns)


def after_event(row: LockEvent, known: Bounds) -> Moment:
    """Return the moment directly after a recorded event."""
    frame = Frame.objects.filter(whole=True, through_id__lt=row.pk).order_by("-through_id", "-id").first()
    doubts: list[str] = []
    return _tell(frame, _start(frame, row.pk, known, doubts), row.pk, row.wall_ns, doubts)


def id_after(at_ns: int, known: Bounds) -> int:
    """Return the first event that is later than a time, by bisection: ids rise with time, but for what was told late.

    Returns:
        One above the newest event if none is.
    """
    return bisect(LockEvent.objects.values_list("id", "wall_ns"), at_ns, known.first_id, known.last_id)


def bisect(rows: Any, at_ns: int, low: int, high: int) -> int:
    """Return the lowest id in [low, high] whose row is later than a time, `high` + 1 if there is none.

    Args:
        rows: a query of (id, wall clock) whose times rise with the ids; ids may have holes.
        at_ns: wall clock.
        low: the lowest id that counts.
        high: the highest.
    """
    while low <= high:
        middle = (low + high) // 2
        row = rows.filter(id__gte=middle, id__lte=high).order_by("id").first()
        if row is not None and row[1] <= at_ns:
            low = row[0] + 1
        else:
            high = middle - 1
    return low


# --- inside ---------------------------------------------------------------------------------------------------------


def _start(frame: Frame | None, end: int, known: Bounds, doubts: list[str]) -> int:
    """Return the event to begin after, and say what is missing between it and the frame."""
    if frame is None:
        start = max(known.first_id - 1, end - REPLAY_MAX)
        if start >= known.first_id or not known.from_beginning:
            doubts.append("No frame was taken before this moment: locks that were granted earlier may be missing.")
        return start
    # Ids have holes where a transaction was rolled back (PostgreSQL), so they alone do not say that rows were removed.
    if frame.through_id < known.first_id - 1 and not known.from_beginning:
        doubts.append("Events between the frame before this moment and the oldest that is kept have been removed.")
    return max(frame.through_id, known.first_id - 1)


def _last_recorded(after: int, at_ns: int, known: Bounds, frame: Frame | None, doubts: list[str]) -> int:
    """Return the last row that may tell of what happened by a time."""
    rows = LockEvent.objects.filter(id__gt=after)
    beyond = rows.filter(wall_ns__gt=at_ns + LATE_NS, id__lte=after + REPLAY_MAX).order_by("id")
    through = (beyond.values_list("id", flat=True).first() or known.last_id + 1) - 1
    following = frame and Frame.objects.filter(whole=True, through_id__gt=after).order_by("through_id").first()
    if following and following.at_ns <= at_ns and following.through_id < through:
        doubts.append("The clock went back about here: the moment is one of two, and may show some of both.")
        return following.through_id
    return through


def _tell(  # noqa: PLR0913, PLR0917 - all that was found about the moment
    frame: Frame | None,
    after: int,
    through: int,
    at_ns: int,
    doubts: list[str],
    until_ns: int | None = None,
) -> Moment:
    if through - after > REPLAY_MAX:
        doubts.append(f"There are more events between the frame and this moment than are told again ({REPLAY_MAX:,}).")
        through = after + REPLAY_MAX
    base = _base_of(frame, doubts) if frame else Base(through_id=after)
    told = replay(base, _facts(after, through, until_ns), lambda suspects: _endings(suspects, after))
    return Moment(at_ns, through, frame.through_id if frame else None, told, tuple(doubts))


def _base_of(frame: Frame, doubts: list[str]) -> Base:
    blobs = FramePart.objects.filter(frame=frame).order_by("number").values_list("blob", flat=True)
    try:
        held = [lock for blob in blobs for lock in unpack(bytes(blob))]
        cursors = {(source, incarnation): number for source, incarnation, number in frame.cursors}
    except (ValueError, TypeError):
        held, cursors = [], {}
    if len(held) != frame.held:
        doubts.append("The frame before this moment is damaged: locks that were granted before it are missing.")
    return Base(held, frame.through_id, frame.at_ns, cursors)


def _facts(after: int, through: int, until_ns: int | None) -> Sequence[Fact]:
    rows = LockEvent.objects.filter(id__gt=after, id__lte=through).order_by("id")
    if until_ns is not None:
        rows = rows.filter(wall_ns__lte=until_ns)
    return [_fact(values) for values in rows.values_list(*_FIELDS).iterator(5_000) if values[_KIND_AT] in _KINDS]


def _fact(values: tuple[Any, ...]) -> Fact:
    source, incarnation, number, wall_ns, kind, *event = values
    event[-1] = event[-1] or ""  # the session
    return Fact(source, incarnation, NumberedEvent(number, wall_ns, Event(_KINDS[kind], *event)))


def _endings(suspects: dict[str, int], through: int) -> dict[str, Order]:
    return endings_of(suspects, (max(0, through - ENDINGS_ROWS), through)) if suspects else {}
