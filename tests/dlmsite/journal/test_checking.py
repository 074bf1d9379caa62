"""The running check beside the recorder: what it finds becomes rows, once; what it cannot do it says."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from dlmsite.journal import checking
from dlmsite.journal.checking import Check
from dlmsite.journal.models import Checking, LockEvent, Violation
from dlmsite.journal.recorder import Recorder
from dlmsite.journal.retention import Limits, prune
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.testing.online import Contradiction, Fact, OnlineChecker
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

VIEW = 1_800_000_000_000_000_000
Told = tuple[EventKind, int]
GRANTED, RELEASED, EXPIRED = EventKind.GRANTED, EventKind.RELEASED, EventKind.EXPIRED


def batch(*told: Told, first: int = 1, source: str = "a", key: str = "k") -> EventBatch:
    """Return facts of one view; `told` are (kind, generation above the view)."""
    events = (Event(kind, "" if kind is EventKind.VIEW else key, generation=VIEW + g, view=VIEW) for kind, g in told)
    return EventBatch(source, 1, tuple(NumberedEvent(first + i, 1_000 + i, event) for i, event in enumerate(events)))


class Desk:
    """A writer and a check beside it, as in the recorder."""

    def __init__(self, make: Callable[[], OnlineChecker] | None = None) -> None:
        self.writer = JournalWriter()
        self.check = Check(lambda: 5_000, make)
        self.writer.on_commit = self.check.committed
        self.check.note()

    def take(self, *batches: EventBatch) -> None:
        self.writer.write(batches)
        self.check.run()
        self.check.note()


class Broken(OnlineChecker):
    """Fails at the third fact."""

    def take(self, fact: Fact) -> list[Contradiction]:
        if self.checked == 2:
            raise ZeroDivisionError
        return super().take(fact)


@pytest.mark.parametrize(
    ("rule", "batches"),
    [
        ("I1", [batch((GRANTED, 1), (GRANTED, 2))]),
        ("I2", [batch((GRANTED, 1), (RELEASED, 1), (GRANTED, 1))]),
        ("I4", [batch((GRANTED, 1)), batch((GRANTED, 2), source="b")]),
        ("I6", [batch((GRANTED, 1), (RELEASED, 1), (EventKind.READMITTED, 1))]),
        ("I7", [batch((EventKind.VIEW, 0), (EventKind.VIEW, 0))]),
    ],
)
def test_a_contradiction_is_a_row_that_points_at_both_events(rule: str, batches: list[EventBatch]) -> None:
    """Whoever reads it goes on from the two rows."""
    Desk().take(*batches)
    row = Violation.objects.get()
    assert row.rule == rule
    assert row.first is not None
    assert row.second is not None
    assert [event["id"] for event in row.evidence] == [row.first_id, row.second_id]
    assert row.first_id != row.second_id


@pytest.mark.parametrize(
    "batches",
    [
        [batch((GRANTED, 1), (RELEASED, 1), (GRANTED, 2))],
        [batch((GRANTED, 1), (EXPIRED, 1), (GRANTED, 2))],
        [batch((GRANTED, 1)), batch((GRANTED, 2), key="other", source="b")],
        [batch((GRANTED, 1), (EXPIRED, 1), (EventKind.READMITTED, 1))],
        [batch((GRANTED, 1)), batch((GRANTED, 2), first=5)],
    ],
)
def test_near_misses_are_no_violations(batches: list[EventBatch]) -> None:
    """An alarm that rings for nothing is soon not heard; the last one has a gap where the release may have been."""
    Desk().take(*batches)
    assert not Violation.objects.exists()
    assert Checking.objects.get().checked == LockEvent.objects.count()


def test_a_report_that_is_delivered_again_is_judged_once() -> None:
    """A lost acknowledgement repeats a batch: its grants are the same grants."""
    desk = Desk()
    desk.take(batch((GRANTED, 1), (RELEASED, 1)))
    desk.take(batch((GRANTED, 1), (RELEASED, 1)))
    assert not Violation.objects.exists()
    assert Checking.objects.get().checked == 2


def test_what_it_knows_survives_a_restart_of_the_site() -> None:
    """The second grant comes to a process that never saw the first."""
    Desk().take(batch((GRANTED, 1)))
    Desk().take(batch((GRANTED, 2), first=2))
    assert Violation.objects.get().rule == "I1"
    assert Checking.objects.get().checked == 2


def test_a_violation_that_is_found_again_is_the_same_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart replays the events; two recorders may both see it. Nor is it counted as one more without a row."""
    monkeypatch.setattr(checking, "VIOLATIONS_MAX", 1)
    Desk().take(batch((GRANTED, 1), (GRANTED, 2)))
    desks = [Desk(), Desk()]
    for desk in desks:
        desk.check.note()
    assert Violation.objects.count() == 1
    row = Checking.objects.get()
    assert (row.checked, row.unlisted) == (2, 0)


