"""Batches of events into rows: one transaction for events, held locks and cursors.

Synchronous, and used by one thread only, whose database connection it uses. Statements are written out, because at
5,000 events a second building a model instance for each of them costs more than SQLite does; they are the same on
PostgreSQL.

Invariants
  W1  Memory (projection, cursors, frames) changes only after the commit: a transaction that failed can be tried again.
Elsewhere: what is new in a batch (intake), rows of events and their seals (chain), what is held (projection), frames of
it for time travel (momentframes), refused views (refusals), when to write and what if it fails (recorder).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar
from zlib import crc32

from django.db import connection, models, transaction
from django.db.models import Max

from dlmsite.journal.chain import append
from dlmsite.journal.intake import Intake, gap, newest_ns, take_in
from dlmsite.journal.models import Cursor, HeldLock, LockEvent
from dlmsite.journal.momentframes import Frames
from dlmsite.journal.projection import ENDING, FOREVER, Changes, Fact, Held, Life, Order, Projection
from dlmsite.journal.refusals import count_refused, write_refused
from lockcore.core.events import EventBatch, EventKind

T = TypeVar("T")

# SQLite takes 999 parameters in its older builds.
PARAMETERS_MAX: Final = 900
CURSORS_KEPT: Final = 10_000
DIGEST_BYTES: Final = 16

_HELD_COLUMNS: Final = (
    "digest", "key", "node", "incarnation", "owner", "generation", "seq", "order_ns", "since_ns", "ttl_ms",
    "session",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """What one transaction did.

    Attributes:
        events: rows that the batches held, repeated ones included.
        newest_ns: wall clock of the newest event; 0 if there was none.
    """

    events: int
    newest_ns: int


class JournalWriter:
    """Writes reports down, in the order in which it gets them.

    Args:
        clock_ns: the wall clock.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._cursors: dict[Life, int] = {}
        self._projection: Projection | None = None
        self.frames = Frames(clock_ns)
        self.on_commit: Callable[[list[Fact]], None] = _ignore
        """Told what is recorded for the first time, each time after the commit."""

    @property
    def projection(self) -> Projection:
        """The held locks; read from their rows at first need."""
        if self._projection is None:
            names = [name for name in _HELD_COLUMNS if name != "digest"]
            rows = (Held(**row) for row in HeldLock.objects.values(*names).iterator())
            self._projection = Projection(rows, self._clock_ns())
        return self._projection

    def write(self, batches: Sequence[EventBatch]) -> Written:
        """Write batches in one transaction.

        Raises:
            DatabaseError: nothing was written; try again, or `write_off` the batch.
        """
        cursors: dict[Life, int] = {}
        intakes: list[Intake] = []
        for batch in batches:
            life = (batch.source, batch.incarnation)
            cursor = cursors.get(life)
            intake = take_in(batch, self._cursor(life) if cursor is None else cursor)
            cursors[life] = intake.number
            intakes.append(intake)
        self._commit([f for i in intakes for f in i.fresh], [f for i in intakes for f in i.fillers], cursors)
        newest = max((newest_ns(intake.fresh) for intake in intakes), default=0)
        return Written(sum(len(batch.events) for batch in batches), newest)

    def write_off(self, batch: EventBatch, why: str) -> Written:
        """Write one gap in place of a batch that the database refuses, so that what is behind it gets through."""
        numbers = [told.number for told in batch.events]
        missing = gap(min(numbers), max(numbers), batch.incarnation, self._clock_ns(), f"could not be written: {why}")
        life = (batch.source, batch.incarnation)
        fact = Fact(batch.source, batch.incarnation, missing)
        self._commit([fact], [], {life: max(self._cursor(life), *numbers)})
        return Written(len(numbers), 0)

    def drop_lost(self, living: Iterable[Life]) -> int:
        """Remove held locks that nobody can hold any more; return how many."""
        changes = self.projection.lost(living, self._clock_ns())
        if changes.held:
            with transaction.atomic():
                _write_held(changes)
            self.projection.commit(changes, self._clock_ns())
            self._frame_now()
        return len(changes.held)

    def drop_all_held(self) -> None:
        """The cluster was closed: nobody serves anything."""
        HeldLock.objects.all().delete()
        self._projection = None
        self._frame_now()

    def _frame_now(self) -> None:
        """What is held has changed, and no event says so."""
        self.frames.force()
        with transaction.atomic():
            begun = self.frames.begin(self.projection.held, self._cursors.items())
        self.frames.began(begun, ())

    def _commit(self, fresh: list[Fact], fillers: list[Fact], cursors: dict[Life, int]) -> None:
        projection = self.projection
        changes = projection.fold(fresh, endings_of(projection.suspects(fresh)))
        with transaction.atomic():
            begun = self.frames.begin(projection.held, self._cursors.items())
            append([_event_row(fact) for fact in [*fillers, *fresh]], doubtful=len(fillers))
            _write_held(changes)
            write_refused(count_refused(fresh))
            _write_cursors(cursors, self._clock_ns())
        projection.commit(changes, self._clock_ns())
        self._keep_cursors(cursors)
        self.frames.began(begun, fresh)
        self.on_commit(fresh)

    def _cursor(self, life: Life) -> int:
        if life not in self._cursors:
            row = Cursor.objects.filter(source=life[0], incarnation=life[1]).values_list("number", flat=True).first()
            self._cursors[life] = row or 0
        return self._cursors[life]

    def _keep_cursors(self, cursors: dict[Life, int]) -> None:
        for life, number in cursors.items():
            self._cursors.pop(life, None)
            self._cursors[life] = number
        while len(self._cursors) > CURSORS_KEPT:
            self._cursors.pop(next(iter(self._cursors)))


