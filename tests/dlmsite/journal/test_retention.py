"""History is bounded, and what is recent stays."""

import pytest
from django.test import override_settings

from dlmsite.environment import EnvironmentProblem
from dlmsite.journal import retention
from dlmsite.journal.models import Cursor, Frame, LockEvent, NodesSeen, RingVersion
from dlmsite.journal.retention import NS_PER_DAY, Limits, limits, prune

pytestmark = pytest.mark.django_db

NOW_NS = 100 * NS_PER_DAY


def make_events(count: int, at_ns: int = NOW_NS) -> None:
    LockEvent.objects.bulk_create(
        LockEvent(source="a", incarnation=at_ns, number=n, wall_ns=at_ns, kind="granted") for n in range(1, count + 1)
    )


def test_the_newest_rows_stay() -> None:
    make_events(10)
    newest = list(LockEvent.objects.order_by("-id").values_list("id", flat=True)[:4])
    assert prune(Limits(rows=4, days=0), NOW_NS) == 6
    assert list(LockEvent.objects.order_by("-id").values_list("id", flat=True)) == newest


def test_one_step_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events wait while a step is taken."""
    monkeypatch.setattr(retention, "STEP_ROWS", 3)
    make_events(10)
    assert prune(Limits(rows=2, days=0), NOW_NS) == 3
    assert LockEvent.objects.count() == 7


def test_old_rows_go_and_with_them_old_views_and_cursors() -> None:
    make_events(3, NOW_NS - 9 * NS_PER_DAY)
    make_events(2, NOW_NS)
    for number in (1, 2):
        RingVersion.objects.create(number=number, version=number, at_ns=number)
    Cursor.objects.create(source="a", incarnation=1, number=3, at_ns=1)
    assert prune(Limits(rows=0, days=8), NOW_NS) == 3
    assert LockEvent.objects.count() == 2
    assert list(RingVersion.objects.values_list("number", flat=True)) == [2]
    assert not Cursor.objects.exists()


def test_nothing_to_prune_is_no_problem() -> None:
    assert prune(Limits(rows=1, days=1), NOW_NS) == 0
    make_events(1)
    assert prune(Limits(rows=0, days=0), NOW_NS) == 0


def test_there_is_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKRING_RETENTION_ROWS", raising=False)
    assert limits() == Limits(rows=5_000_000, days=30)


def test_the_environment_and_the_settings_can_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKRING_RETENTION_ROWS", "1000")
    with override_settings(LOCKRING_RETENTION_DAYS=7):
        assert limits() == Limits(rows=1000, days=7)
    monkeypatch.setenv("LOCKRING_RETENTION_ROWS", "0")
    assert limits().rows == 0


def test_a_limit_that_is_no_number_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKRING_RETENTION_ROWS", "many")
    with pytest.raises(EnvironmentProblem, match="LOCKRING_RETENTION_ROWS must be a whole number"):
        limits()


def test_what_only_removed_events_needed_goes_with_them() -> None:
    """Moments are told again from frames; those of events that are gone would pile up for ever."""
    make_events(10)
    first = LockEvent.objects.order_by("id").values_list("id", flat=True)[0]
    for through in (first, first + 3, first + 5, first + 8):
        Frame.objects.create(through_id=through, at_ns=NOW_NS, held=0, whole=True)
    for at_ns in (1, 2, 3, NOW_NS):
        NodesSeen.objects.create(at_ns=at_ns, blob=b"")
    assert prune(Limits(rows=3, days=0), NOW_NS) == 7
    assert list(Frame.objects.order_by("id").values_list("through_id", flat=True)) == [first + 5, first + 8]
    assert list(NodesSeen.objects.order_by("id").values_list("at_ns", flat=True)) == [3, NOW_NS]
