"""Timers that keep to the clock that leases count."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lockcore.client import clock
from lockcore.client.clock import BootTimers, boot_ns
from lockcore.core.limits import NS_PER_MS, NS_PER_S
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    import pytest


async def test_callbacks_run_in_the_order_of_their_times() -> None:
    timers, ran = BootTimers(), list[int]()
    now_ns = boot_ns()
    for delay_ms in (30, 10, 20):
        timers.call_at(now_ns + delay_ms * NS_PER_MS, lambda ms=delay_ms: ran.append(ms))  # type: ignore[misc]
    await until(lambda: len(ran) == 3, "three callbacks")
    assert ran == [10, 20, 30]


async def test_a_callback_never_runs_early() -> None:
    timers, ran_ns = BootTimers(), list[int]()
    at_ns = boot_ns() + 20 * NS_PER_MS
    timers.call_at(at_ns, lambda: ran_ns.append(boot_ns()))
    await until(lambda: bool(ran_ns), "the callback")
    assert ran_ns[0] >= at_ns


async def test_what_was_cancelled_does_not_run() -> None:
    timers, ran = BootTimers(), list[str]()
    alarm = timers.call_at(boot_ns() + 5 * NS_PER_MS, lambda: ran.append("cancelled"))
    timers.call_at(boot_ns() + 15 * NS_PER_MS, lambda: ran.append("kept"))
    alarm.cancel()
    await until(lambda: bool(ran), "the one that was kept")
    assert ran == ["kept"]


async def test_what_came_due_while_the_machine_slept_runs_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's clock stands still in a sleep, so a timer for in an hour would fire an hour late."""
    slept_ns = 0
    monkeypatch.setattr(clock, "boot_ns", lambda: boot_ns() + slept_ns)
    monkeypatch.setattr(clock, "LOOK_S", 0.02)
    timers, ran = BootTimers(), list[bool]()
    timers.call_at(boot_ns() + 3_600 * NS_PER_S, lambda: ran.append(True))
    await asyncio.sleep(0)
    slept_ns = 3_600 * NS_PER_S
    await until(lambda: bool(ran), "the callback after the sleep")


async def test_after_close_nothing_runs() -> None:
    timers, ran = BootTimers(), list[bool]()
    timers.call_at(boot_ns() + 5 * NS_PER_MS, lambda: ran.append(True))
    timers.close()
    await asyncio.sleep(0.03)
    assert ran == []
