"""Writes facts as the recorder would, but in bulk: into an empty journal, by one writer, in a tenth of the time.

What the recorder writes for each batch and changes again later (held locks, cursors, spans, the head of the chain) is
written once, at the end; indexes are made anew then. Which locks are held, the frames of them, seals and columns come
from the journal's own code, and a test compares the rows with the recorder's.

Invariants
  B1  Rows are those that JournalWriter would have written for the same batches, ids from 1 on.
Elsewhere: what there is to write (history), the recorder's way (dlmsite.journal.writer).
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from django.db import OperationalError, connection, transaction

from dlmsite.journal import chain
from dlmsite.journal.indexes import POSTGRESQL
from dlmsite.journal.models import Chain, LockEvent
from dlmsite.journal.momentframes import Frames
from dlmsite.journal.nodes import NodeBook, write_view
from dlmsite.journal.projection import Changes, Held, Life, Projection
from dlmsite.journal.writer import _event_row, _write_cursors, _write_held, chunks
from dlmsite.operations.models import ActionState, OperatorAction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.bench.history import Batch, Deed

TABLE: Final = LockEvent._meta.db_table
COLUMNS: Final = ("id", *chain.EVENT_COLUMNS, "place", "seal")
TYPES: Final = {"incarnation", "number", "wall_ns", "position", "generation", "seq", "view", "version", "ttl_ms"}
TOLD_EVERY: Final = 500_000
HELD_CHUNK: Final = 5_000
_WALL_NS: Final = chain.EVENT_COLUMNS.index("wall_ns")


class Bulk:
    """One journal being filled."""

    def __init__(self) -> None:
        self.rows = 0
        self._now_ns = 0
        self._seal = chain.NO_SEAL
        self._spans: dict[int, tuple[int, int]] = {}
        self._cursors: dict[Life, int] = {}
        self._projection = Projection((), 0)
        self._frames = Frames(lambda: self._now_ns)
        self._book = NodeBook()

    def fill(self, batches: Iterable[Batch]) -> Iterator[int]:
        """Write all batches; yield how many rows there are, now and then."""
        store = _STORES[connection.vendor]()
        with store.opened(), without_indexes():
            told = TOLD_EVERY
            for batch in batches:
                with transaction.atomic():
                    self._write(batch, store)
                while self._frames.step():
                    pass
                if self.rows >= told:
                    told += TOLD_EVERY
                    yield self.rows
            self._finish()
        store.settle(self.rows)
        yield self.rows

    def _write(self, batch: Batch, store: Store) -> None:
        self._now_ns = batch.now_ns
        if batch.view is not None:
            write_view(batch.view, batch.now_ns)
        if batch.nodes is not None:
            self._book.write(batch.nodes, batch.now_ns)
        if batch.deed is not None:
            _action(batch.deed).save(force_insert=True)
        if not batch.facts:
            return
        changes = self._projection.fold(batch.facts)
        begun = self._frames.begin(self._projection.held, self._cursors.items())
        store.insert(self._sealed([_event_row(fact) for fact in batch.facts]))
        self._projection.commit(changes, batch.now_ns)
        self._frames.began(begun, batch.facts)
        last = {(fact.source, fact.incarnation): fact.told.number for fact in batch.facts}
        for life, number in last.items():
            if number > 0:  # a gap has minus the first missing one; the fact behind it follows
                self._cursors.pop(life, None)
                self._cursors[life] = number

    def _sealed(self, rows: Sequence[chain.Row]) -> Iterator[tuple[Any, ...]]:
        at, seal = self.rows, self._seal
        for row in rows:
            at += 1
            seal = chain.seal_of(seal, at, row)
            yield (at, *row, at, seal)
        self._span(self.rows + 1, at, [row[_WALL_NS] for row in rows])
        self.rows, self._seal = at, seal

    def _span(self, first: int, last: int, times: Sequence[int]) -> None:
        """Note which times the blocks of these ids have: those of the whole batch, as the recorder does."""
        for block in range(first // chain.SPAN_ROWS, last // chain.SPAN_ROWS + 1):
            known = self._spans.get(block, ())
            self._spans[block] = (min(*times, *known[:1]), max(*times, *known[1:]))

    def _finish(self) -> None:
        """Write down what is known at the end only."""
        with transaction.atomic():
            chain.write_spans([(block, *times) for block, times in self._spans.items()])
            Chain.objects.create(
                pk=1, head_place=self.rows, head_seal=self._seal, head_id=self.rows, anchor_seal=chain.NO_SEAL
            )
            held: Sequence[tuple[str, Held | None]] = list(self._projection.held.items())
            for some in chunks(held, HELD_CHUNK):
                _write_held(Changes(dict(some)))
            _write_cursors(self._cursors, self._now_ns)


class Store(Protocol):
    """How rows get into one kind of database."""

    def opened(self) -> Any:
        """Return a context in which rows are inserted."""

    def insert(self, rows: Iterator[tuple[Any, ...]]) -> None:
        """Insert rows, values in the order of COLUMNS."""

    def settle(self, last_id: int) -> None:
        """Leave the database as one that has been at work for long."""


class Sqlite:
    """One file; after a crash it is lost."""

    def __init__(self) -> None:
        marks = ", ".join("?" * len(COLUMNS))
        self._statement = f"INSERT INTO {TABLE} ({_names()}) VALUES ({marks})"  # noqa: S608 - names of ours

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Write without a journal of changes where nobody else has the file open, and return to one at the end."""
        with connection.cursor() as cursor:
            for pragma in ("synchronous=OFF", "cache_size=-200000", "threads=4"):
                cursor.execute(f"PRAGMA {pragma}")
            with suppress(OperationalError):  # somebody has: it takes longer
                cursor.execute("PRAGMA journal_mode=OFF")
        yield
        connection.close()  # the next one begins as the site's do

    def insert(self, rows: Iterator[tuple[Any, ...]]) -> None:
        """Insert rows."""
        connection.connection.executemany(self._statement, rows)

    def settle(self, last_id: int) -> None:
        """Do nothing: the counter of ids follows by itself."""


