"""A history that was written in bulk is the one that the recorder would have written: figures are of the real thing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import groupby
from typing import Any

import pytest
from django.core.management.color import no_style
from django.db import connection, models

from dlmsite.journal import momentread
from dlmsite.journal.models import Chain, Cursor, EventSpan, Frame, FramePart, HeldLock, LockEvent
from dlmsite.journal.verifying import verify
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import EventBatch, EventKind
from tests.bench.bulk import Bulk
from tests.bench.history import Batch, History

pytestmark = pytest.mark.django_db(transaction=True)
ROWS = 13_000
COMPARED: tuple[type[models.Model], ...] = (LockEvent, HeldLock, Cursor, Chain, EventSpan, Frame, FramePart)
UNLIKE: dict[type[models.Model], tuple[str, ...]] = {Cursor: ("id", "at_ns")}


def history() -> History:
    return History(ROWS, held=1_200, view_rows=1_500)


def record(batch: Batch, writer: JournalWriter) -> None:
    """Write a batch as the recorder does, which finds out by itself what is missing."""
    told = [fact for fact in batch.facts if fact.told.event.kind is not EventKind.GAP]
    runs = groupby(told, key=lambda fact: (fact.source, fact.incarnation))
    writer.write([EventBatch(*life, tuple(fact.told for fact in facts)) for life, facts in runs])
    while writer.frames.step():
        pass


def rows(model: type[models.Model]) -> list[tuple[Any, ...]]:
    """Return what a table holds, but for when it was written."""
    names = [field.name for field in model._meta.concrete_fields if field.name not in UNLIKE.get(model, ())]
    return sorted(tuple(map(plain, row)) for row in model._default_manager.values_list(*names))


def plain(value: Any) -> Any:
    if isinstance(value, list):  # a frame's cursors: one at 0 says no more than none
        return [cursor for cursor in value if cursor[-1]]
    return bytes(value) if isinstance(value, memoryview) else value


def forget_all() -> None:
    """Empty the tables; ids begin with 1 again."""
    tables = [model._meta.db_table for model in COMPARED]
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables, reset_sequences=True))


def test_rows_written_in_bulk_are_those_of_the_recorder() -> None:
    forget_all()  # what other tests wrote is gone, but ids went on
    batches = list(history().batches())
    now_ns = batches[0].now_ns
    writer = JournalWriter(lambda: now_ns)
    for batch in batches:
        now_ns = batch.now_ns
        if batch.facts:
            record(batch, writer)
    recorded = {model: rows(model) for model in COMPARED}
    kinds = {row[5] for row in recorded[LockEvent]}
    assert {"gap", "promoted", "demoted", "transferred", "migrated", "queued", "operator", "range-locked"} <= kinds
    assert recorded[Frame]

    forget_all()
    assert list(Bulk().fill(history().batches()))[-1] == len(recorded[LockEvent])

    for model in COMPARED:
        assert rows(model) == recorded[model], model
    assert (verify().breaks, verify().checked) == (0, len(recorded[LockEvent]))
    known = momentread.bounds()
    assert known is not None
    held = momentread.at_time(known.last_ns, known).told.held
    assert {lock.key for lock in held.values()} == set(HeldLock.objects.values_list("key", flat=True))


def test_indexes_are_there_again_after_filling() -> None:
    """A history without them would be slow for no reason that the site has."""

    def indexes() -> list[str]:
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, LockEvent._meta.db_table)
        return sorted(name for name, about in found.items() if about["index"])

    before = indexes()
    assert len(before) > len(LockEvent._meta.indexes) - 1
    list(Bulk().fill(History(3_000, held=500).batches()))
    assert indexes() == before


@pytest.mark.skipif(connection.vendor != "sqlite", reason="a file that is open twice")
def test_a_database_that_somebody_reads_is_filled_too() -> None:
    """Its journal cannot be done without, then."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], uri=True)) as reader:
        assert reader.execute("SELECT COUNT(*) FROM journal_lockevent").fetchone() == (0,)
        list(Bulk().fill(History(3_000, held=500).batches()))
        assert reader.execute("SELECT COUNT(*) FROM journal_lockevent").fetchone() == (3_000,)
