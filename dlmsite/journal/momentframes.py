"""Takes frames of the held locks while the recorder writes, so that any moment is a frame and few events.

A frame is begun in the transaction of a batch, before the batch: what is held is then what the rows up to the newest
one say. Its locks are written PART_LOCKS at a time, one part a transaction, after reports were acknowledged.
Synchronous; used by the journal's thread only.

Invariants
  F1  A frame that is `whole` holds what the live projection held after the event `through_id`; another is never used.
  F2  No step encodes more than PART_LOCKS locks, whatever is held, and a frame of N locks follows N events at the
      earliest: encoding costs no event more than one lock.
  F3  Memory changes only after the commit.
  F4  What changes without an event (locks of the lost, a closed cluster) is followed by a frame at once.
Elsewhere: what is in a part, and telling again (moments), who calls (writer, recorder), how long they stay (retention).
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Max

from dlmsite.journal.intake import newest_ns
from dlmsite.journal.models import Frame, FramePart, LockEvent
from dlmsite.journal.moments import pack
from dlmsite.journal.projection import Fact, Held, Life

EVERY_EVENTS: Final = 10_000
"""Told again in some 150 ms; at 5,000 events a second a frame each 2 s."""
PART_LOCKS: Final = 1_000
"""Takes some 5 ms."""
CURSORS_MAX: Final = 256
LATE_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Begun:
    """A frame whose locks are not all written: the parts before `number` are."""

    frame_id: int
    held: Sequence[Held]
    number: int = 1

    @property
    def written(self) -> bool:
        """Whether all are."""
        return self.number * PART_LOCKS >= len(self.held)


class Frames:
    """When to take a frame, and the one that is under way.

    Args:
        clock_ns: the wall clock.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._since: int | None = None  # events since the last frame; None: not looked yet
        self._newest_ns = 0  # of the events since
        self._begun: Begun | None = None
        self._forced = False

    def begin(self, held: dict[str, Held], cursors: Iterable[tuple[Life, int]]) -> Begun | None:
        """Begin a frame if one is due; in the caller's transaction, before it adds events.

        Args:
            held: what is held after the newest event that is a row.
            cursors: how far each life has told, who told last at the end.
        Returns:
            What is to be handed to `began` after the commit.
        """
        if self._since is None:
            self._look()
        if self._begun is not None or not (self._forced or (self._since or 0) >= max(EVERY_EVENTS, len(held))):
            return None
        through = LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
        return self._insert(list(held.values()), cursors, through, self._at_ns(through))

    def began(self, begun: Begun | None, fresh: Sequence[Fact]) -> None:
        """Keep what was committed: the frame, if one was begun, and the events after it."""
        if begun is not None:
            self._begun = None if begun.written else begun
            self._since, self._newest_ns, self._forced = 0, 0, False
        self._since = (self._since or 0) + len(fresh)
        self._newest_ns = max(self._newest_ns, newest_ns(fresh))

    def force(self) -> None:
        """Have the next chance taken: something has changed without an event (F4)."""
        self._forced = True

    def step(self) -> bool:
        """Write one more part of the frame that is under way; say whether there is more to write."""
        begun = self._begun
        if begun is None:
            return False
        after = Begun(begun.frame_id, begun.held, begun.number + 1)
        some = begun.held[begun.number * PART_LOCKS : after.number * PART_LOCKS]
        with transaction.atomic():
            FramePart.objects.create(frame_id=begun.frame_id, number=begun.number, blob=pack(some))
            if after.written:
                Frame.objects.filter(pk=begun.frame_id).update(whole=True)
        self._begun = None if after.written else after
        return not after.written

    # --- inside -----------------------------------------------------------------------------------------------------

    def _insert(self, held: Sequence[Held], cursors: Iterable[tuple[Life, int]], through: int, at_ns: int) -> Begun:
        told: list[Any] = [[*life, number] for life, number in cursors][-CURSORS_MAX:]
        whole = len(held) <= PART_LOCKS
        frame = Frame.objects.create(through_id=through, at_ns=at_ns, held=len(held), cursors=told, whole=whole)
        FramePart.objects.create(frame=frame, number=0, blob=pack(held[:PART_LOCKS]))
        return Begun(frame.pk, held)

    def _at_ns(self, through: int) -> int:
        """Return a time by which everything in the frame has happened.

        The events say when; but one clock that is ahead must not hide the frame for as long as it is ahead.
        """
        if self._forced:
            return self._clock_ns()
        return min(self._newest_ns, self._clock_ns()) if through else 0

    def _look(self) -> None:
        """Find out how many events came after the last frame, and when the newest of them happened."""
        last = LockEvent.objects.order_by("-id").values_list("id", flat=True).first() or 0
        frame = Frame.objects.filter(whole=True).order_by("-through_id").first()
        Frame.objects.filter(whole=False).delete()  # of a process that has ended
        if frame is None:
            self._forced = last > 0
            self._since = EVERY_EVENTS
        else:
            self._since = last - frame.through_id
        newest = LockEvent.objects.filter(id__gt=last - LATE_ROWS).aggregate(at_ns=Max("wall_ns"))["at_ns"]
        self._newest_ns = newest or 0


def prune(first_id: int, limit: int) -> int:
    """Remove frames that no moment needs, for the events after them are gone; return how many.

    Args:
        first_id: the oldest event that is kept. The newest frame before it stays: the first moments begin with it.
        limit: remove at most so many.
    """
    before = Frame.objects.filter(through_id__lt=first_id, whole=True).order_by("-through_id")
    gone = list(before.values_list("id", flat=True)[1 : limit + 1])
    if gone:
        FramePart.objects.filter(frame_id__in=gone).delete()
        Frame.objects.filter(id__in=gone).delete()
    return len(gone)
