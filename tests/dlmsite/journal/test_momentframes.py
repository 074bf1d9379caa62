"""Frames: taken in time, of the right moment, in small parts, and never half."""

import pytest
from django.db import DatabaseError

from dlmsite.journal import momentframes
from dlmsite.journal import writer as writer_module
from dlmsite.journal.models import Frame, FramePart, LockEvent
from dlmsite.journal.moments import unpack
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

pytestmark = pytest.mark.django_db

A = "127.0.0.1:8001.18001"
NOW_NS = 1_790_000_000_000_000_000


def grants(first: int, count: int) -> EventBatch:
    events = (Event(EventKind.GRANTED, f"k{n}", generation=n, seq=1, ttl_ms=7000) for n in range(first, first + count))
    return EventBatch(
        A, 1, tuple(NumberedEvent(first + i, NOW_NS + first + i, event) for i, event in enumerate(events))
    )


def keys_of(frame: Frame) -> list[str]:
    parts = FramePart.objects.filter(frame=frame).order_by("number")
    return [held.key for part in parts for held in unpack(bytes(part.blob))]


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> JournalWriter:
    """A writer that takes a frame each ten events, in parts of four locks."""
    monkeypatch.setattr(momentframes, "EVERY_EVENTS", 10)
    monkeypatch.setattr(momentframes, "PART_LOCKS", 4)
    return JournalWriter(lambda: NOW_NS + 1_000_000)


def test_the_first_frame_is_empty_and_before_the_first_event(writer: JournalWriter) -> None:
    """Any moment of a history that was recorded from its beginning has a frame."""
    writer.write([grants(1, 3)])
    frame = Frame.objects.get()
    assert (frame.through_id, frame.at_ns, frame.held, frame.whole) == (0, 0, 0, True)


def test_a_frame_holds_what_was_held_before_the_batch_that_it_was_begun_with(writer: JournalWriter) -> None:
    writer.write([grants(1, 11)])
    through = LockEvent.objects.order_by("-id").values_list("id", flat=True)[0]
    writer.write([grants(12, 5)])
    while writer.frames.step():
        pass
    frame = Frame.objects.order_by("-id")[0]
    assert (frame.through_id, frame.at_ns, frame.held) == (through, NOW_NS + 11, 11)
    assert frame.cursors == [[A, 1, 11]]
    assert keys_of(frame) == [f"k{n}" for n in range(1, 12)]


def test_a_frame_of_many_locks_is_whole_only_after_its_last_part(writer: JournalWriter) -> None:
    """Each step writes a bounded number of locks; half a frame would be a picture with locks missing (F1, F2)."""
    writer.write([grants(1, 11)])
    writer.write([grants(12, 1)])
    frame = Frame.objects.order_by("-id")[0]
    assert not frame.whole
    assert keys_of(frame) == ["k1", "k2", "k3", "k4"]
    assert writer.frames.step()
    assert not writer.frames.step()
    assert Frame.objects.get(pk=frame.pk).whole
    assert not writer.frames.step()
    assert FramePart.objects.filter(frame=frame).count() == 3


def test_no_frame_follows_sooner_than_as_many_events_as_locks_are_held(writer: JournalWriter) -> None:
    """With 100,000 held locks a frame each 10,000 events would cost more than the events do (F2)."""
    writer.write([grants(1, 30)])
    writer.write([grants(31, 1)])
    while writer.frames.step():
        pass
    writer.write([grants(32, 15)])  # more than ten, and fewer than are held
    writer.write([grants(47, 1)])
    assert Frame.objects.count() == 2


def test_a_transaction_that_fails_leaves_no_frame_behind(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and begins its frame again (F3)."""
    writer.write([grants(1, 11)])

    def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(writer_module, "_write_cursors", fail)
        with pytest.raises(DatabaseError):
            writer.write([grants(12, 1)])
    assert Frame.objects.count() == 1
    assert not writer.frames.step()
    writer.write([grants(12, 1)])
    assert Frame.objects.count() == 2


def test_a_process_that_begins_again_goes_on_counting_and_removes_half_a_frame(writer: JournalWriter) -> None:
    writer.write([grants(1, 11)])
    writer.write([grants(12, 1)])
    assert Frame.objects.filter(whole=False).count() == 1
    again = JournalWriter(lambda: NOW_NS + 1_000_000)
    again.write([grants(13, 1)])  # twelve events since the frame that is whole: due
    newest = Frame.objects.order_by("-id")[0]
    assert (newest.held, newest.at_ns) == (12, NOW_NS + 12)
    assert Frame.objects.count() == 2


def test_locks_that_went_without_an_event_are_followed_by_a_frame(writer: JournalWriter) -> None:
    """Told again from an older frame they would still be held (F4)."""
    writer.write([grants(1, 3)])
    writer.drop_all_held()
    frame = Frame.objects.order_by("-id")[0]
    assert (frame.held, frame.whole, frame.at_ns) == (0, True, NOW_NS + 1_000_000)
    assert frame.through_id == LockEvent.objects.order_by("-id").values_list("id", flat=True)[0]


def test_a_clock_that_is_ahead_does_not_hide_frames_for_as_long(writer: JournalWriter) -> None:
    """Moments look for frames by time: this one must be found now, not in an hour."""
    ahead = NumberedEvent(1, NOW_NS + 3_600_000_000_000, Event(EventKind.GRANTED, "k", generation=1, seq=1))
    writer.write([EventBatch(A, 9, (ahead,)), grants(1, 10)])
    writer.write([grants(11, 1)])
    assert Frame.objects.order_by("-id")[0].at_ns == NOW_NS + 1_000_000


def test_frames_go_with_their_events_but_for_the_one_that_the_oldest_begin_with(writer: JournalWriter) -> None:
    for at in range(5):
        writer.write([grants(1 + 11 * at, 11)])
        writer.drop_all_held()  # has a frame taken
    taken = list(Frame.objects.order_by("through_id").values_list("through_id", flat=True))
    assert momentframes.prune(taken[2] + 1, limit=1) == 1
    assert momentframes.prune(taken[2] + 1, limit=9) == 1
    assert list(Frame.objects.order_by("through_id").values_list("through_id", flat=True)) == taken[2:]
    assert set(FramePart.objects.values_list("frame_id", flat=True)) == set(Frame.objects.values_list("id", flat=True))
