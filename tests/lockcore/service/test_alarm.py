"""The alarm rings when it was asked to, once, and not after it was called off."""

from __future__ import annotations

from lockcore.service import clock
from lockcore.service.alarm import Alarm
from tests.lockcore.service.cluster import until

MS = 1_000_000
HOUR_NS = 3_600_000 * MS


async def test_the_earliest_time_that_was_asked_for_counts() -> None:
    rung: list[int] = []
    alarm = Alarm(lambda: rung.append(clock.boot_ns()), 0)
    soon_ns = clock.boot_ns() + 20 * MS
    alarm.set(clock.boot_ns() + HOUR_NS)
    alarm.set(soon_ns)
    alarm.set(clock.boot_ns() + HOUR_NS)
    alarm.set(None)
    await until(lambda: bool(rung), "it rings")
    assert rung[0] >= soon_ns
    assert len(rung) == 1


async def test_what_is_due_already_rings_soon_and_may_set_it_again() -> None:
    rung: list[int] = []

    def ring() -> None:
        rung.append(clock.boot_ns())
        if len(rung) < 3:
            alarm.set(0)

    alarm = Alarm(ring, MS)
    before_ns = clock.boot_ns()
    alarm.set(0)
    assert rung == [], "never from within"
    await until(lambda: len(rung) == 3, "it rings three times")
    assert rung[-1] - before_ns >= 3 * MS, "with a gap each time"


async def test_it_does_not_ring_after_it_was_called_off() -> None:
    rung: list[str] = []
    off, on = Alarm(lambda: rung.append("off"), 0), Alarm(lambda: rung.append("on"), 0)
    off.set(clock.boot_ns() + 5 * MS)
    off.cancel()
    on.set(clock.boot_ns() + 20 * MS)
    await until(lambda: bool(rung), "the other one rings")
    assert rung == ["on"]
