"""What is new in a report, what is missing, and what a row can hold."""

from dlmsite.journal.intake import NUMBER_MAX, take_in
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent


def batch(*numbers: int, event: Event | None = None) -> EventBatch:
    told = tuple(NumberedEvent(n, 1_000 + n, event or Event(EventKind.GRANTED, "k")) for n in numbers)
    return EventBatch("127.0.0.1:8001.18001", 77, told)


def numbers(facts: tuple) -> list[int]:  # type: ignore[type-arg]
    return [fact.told.number for fact in facts]


def test_consecutive_events_are_all_new() -> None:
    intake = take_in(batch(1, 2, 3), 0)
    assert (numbers(intake.fresh), intake.fillers, intake.number) == ([1, 2, 3], (), 3)


def test_a_repeated_report_is_not_folded_again() -> None:
    intake = take_in(batch(1, 2, 3), 2)
    assert (numbers(intake.fresh), numbers(intake.fillers), intake.number) == ([3], [1, 2], 3)


def test_missing_numbers_become_a_gap_before_what_follows_them() -> None:
    intake = take_in(batch(5, 8), 3)
    assert numbers(intake.fresh) == [-4, 5, -6, 8]
    assert intake.fresh[0].told.event.kind is EventKind.GAP
    assert intake.fresh[0].told.event.detail == "event 4 of incarnation 77 never arrived"
    assert intake.fresh[2].told.event.detail == "2 events (6 to 7) of incarnation 77 never arrived"


def test_the_order_within_a_report_does_not_matter() -> None:
    assert numbers(take_in(batch(3, 1, 2), 0).fresh) == [1, 2, 3]


def test_numbers_too_wide_for_a_row_are_clamped() -> None:
    """A row that the database refuses would stop everything behind it."""
    wild = Event(EventKind.GRANTED, "k", generation=1 << 64, seq=-1)
    event = take_in(batch(1, event=wild), 0).fresh[0].told.event
    assert (event.generation, event.seq) == (NUMBER_MAX, 0)


def test_texts_are_cut_and_hold_no_nul() -> None:
    wild = Event(EventKind.GRANTED, "a\0b", owner="o" * 5_000, detail="d" * 5_000, peer="p" * 300, session="s" * 200)
    event = take_in(batch(1, event=wild), 0).fresh[0].told.event
    assert event.key == "a\ufffdb"
    assert (len(event.owner), len(event.detail), len(event.peer), len(event.session)) == (1024, 2000, 255, 128)


def test_an_ordinary_event_is_passed_on_as_it_is() -> None:
    """Copying each of 5,000 events a second would cost more than writing them."""
    given = batch(1)
    assert take_in(given, 0).fresh[0].told is given.events[0]
