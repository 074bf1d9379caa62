"""Reports as rows."""

import pytest
from django.db import DatabaseError

from dlmsite.journal import writer as writer_module
from dlmsite.journal.models import Cursor, HeldLock, LockEvent
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

pytestmark = pytest.mark.django_db

A, B = "127.0.0.1:8001.18001", "127.0.0.1:8002.18002"
NOW_NS = 1_790_000_000_000_000_000


def told(number: int, kind: EventKind, key: str = "k", generation: int = 1, seq: int = 1) -> NumberedEvent:
    event = Event(kind, key, owner="ada", generation=generation, seq=seq, view=9, ttl_ms=7000)
    return NumberedEvent(number, NOW_NS + number, event)


def batch(*events: NumberedEvent, source: str = A, incarnation: int = 1) -> EventBatch:
    return EventBatch(source, incarnation, events)


def fresh_writer() -> JournalWriter:
    return JournalWriter(lambda: NOW_NS)


def test_every_event_is_a_row_with_its_place_on_the_ring() -> None:
    fresh_writer().write([batch(told(1, EventKind.GRANTED, "hello"))])
    row = LockEvent.objects.get()
    assert (row.source, row.number, row.kind, row.key, row.owner) == (A, 1, "granted", "hello", "ada")
    assert row.position == 0x3610A686  # CRC-32 of "hello"


def test_a_report_that_is_repeated_adds_nothing() -> None:
    """After a broken connection a node sends again what was not acknowledged."""
    writer = fresh_writer()
    writer.write([batch(told(1, EventKind.GRANTED), told(2, EventKind.RELEASED, seq=2))])
    writer.write([batch(told(1, EventKind.GRANTED), told(2, EventKind.RELEASED, seq=2), told(3, EventKind.FENCED, ""))])
    assert list(LockEvent.objects.order_by("id").values_list("number", flat=True)) == [1, 2, 3]
    assert not HeldLock.objects.exists()


def test_a_new_recorder_goes_on_where_the_last_one_stopped() -> None:
    fresh_writer().write([batch(told(1, EventKind.GRANTED))])
    fresh_writer().write([batch(told(1, EventKind.GRANTED), told(2, EventKind.RELEASED, seq=2))])
    assert LockEvent.objects.count() == 2
    assert not HeldLock.objects.exists()


def test_a_hole_in_the_numbers_is_a_row_of_its_own() -> None:
    writer = fresh_writer()
    writer.write([batch(told(1, EventKind.GRANTED))])
    writer.write([batch(told(4, EventKind.RELEASED, seq=2))])
    gap = LockEvent.objects.get(kind="gap")
    assert gap.detail == "2 events (2 to 3) of incarnation 1 never arrived"
    assert Cursor.objects.get().number == 4


def test_what_fills_a_hole_later_becomes_a_row_and_moves_no_lock() -> None:
    writer = fresh_writer()
    writer.write([batch(told(1, EventKind.GRANTED), told(3, EventKind.RELEASED, seq=2))])
    writer.write([batch(told(2, EventKind.PROMOTED))])
    assert LockEvent.objects.filter(kind="promoted").count() == 1
    assert not HeldLock.objects.exists()


def test_held_locks_follow_their_events_in_the_same_transaction() -> None:
    writer = fresh_writer()
    writer.write([batch(told(1, EventKind.GRANTED), told(2, EventKind.GRANTED, "other"))])
    writer.write([batch(told(1, EventKind.PROMOTED, seq=2), source=B)])
    assert set(HeldLock.objects.values_list("key", "node", "seq")) == {("k", B, 2), ("other", A, 1)}
    writer.write([batch(told(2, EventKind.RELEASED, seq=3), source=B)])
    assert list(HeldLock.objects.values_list("key", flat=True)) == ["other"]


def test_late_events_after_a_restart_do_not_bring_a_released_lock_back() -> None:
    """The new recorder remembers no endings: it looks for them in the rows."""
    fresh_writer().write([batch(told(1, EventKind.PROMOTED, seq=2), told(2, EventKind.RELEASED, seq=3), source=B)])
    fresh_writer().write([batch(told(1, EventKind.GRANTED))])
    assert LockEvent.objects.count() == 3
    assert not HeldLock.objects.exists()


def test_a_failed_transaction_leaves_nothing_and_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = fresh_writer()

    def fail(*_args: object) -> None:
        raise DatabaseError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(writer_module, "_write_cursors", fail)
        with pytest.raises(DatabaseError):
            writer.write([batch(told(1, EventKind.GRANTED))])
    assert not LockEvent.objects.exists()
    assert not HeldLock.objects.exists()
    writer.write([batch(told(1, EventKind.GRANTED))])
    assert LockEvent.objects.count() == HeldLock.objects.count() == 1


def test_keys_longer_than_an_index_entry_are_held_like_others() -> None:
    """PostgreSQL indexes at most 2,704 bytes of text; a key has up to 4,096."""
    fresh_writer().write([batch(told(1, EventKind.GRANTED, "k" * 4096))])
    assert HeldLock.objects.get().key == "k" * 4096


def test_a_batch_that_cannot_be_written_is_written_off_as_a_gap() -> None:
    writer = fresh_writer()
    writer.write_off(batch(told(1, EventKind.GRANTED), told(2, EventKind.GRANTED)), "DataError")
    writer.write([batch(told(3, EventKind.FENCED, ""))])
    assert list(LockEvent.objects.order_by("id").values_list("kind", flat=True)) == ["gap", "fenced"]


def test_no_row_has_room_for_a_token() -> None:
    """Renew tokens are never stored (DESIGN 9)."""
    for model in (LockEvent, HeldLock):
        assert not [field.name for field in model._meta.get_fields() if "token" in field.name]


def test_a_session_s_name_goes_with_its_events_and_its_locks() -> None:
    mine = Event(EventKind.GRANTED, "k", owner="ada", generation=1, seq=1, session="18f2")
    fresh_writer().write([batch(NumberedEvent(1, NOW_NS, mine), told(2, EventKind.VIEW, ""))])
    assert list(LockEvent.objects.order_by("id").values_list("session", flat=True)) == ["18f2", None]
    assert HeldLock.objects.get().session == "18f2"


def test_the_database_finds_the_events_of_a_session_by_their_index() -> None:
    """Only rows that have a session are in it, so that the others cost nothing."""
    plan = LockEvent.objects.filter(session="18f2").order_by("-id").explain()
    assert "journal_event_session" in plan