def test_what_was_recorded_while_nobody_judged_is_judged_at_the_next_start() -> None:
    Desk().take(batch((GRANTED, 1)))
    JournalWriter().write([batch((GRANTED, 2), first=2)])
    Desk()
    assert Violation.objects.get().rule == "I1"
    assert Checking.objects.get().checked == 2


def test_what_is_too_long_ago_to_be_judged_at_the_next_start_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown is shown as unknown: neither checked nor fine."""
    Desk().take(batch((GRANTED, 1)))
    JournalWriter().write([batch(*((EXPIRED, 1) for _ in range(9)), first=2)])
    monkeypatch.setattr(checking, "REPLAY_ROWS", 4)
    Desk()
    row = Checking.objects.get()
    assert (row.checked, row.unchecked) == (1 + 4, 5)
    assert row.since_ns == 5_000, "since the first check began"
    assert row.remembers_since_ns == 1_005


def test_a_gap_before_what_is_replayed_still_excuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the release that was lost in the gap would be missed."""
    monkeypatch.setattr(checking, "REPLAY_ROWS", 2)
    Desk().take(batch((EventKind.VIEW, 0), first=3))
    Desk().take(batch((GRANTED, 1), first=4), batch((GRANTED, 2), first=5))
    assert LockEvent.objects.filter(kind="gap").count() == 1
    Desk()
    assert not Violation.objects.exists()


def test_what_fills_a_hole_after_its_time_is_not_judged_at_the_next_start_either() -> None:
    """It was excused when it came; a restart must not come to another judgement."""
    desk = Desk()
    desk.take(batch((GRANTED, 1)), batch((GRANTED, 3), first=4))
    JournalWriter().write([batch((RELEASED, 1), (GRANTED, 2), first=2)])
    Desk()
    assert LockEvent.objects.count() == 5
    assert Checking.objects.get().checked == 3, "two grants and the gap"
    assert not Violation.objects.exists()


def test_an_error_of_the_check_stops_the_check_and_nothing_else() -> None:
    """The history matters more than its judge."""
    desk = Desk(Broken)
    desk.take(batch((GRANTED, 1), (RELEASED, 1), (GRANTED, 2), (RELEASED, 2)))
    desk.take(batch((GRANTED, 3), first=5))
    row = Checking.objects.get()
    assert "ZeroDivisionError" in row.trouble
    assert "Traceback" not in row.trouble
    assert LockEvent.objects.count() == 5


def test_a_check_that_runs_again_after_a_restart_says_so() -> None:
    Desk(Broken).take(batch((GRANTED, 1), (RELEASED, 1), (GRANTED, 2)))
    Desk()
    row = Checking.objects.get()
    assert row.trouble == ""
    assert row.checked == 3, "what it was at when it stopped is judged again, and counted once"


def test_a_violation_waits_for_a_database_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    desk.writer.write([batch((GRANTED, 1), (GRANTED, 2))])
    real = Check._write

    def fail(*_: Any) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(Check, "_write", fail)
    desk.check.run()
    monkeypatch.setattr(Check, "_write", real)
    assert not Violation.objects.exists()
    assert desk.check.trouble == ""
    desk.check.run()
    assert Violation.objects.count() == 1


def test_more_violations_than_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken cluster contradicts itself at every grant; the journal's size stays bounded."""
    monkeypatch.setattr(checking, "VIOLATIONS_MAX", 3)
    Desk().take(batch(*((GRANTED, g) for g in range(1, 9))))
    assert Violation.objects.count() == 3
    assert Checking.objects.get().unlisted == 4


def test_evidence_outlives_the_events() -> None:
    """Retention removes rows in one statement, and asks nobody."""
    Desk().take(batch((GRANTED, 1), (GRANTED, 2)))
    assert prune(Limits(rows=0, days=1), 10**18) == 2
    row = Violation.objects.get()
    assert [event["generation"] for event in row.evidence] == [VIEW + 1, VIEW + 2]


async def test_recording_goes_on_beside_a_check_that_is_broken() -> None:
    """Also the acknowledgement: who reports must not wait for a judge that has left."""
    recorder = Recorder(check=Check(lambda: 1, Broken))
    recorder.start()
    for number in range(1, 6):
        await recorder(batch((GRANTED, number), first=number))
    await until(lambda: recorder._check.trouble)
    await recorder(batch((GRANTED, 9), first=6))
    await recorder.stop()
    assert await LockEvent.objects.acount() == 6
    assert (await Checking.objects.aget()).trouble


async def test_the_recorder_has_what_it_wrote_judged() -> None:
    recorder = Recorder()
    recorder.start()
    await asyncio.gather(recorder(batch((GRANTED, 1))), recorder(batch((GRANTED, 2), source="b")))
    await recorder.stop()
    assert (await Violation.objects.aget()).rule == "I4"
