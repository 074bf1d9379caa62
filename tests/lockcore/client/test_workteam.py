"""The workload's sessions wait, lock ranges and hand on, and hold nothing when it is switched off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore import aio
from lockcore.client.workload import Tally, Workload, WorkloadPlan
from lockcore.errors import InvalidRequest
from tests.lockcore.client.conftest import target_of
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    from lockcore.core.events import Event
    from tests.lockcore.service.cluster import Cluster

PLAN = WorkloadPlan(rate=0.001, clients=1, keys=1, hold=0.1, sessions=3)


def facts_of(cluster: Cluster) -> list[Event]:
    return [fact.event for label in cluster.nodes for fact in cluster.facts_of(label)]


def count_of(cluster: Cluster, kind: str) -> int:
    return [event.kind.value for event in facts_of(cluster)].count(kind)


@pytest.mark.acceptance
async def test_a_newcomer_sees_queues_ranges_and_migrations(three: Cluster) -> None:
    wanted = {"opened", "granted", "queued", "range-locked", "range-unlocked", "range-migrated", "migrated", "ended"}
    async with aio.connect(target_of(three)) as client:
        workload = Workload(client, PLAN)
        workload.start()
        await until(lambda: wanted <= {event.kind.value for event in facts_of(three)}, "all that is to be seen", 60)
        async with asyncio.timeout(30):
            await workload.off()
        await until(lambda: count_of(three, "opened") == count_of(three, "ended"), "the end of every session")
        assert workload.tally.turns > 0
        assert "turns of sessions" in workload.tally.line()
        await workload.stop()
        assert (workload.tally.lost, workload.tally.unanswered) == (0, 0)


def test_so_many_sessions_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="sessions must be from 0 to 1000"):
        WorkloadPlan(sessions=1_001).checked()


def test_without_sessions_the_summary_is_silent_about_them() -> None:
    assert "session" not in Tally(taken=1, seconds=1.0).line()
