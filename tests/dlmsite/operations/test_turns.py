"""Waves of a plan follow each other, and what came of a plan is written down when it has ended."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import pytest
from asgiref.sync import sync_to_async
from django.db.models import Model, QuerySet

from dlmsite.journal.models import LockEvent
from dlmsite.operations import concluding, planrows, turns
from dlmsite.operations.foresight import Change, Foresight, Pace, What
from dlmsite.operations.models import ChangePlan, OperatorAction
from dlmsite.operations.planrows import Draft
from dlmsite.operations.supervisor import OperationProblem, Supervisor
from dlmsite.operations.turns import Turns
from lockcore.core.view import MemberId
from tests.dlmsite.operations.conftest import FakeMaster, Sink, Start
from tests.dlmsite.operations.test_helm import at_the_helm, run_here
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

Row = TypeVar("Row", bound=Model)
N1 = Change(What.ADD, "n1", "a:1")
N2 = Change(What.ADD, "n2", "b:2")


def written(*changes: Change, pace: Pace = Pace.IN_TURN) -> list[OperatorAction]:
    """Return the requests of a plan that somebody has just committed to."""
    foresight = Foresight([], changes, pace)
    nodes = [{"address": a, "label": a, "before": False, "after": True} for a in foresight.after.servers]
    plan = planrows.commit(Draft(7, pace, changes, {"nodes": nodes}, [], 0), "ada")
    return planrows.actions_of(plan)


def end(action: OperatorAction, state: str = "done") -> None:
    OperatorAction.objects.filter(pk=action.pk).update(state=state)


async def test_a_wave_waits_until_the_one_before_has_ended_and_settled(
    master: FakeMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await sync_to_async(written)(N1, N2)
    looks = 0
    busy_ms: int | None = 700

    def stabilising_ms() -> int | None:
        nonlocal looks
        looks += 1
        return busy_ms

    monkeypatch.setattr(master, "stabilising_ms", stabilising_ms)
    gate = Turns(master, run_here)
    await gate.wait(first)
    waiting = asyncio.create_task(gate.wait(second))
    await sync_to_async(end)(first)
    gate.ended()
    await until(lambda: looks > 2)
    assert not waiting.done()
    busy_ms = None
    await waiting


async def test_together_nobody_waits_for_the_ring_to_settle(master: FakeMaster) -> None:
    """The master itself publishes no join before it has."""
    kill, add = await sync_to_async(written)(Change(What.KILL, "n1", "a:1"), N2, pace=Pace.TOGETHER)
    await sync_to_async(end)(kill)
    master.settled = False
    await Turns(master, run_here).wait(add)


async def test_after_a_failure_the_rest_of_a_plan_is_not_done(master: FakeMaster) -> None:
    first, second = await sync_to_async(written)(N1, N2)
    await sync_to_async(end)(first, "failed")
    with pytest.raises(OperationProblem, match="not done: add n1 of the same plan has failed"):
        await Turns(master, run_here).wait(second)


async def test_a_ring_that_never_settles_ends_the_wait(master: FakeMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SETTLE_S", 0.1)
    first, second = await sync_to_async(written)(N1, N2)
    await sync_to_async(end)(first)
    master.settled = False
    with pytest.raises(OperationProblem, match="has not settled within"):
        await Turns(master, run_here).wait(second)


async def plan_or_action(rows: QuerySet[Row]) -> Row:
    """Return the row that matches, as soon as one does."""
    async with asyncio.timeout(30):
        while True:
            found = await rows.afirst()
            if found is not None:
                return found
            await asyncio.sleep(0.02)


@pytest.fixture
async def helm(supervise: Start, master: FakeMaster, sink: Sink, tmp_path: Path) -> AsyncIterator[Supervisor]:
    async with at_the_helm(supervise(), master, sink, tmp_path) as supervisor:
        yield supervisor


@pytest.mark.parametrize("pace", Pace)
async def test_the_helm_carries_a_plan_out_and_writes_down_what_came_of_it(
    helm: Supervisor, monkeypatch: pytest.MonkeyPatch, pace: Pace
) -> None:
    """Each node gets the label that was planned, and the ring that came is compared with the one foreseen."""
    monkeypatch.setattr(concluding, "RECORD_S", 0.0)  # stand-ins record nothing
    monkeypatch.setattr(concluding, "LEFTOVERS_S", 0.0)
    plans = [helm.plan.address(label) for label in ("n1", "n2")]
    await sync_to_async(written)(Change(What.ADD, "n1", plans[0]), Change(What.ADD, "n2", plans[1]), pace=pace)
    plan = await plan_or_action(ChangePlan.objects.filter(happened__isnull=False))
    assert sorted(helm.seats) == ["n1", "n2"]
    assert (plan.happened["missing"], plan.happened["unforeseen"]) == ([], [])
    assert (plan.happened["view"], plan.happened["complete"]) == ("7", False)


async def test_a_plan_whose_site_ended_is_concluded_by_the_next_one(
    supervise: Start, master: FakeMaster, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concluding, "RECORD_S", 0.0)
    monkeypatch.setattr(concluding, "LEFTOVERS_S", 0.0)
    first, second = await sync_to_async(written)(N1, N2)
    await sync_to_async(end)(first, "running")
    await sync_to_async(end)(second, "failed")
    master.join(MemberId("a:1", 5))
    async with at_the_helm(supervise(), master, sink, tmp_path):
        plan = await plan_or_action(ChangePlan.objects.filter(happened__isnull=False))
    assert plan.happened["missing"] == ["b:2"]


async def test_a_node_that_somebody_else_has_added_meanwhile_is_not_taken_for_ours(helm: Supervisor) -> None:
    helm.know("n1", "stopped")
    await sync_to_async(written)(Change(What.ADD, "n1", helm.plan.address("n1")))

    action = await plan_or_action(OperatorAction.objects.filter(state="failed"))
    assert action.detail == "n1 has been added by somebody else meanwhile"


def settled(*nodes: str, view: int = 7) -> None:
    for i, node in enumerate(nodes):
        LockEvent.objects.create(source=node, incarnation=1, number=view * 10 + i, wall_ns=1, kind="settled", view=view)


def test_the_record_is_whole_when_each_living_node_is_seen_to_have_settled_in_that_view() -> None:
    settled("a:1", "b:2", view=6)
    settled("a:1")
    assert not planrows.recorded_settled(7, ["a:1", "b:2"])
    settled("b:2")
    assert planrows.recorded_settled(7, ["a:1", "b:2"])
    assert planrows.recorded_settled(7, [])
