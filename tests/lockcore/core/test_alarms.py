"""When a key is looked at again: in time, and not kept in mind for ever."""

from __future__ import annotations

from lockcore.core.alarms import Alarms


def test_the_earliest_of_a_key_counts_and_rings_once() -> None:
    alarms = Alarms()
    for at_ns in (30, 10, 20):
        alarms.set(at_ns, "k")
    assert alarms.next_ns() == 10
    assert alarms.due(9) == []
    assert alarms.due(10) == ["k"]
    assert alarms.due(100) == []


def test_a_key_that_has_rung_may_be_set_again() -> None:
    alarms = Alarms()
    alarms.set(10, "k")
    alarms.set(12, "other")
    assert alarms.due(10) == ["k"]
    alarms.set(11, "k")
    assert alarms.due(20) == ["k", "other"]


def test_a_key_has_one_alarm_however_many_are_set() -> None:
    """Whoever queues with a long wait and leaves again would else fill the memory for a day."""
    alarms = Alarms()
    for at_ns in (*range(100_000, 90_000, -1), *range(200_000, 210_000)):
        alarms.set(at_ns, "k")
    assert len(alarms) < 2_000
    assert alarms.due(90_001) == ["k"]
