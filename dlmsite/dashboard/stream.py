"""What one browser is sent: a snapshot in pieces, or deltas, each of a bounded size.

ASGI servers refuse messages above a limit of their own, often 1 MiB, and some enforce it on what they send. A picture
with 10,000 held locks is larger, so its locks come in messages of their own.

Invariants
  T1  No message is much larger than TEXT_BYTES_MAX, whatever is held and however long the names are.
  T2  A delta holds at most DELTA_EVENTS_MAX events. Who is further behind gets a snapshot.
  T3  The cursor is the last event that the browser has been sent; what did not fit comes with the next message.
Elsewhere: when a message leaves (consumers), the rows (picture, feed).
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from dlmsite.dashboard import picture
from dlmsite.dashboard.feed import Feed, dumps

DELTA_EVENTS_MAX: Final = 1_000
TEXT_BYTES_MAX: Final = 256 * 1024


class Stream:
    """What one browser has been sent, and what it gets next. Returns messages as JSON texts.

    `behind` says after `next` that more is there already than one message holds.
    """

    def __init__(self, shared: Feed) -> None:
        self._feed = shared
        self._cursor = 0
        self.behind = False
        self._parts: dict[str, str] = {}
        self._actions: dict[str, str] = {}

    async def begin(self, after: int | None) -> list[str]:
        """Return the first messages: a delta if the break was short, else a snapshot.

        Args:
            after: the last event that the browser knows; None if it knows nothing.
        """
        if after is None or after > self._feed.last_id:
            return await self._snapshot()
        if after >= self._feed.floor_id:
            self._cursor = after
            return await self.next() or [self._delta([])]
        last = self._feed.last_id
        labels = await self._feed.read(picture.node_labels)
        rows = await self._feed.read(lambda: picture.events_after(after, DELTA_EVENTS_MAX + 1))
        if len(rows) > DELTA_EVENTS_MAX or not rows or rows[-1].pk < last:
            return await self._snapshot()
        return [self._delta(self._fitting([(row.pk, dumps(picture.event_of(row, labels))) for row in rows]))]

    async def next(self) -> list[str]:
        """Return what is new; nothing if nothing is."""
        if self._cursor < self._feed.floor_id:
            return await self._snapshot()
        events = [event for event in self._feed.events if event[0] > self._cursor]
        if len(events) > DELTA_EVENTS_MAX:
            return await self._snapshot()
        if not events and self._parts == self._feed.parts and self._actions == self._feed.actions:
            return []
        if not events:
            self._cursor = max(self._cursor, self._feed.last_id)
        return [self._delta(self._fitting(events))]

    def _fitting(self, events: list[tuple[int, str]]) -> list[str]:
        """Return as many events as one message holds, and move the cursor behind them (T1)."""
        size = count = 0
        for _, text in events:
            size += len(text.encode())
            if count and size > TEXT_BYTES_MAX:
                break
            count += 1
        if count:
            self._cursor = events[count - 1][0]
        self.behind = count < len(events)
        return [text for _, text in events[:count]]

    async def _snapshot(self) -> list[str]:
        self.behind = False
        self._parts, self._actions = dict(self._feed.parts), dict(self._feed.actions)
        self._cursor, texts = await self._feed.read(_snapshot_texts)
        return texts

    def _delta(self, events: list[str]) -> str:
        parts = {name: text for name, text in self._feed.parts.items() if self._parts.get(name) != text}
        changed = [text for number, text in self._feed.actions.items() if self._actions.get(number) != text]
        if changed:
            parts["actions"] = f"[{','.join(changed)}]"
        self._parts, self._actions = dict(self._feed.parts), dict(self._feed.actions)
        members = "".join(f',"{name}":{text}' for name, text in parts.items())
        return (
            f'{{"type":"delta","last_event_id":"{self._cursor}","events":[{",".join(events)}]{members},'
            f'"skipped":0,"lag_ms":{dumps(self._feed.lag_ms)}}}'
        )


def _snapshot_texts() -> tuple[int, list[str]]:
    """Return the last event in it, and a snapshot as messages: the first with the start of the locks, then the rest."""
    found = picture.snapshot()
    pieces = list(pieces_of(found["locks"]))
    first = dumps({**found, "locks": pieces[0] if pieces else []})
    return int(found["last_event_id"]), [first, *(dumps({"type": "locks", "locks": piece}) for piece in pieces[1:])]


def pieces_of(rows: Iterable[list[Any]]) -> Iterator[list[list[Any]]]:
    """Yield the rows in pieces of at most TEXT_BYTES_MAX, a row at least."""
    piece: list[list[Any]] = []
    size = 0
    for row in rows:
        length = len(dumps(row).encode())
        if piece and size + length > TEXT_BYTES_MAX:
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += length
    if piece:
        yield piece
