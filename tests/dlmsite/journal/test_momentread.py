"""Any moment of a recorded history is the live projection of that moment."""

import random
from dataclasses import fields

import pytest
from django.db.models import F

from dlmsite.journal import momentframes, momentread
from dlmsite.journal.models import Frame, FramePart, HeldLock, LockEvent
from dlmsite.journal.momentread import after_event, at_time, bounds, id_after
from dlmsite.journal.projection import Held
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

pytestmark = pytest.mark.django_db

A, B = "127.0.0.1:8001.18001", "127.0.0.1:8002.18002"
NOW_NS = 1_790_000_000_000_000_000
MS = 1_000_000
KINDS = (EventKind.GRANTED, EventKind.RELEASED, EventKind.PROMOTED, EventKind.EXPIRED, EventKind.REFUSED)


def told(  # noqa: PLR0913, PLR0917 - an event is all of this
    number: int, kind: EventKind, key: str, at_ms: int, generation: int, seq: int = 1
) -> NumberedEvent:
    return NumberedEvent(number, NOW_NS + at_ms * MS, Event(kind, key, owner="ada", generation=generation, seq=seq))


def held_now() -> dict[str, Held]:
    names = [each.name for each in fields(Held)]
    return {row["key"]: Held(**row) for row in HeldLock.objects.values(*names)}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a frame each seven events, in parts of two locks."""
    monkeypatch.setattr(momentframes, "EVERY_EVENTS", 7)
    monkeypatch.setattr(momentframes, "PART_LOCKS", 2)


@pytest.mark.usefixtures("often")
def test_after_any_event_the_moment_is_what_the_live_projection_held_then() -> None:
    """The page of the past must not differ from the page of that time."""
    chance = random.Random(5)  # noqa: S311 - the same history each time
    writer = JournalWriter(lambda: NOW_NS + 60_000 * MS)
    numbers = {A: 0, B: 0}
    then: dict[int, dict[str, Held]] = {}
    for at in range(60):
        source = chance.choice((A, B))
        events = []
        for _ in range(chance.randint(1, 3)):
            numbers[source] += chance.choice((1, 1, 1, 2))
            late = chance.choice((0, 0, 0, 40))
            events.append(
                told(numbers[source], chance.choice(KINDS), chance.choice("abcd"), at * 10 - late, 1 + at // 8, at % 3)
            )
        writer.write([EventBatch(source, 1, tuple(events))])
        writer.frames.step()
        then[LockEvent.objects.order_by("-id").values_list("id", flat=True)[0]] = held_now()
    known = bounds()
    assert known is not None
    assert Frame.objects.filter(whole=True).count() > 5
    for row in LockEvent.objects.filter(id__in=then):
        found = after_event(row, known)
        assert found.doubts == ()
        assert found.told.held == then[row.pk]


@pytest.mark.usefixtures("often")
def test_at_any_time_the_moment_is_what_all_facts_up_to_it_say_however_late_they_were_recorded() -> None:
    """What a killed node left behind is recorded after its death, and happened before it."""
    writer = JournalWriter(lambda: NOW_NS + 60_000 * MS)
    writer.write([EventBatch(A, 1, (told(1, EventKind.GRANTED, "a", 0, 1),))])
    writer.write([EventBatch(B, 1, tuple(told(n, EventKind.GRANTED, f"b{n}", 100 * n, n) for n in range(1, 20)))])
    writer.write([EventBatch(A, 1, (told(2, EventKind.GRANTED, "late", 950, 3),))])
    known = bounds()
    assert known is not None
    assert "late" in at_time(NOW_NS + 950 * MS, known).told.held
    assert "late" not in at_time(NOW_NS + 949 * MS, known).told.held
    assert sorted(at_time(NOW_NS + 250 * MS, known).told.held) == ["a", "b1", "b2"]
    assert at_time(NOW_NS + 10**6 * MS, known).told.held == writer.projection.held


@pytest.mark.usefixtures("often")
def test_a_moment_reads_no_more_than_the_events_since_its_frame() -> None:
    writer = JournalWriter(lambda: NOW_NS + 10**9 * MS)
    for n in range(1, 200):
        writer.write([EventBatch(A, 1, (told(n, EventKind.GRANTED, f"k{n % 3}", n * 10_000, n),))])
        writer.frames.step()
    known = bounds()
    assert known is not None
    for n in (10, 100, 199):
        found = at_time(NOW_NS + n * 10_000 * MS, known)
        assert found.told.facts <= 8
        assert found.told.held[f"k{n % 3}"].generation == n


def test_a_history_from_before_there_were_frames_says_what_it_lacks() -> None:
    writer = JournalWriter(lambda: NOW_NS)
    writer.write([EventBatch(A, 1, tuple(told(n, EventKind.GRANTED, f"k{n}", n, n) for n in range(1, 30)))])
    Frame.objects.all().delete()
    LockEvent.objects.filter(key="k1").delete()
    known = bounds()
    assert known is not None
    found = at_time(NOW_NS + 20 * MS, known)
    assert len(found.told.held) == 19
    assert found.frame_id is None
    assert "No frame was taken" in found.doubts[0]


def test_removed_rows_between_frame_and_moment_are_told() -> None:
    writer = JournalWriter(lambda: NOW_NS)
    writer.write([EventBatch(A, 1, tuple(told(n, EventKind.GRANTED, f"k{n}", n, n) for n in range(1, 30)))])
    LockEvent.objects.filter(number__lt=10).delete()
    known = bounds()
    assert known is not None
    assert "have been removed" in at_time(NOW_NS + 20 * MS, known).doubts[0]


def test_a_damaged_frame_is_told_and_breaks_nothing() -> None:
    writer = JournalWriter(lambda: NOW_NS)
    writer.write([EventBatch(A, 1, (told(1, EventKind.GRANTED, "k", 1, 1),))])
    FramePart.objects.update(blob=b"\0nonsense")
    Frame.objects.update(held=4)
    known = bounds()
    assert known is not None
    found = at_time(NOW_NS + 20 * MS, known)
    assert "is damaged" in found.doubts[0]
    assert list(found.told.held) == ["k"]


def test_a_telling_that_would_be_too_long_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(momentread, "REPLAY_MAX", 10)
    writer = JournalWriter(lambda: NOW_NS)
    writer.write([EventBatch(A, 1, tuple(told(n, EventKind.GRANTED, f"k{n}", n, n) for n in range(1, 30)))])
    known = bounds()
    assert known is not None
    found = at_time(NOW_NS + 25 * MS, known)
    assert found.told.facts == 10
    assert "more events between" in found.doubts[0]


@pytest.mark.usefixtures("often")
def test_a_clock_that_went_back_is_told() -> None:
    """The moment was twice; the answer is bounded, and honest about it."""
    writer = JournalWriter(lambda: NOW_NS + 10**9 * MS)
    hour_ms = 3_600_000
    for n in range(1, 40):
        at_ms = n * 60_000 - (hour_ms if n > 20 else 0)
        writer.write([EventBatch(A, 1, (told(n, EventKind.GRANTED, "k", at_ms + 2 * hour_ms, n),))])
    known = bounds()
    assert known is not None
    found = at_time(NOW_NS + (2 * hour_ms + 20 * 60_000) * MS, known)
    assert any("clock went back" in doubt for doubt in found.doubts)


def test_the_first_event_after_a_time_is_found_also_where_rows_are_missing() -> None:
    writer = JournalWriter(lambda: NOW_NS)
    writer.write([EventBatch(A, 1, tuple(told(n, EventKind.GRANTED, "k", n * 10, n) for n in range(1, 60)))])
    LockEvent.objects.filter(number__in=(1, 2, 20, 21, 22, 23, 40)).delete()
    known = bounds()
    assert known is not None
    for at_ms in (0, 25, 30, 200, 235, 240, 400, 405, 590, 999):
        later = LockEvent.objects.filter(wall_ns__gt=NOW_NS + at_ms * MS).order_by("id")
        expected = later.values_list("id", flat=True).first() or known.last_id + 1
        assert id_after(NOW_NS + at_ms * MS, known) <= expected
        assert not LockEvent.objects.filter(
            id__gte=id_after(NOW_NS + at_ms * MS, known), wall_ns__lte=NOW_NS + at_ms * MS
        ).exists()


def test_ids_that_begin_late_are_no_removed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL uses up ids in transactions that are rolled back."""
    monkeypatch.setattr(momentread, "REPLAY_MAX", 100)
    writer = JournalWriter(lambda: NOW_NS)
    writer.write([EventBatch(A, 1, tuple(told(n, EventKind.GRANTED, f"k{n}", n, n) for n in range(1, 30)))])
    LockEvent.objects.update(id=F("id") + 1_000)
    known = bounds()
    assert known is not None
    found = at_time(NOW_NS + 20 * MS, known)
    assert (found.doubts, len(found.told.held)) == ((), 20)