def _ignore(facts: list[Fact]) -> None:
    del facts


def _event_row(fact: Fact) -> tuple[Any, ...]:
    """Return the values of EVENT_COLUMNS."""
    told, event = fact.told, fact.told.event
    position = _position(event.key) if event.key else None
    return (
        fact.source, fact.incarnation, told.number, told.wall_ns, event.kind.value, event.key, position, event.owner,
        event.generation, event.seq, event.view, event.version, event.peer, event.detail, event.ttl_ms, event.renewals,
        event.session or None,
    )  # fmt: skip


def _write_held(changes: Changes) -> None:
    rows = [(digest_of(key), *astuple(held)) for key, held in changes.held.items() if held is not None]
    if rows:
        quote = connection.ops.quote_name
        updates = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in _HELD_COLUMNS[1:])
        _many(
            f"{_insert(HeldLock, _HELD_COLUMNS)} ON CONFLICT ({quote('digest')}) DO UPDATE SET {updates}",
            rows,
        )
    gone = [digest_of(key) for key, held in changes.held.items() if held is None]
    for some in chunks(gone, PARAMETERS_MAX):
        HeldLock.objects.filter(digest__in=some).delete()


def _write_cursors(cursors: dict[Life, int], now_ns: int) -> None:
    Cursor.objects.bulk_create(
        [
            Cursor(source=source, incarnation=incarnation, number=number, at_ns=now_ns)
            for (source, incarnation), number in cursors.items()
        ],
        update_conflicts=True,
        unique_fields=["source", "incarnation"],
        update_fields=["number", "at_ns"],
    )


def endings_of(suspects: dict[str, int], ids: tuple[int, int] | None = None) -> dict[str, Order]:
    """Return the last ending of each suspect that has one in the rows, in the generation it claims or a later one.

    Args:
        suspects: keys, with the generation that an event claims is held.
        ids: look at rows from the first to the second only; None: at all.
    """
    found: dict[str, Order] = {}
    positions = sorted({_position(key) for key in suspects})
    for some in chunks(positions, PARAMETERS_MAX):
        rows = (
            LockEvent.objects.filter(position__in=some, kind__in=[kind.value for kind in ENDING])
            .filter(generation__gte=min(suspects.values()), **({"id__range": ids} if ids else {}))
            .values("key", "kind", "generation")
            .annotate(seq_max=Max("seq"), wall_ns_max=Max("wall_ns"))
        )
        for row in rows:
            released = row["kind"] == EventKind.RELEASED.value
            order = (row["generation"], *((FOREVER, FOREVER) if released else (row["seq_max"], row["wall_ns_max"])))
            if row["key"] in suspects:
                found[row["key"]] = max(order, found.get(row["key"], order))
    return found


def digest_of(key: str) -> str:
    """Return what stands for a key in HeldLock."""
    return blake2b(key.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `items` in pieces of at most `size`."""
    return (items[at : at + size] for at in range(0, len(items), size))


def _position(key: str) -> int:
    return crc32(key.encode(errors="surrogatepass"))


def _insert(model: type[models.Model], columns: Sequence[str]) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(map(quote, columns))
    # Names come from the constants above, never from a report.
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608, SLF001


def _many(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