class Postgresql:
    """A server of its own."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Do not wait for the disk at each commit."""
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
            cursor.execute(f"ALTER TABLE {TABLE} SET (autovacuum_enabled = off)")
        yield

    def insert(self, rows: Iterator[tuple[Any, ...]]) -> None:
        """Copy rows in."""
        with connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} ({_names()}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def settle(self, last_id: int) -> None:
        """Set the counter of ids, and do what the autovacuum of a server at work has done."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{TABLE}', 'id'), %s)", [last_id])
            cursor.execute(f"ALTER TABLE {TABLE} RESET (autovacuum_enabled)")
            cursor.execute("VACUUM ANALYZE")


_STORES: Final[dict[str, type[Store]]] = {"sqlite": Sqlite, POSTGRESQL: Postgresql}


@contextmanager
def without_indexes() -> Iterator[None]:
    """Drop the indexes of events, but for what is unique, and make them again at the end: sorted, at once."""
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES[connection.vendor])
        found = cursor.fetchall()
        for name, _ in found:
            cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")
    yield
    with connection.cursor() as cursor:
        for _, statement in found:
            cursor.execute(statement)


_INDEXES: Final = {
    "sqlite": f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{TABLE}' AND sql <> ''",  # noqa: S608
    POSTGRESQL: (
        f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '{TABLE}' AND indexname NOT IN "  # noqa: S608
        f"(SELECT conname FROM pg_constraint WHERE conrelid = '{TABLE}'::regclass)"
    ),
}


def _names() -> str:
    return ", ".join(map(connection.ops.quote_name, COLUMNS))


def _action(deed: Deed) -> OperatorAction:
    return OperatorAction(
        pk=deed.number, who=deed.who, what=deed.what, target=deed.label, state=ActionState.DONE, detail="done",
        requested_at_ns=deed.at_ns, started_at_ns=deed.at_ns, ended_at_ns=deed.at_ns, address=deed.address,
        view_from=deed.view_from, view_to=deed.view_to,
    )  # fmt: skip
