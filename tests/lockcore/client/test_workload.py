"""A workload takes, holds and releases, at its rate, and stops when told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client.workload import Tally, Workload, WorkloadPlan
from lockcore.core.operations import Code, Lock, Refused, Unlock
from lockcore.errors import InvalidRequest
from tests.lockcore.client.scripted import ScriptedNode, generous, view_of
from tests.lockcore.service.cluster import PROJECT, until

if TYPE_CHECKING:
    from lockcore.core.operations import Operation, Result
    from tests.lockcore.client.conftest import ThreadedCluster


def held_at_end(heard: list[Operation]) -> set[str]:
    held: set[str] = set()
    for operation in heard:
        if isinstance(operation, Lock):
            held.add(operation.key)
        elif isinstance(operation, Unlock):
            held.discard(operation.key)
    return held


async def test_every_lock_that_is_taken_is_released() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            workload = Workload(client, WorkloadPlan(rate=200, clients=10, keys=1_000, hold=0.02, seconds=0.5))
            await workload.run()
            assert workload.tally.taken > 0
            assert held_at_end(node.heard) == set()
            assert sum(isinstance(o, Lock) and not o.token for o in node.heard) >= workload.tally.taken


async def test_it_takes_no_more_than_its_rate() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            workload = Workload(client, WorkloadPlan(rate=20, clients=5, keys=100, hold=0, seconds=1.0))
            await workload.run()
            assert workload.tally.taken <= 20 * 1.0 * 1.5 + 5


async def test_off_releases_everything_and_on_begins_again() -> None:
    async with ScriptedNode() as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            workload = Workload(client, WorkloadPlan(rate=500, clients=8, keys=1_000, hold=60))
            workload.start()
            await until(lambda: workload.tally.taken >= 8, "all clients hold a lock")
            await asyncio.wait_for(workload.off(), 10)
            assert not workload.is_on
            assert held_at_end(node.heard) == set()
            heard = len(node.heard)
            taken = workload.tally.taken
            await asyncio.sleep(0.1)
            assert len(node.heard) == heard
            workload.on()
            await until(lambda: workload.tally.taken > taken, "the first lock after the pause")
            await workload.stop()
            assert held_at_end(node.heard) == set()


async def test_locks_of_others_are_counted_and_passed_over() -> None:
    async with ScriptedNode(lambda _: Refused(Code.HELD, "held", "ada")) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            workload = Workload(client, WorkloadPlan(rate=200, clients=4, keys=4, seconds=0.3))
            await workload.run()
            assert (workload.tally.taken, workload.tally.unanswered) == (0, 0)
            assert workload.tally.refused > 0


async def test_losses_are_counted() -> None:
    def script(operation: Operation) -> Result | None:
        if isinstance(operation, Lock) and operation.token:
            return Refused(Code.TOKEN_ON_NEW, "lock: non-empty token on a new lock")
        return generous(operation)

    async with ScriptedNode(script) as node:
        node.view = view_of(node)
        async with aio.connect(node.target) as client:
            workload = Workload(client, WorkloadPlan(rate=100, clients=2, keys=100, ttl=0.1, hold=0.2))
            workload.start()
            await until(lambda: workload.tally.lost > 0, "a loss")
            await workload.stop()


@pytest.mark.parametrize(
    "bad", [{"rate": 0}, {"clients": 0}, {"keys": 0}, {"hold": -1}, {"ttl": 61}, {"seconds": 0}, {"rate": float("nan")}]
)
def test_a_plan_out_of_bounds_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest):
        WorkloadPlan(**bad).checked()  # type: ignore[arg-type]


def test_the_summary_is_one_line() -> None:
    line = Tally(taken=1_500, refused=3, lost=0, unanswered=1, seconds=10.0).line()
    assert line == "1,500 locks taken in 10.0 s (150.0 per second), 3 held by another, 0 lost, 1 unanswered"


@pytest.mark.acceptance
def test_the_command_prints_one_line(nodes: ThreadedCluster) -> None:
    command = [sys.executable, "manage.py", "workload", "--target", nodes.target, "--seconds", "1", "--rate", "50"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "locks taken in 1.0 s" in done.stdout
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


@pytest.mark.acceptance
def test_the_command_refuses_bad_input_in_one_line(nodes: ThreadedCluster) -> None:
    command = [sys.executable, "manage.py", "workload", "--target", nodes.target, "--rate", "0"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 64
    assert done.stderr == "lockring: rate must be from 0.001 to 100000, not 0\n"
