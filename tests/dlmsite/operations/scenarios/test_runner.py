"""A scenario acts by operators' actions, and puts everything back however it ends."""

import asyncio

import pytest
from asgiref.sync import sync_to_async

from dlmsite.journal.models import RingVersion
from dlmsite.operations import helm as helm_module
from dlmsite.operations.models import OperatorAction, ScenarioRun
from dlmsite.operations.procs import is_stopped
from dlmsite.operations.scenarios import rows
from dlmsite.operations.supervisor import Seat
from tests.dlmsite.operations.scenarios.conftest import LABELS, Stage
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def runs(seat: Seat) -> bool:
    return seat.alive and seat.process is not None and not is_stopped(seat.process.identity)


def all_run(stage: Stage) -> bool:
    return all(runs(stage.supervisor.seats[label]) for label in LABELS)


async def the_run(stage: Stage) -> ScenarioRun:
    row = await stage.row()
    assert row is not None
    return row


async def test_a_scenario_goes_through_its_steps_by_actions_in_the_name_of_who_tries(stage: Stage) -> None:
    action = await stage.try_it("kill-primary")
    row = await the_run(stage)
    assert [(step["id"], step["state"]) for step in row.steps] == [
        (step, "done") for step in ("take", "kill", "renew", "back", "release")
    ]
    victim = row.cast["primary"]
    assert await stage.done() == [("ada", "kill", victim), ("ada", "restart", victim)]
    assert row.steps[1]["says"] == f"Kill {victim}, which serves it (SIGKILL)"
    assert (action.state, action.detail) == ("done", row.detail)
    assert (row.ended_by_it, row.before, row.generation > 0) == ([], list(LABELS), True)
    assert all_run(stage)
    assert not stage.hands.held


async def test_what_was_not_recorded_is_not_known(stage: Stage) -> None:
    """These stand-ins tell nothing of locks: nothing may be claimed of them."""
    await stage.try_it("kill-primary")
    row = await the_run(stage)
    results = {expected["id"]: expected["result"] for expected in row.expects}
    assert (row.state, results["belief"], results["renewable"]) == ("unknown", "kept", "kept")
    assert {results[name] for name in ("backup", "generation", "home", "nobody")} == {"unknown"}
    assert row.detail == "3 of 8 as expected, 5 not known"


async def test_both_nodes_of_a_lock_are_killed_in_one_moment(stage: Stage) -> None:
    """One after the other would be two failovers, and nothing would be lost."""
    await stage.try_it("kill-both")
    kills = [row async for row in OperatorAction.objects.filter(what="kill").order_by("id")]
    assert {kill.target for kill in kills} == set((await the_run(stage)).cast.values())
    first, second = kills
    assert first.ended_at_ns is not None
    assert second.started_at_ns is not None
    assert second.started_at_ns < first.ended_at_ns
    assert all_run(stage)


async def test_a_scenario_that_is_cancelled_puts_everything_back(stage: Stage) -> None:
    stage.hands.renews = False
    trying = asyncio.create_task(stage.try_it("kill-both"))
    await stage.until_step("renew")
    assert not all_run(stage)
    assert await stage.runner.cancel() == "cancelled; everything is put back"
    await trying
    row = await the_run(stage)
    assert (row.state, row.detail) == ("cancelled", "cancelled; everything is put back")
    assert {step["id"]: step["state"] for step in row.steps}["back"] == "waiting"
    assert all_run(stage)
    assert not stage.hands.held
    assert await stage.runner.cancel() == "nothing was being tried"


async def test_a_node_that_stands_still_is_woken_when_it_is_cancelled(stage: Stage) -> None:
    trying = asyncio.create_task(stage.try_it("freeze"))
    await stage.until_step("out")  # this master never marks it down
    victim = stage.supervisor.seats[(await the_run(stage)).cast["primary"]]
    await until(lambda: not runs(victim))
    await stage.runner.cancel()
    await trying
    assert all_run(stage)
    assert [what for _, what, _ in await stage.done()] == ["pause", "resume"]


async def test_there_is_one_at_a_time(stage: Stage) -> None:
    stage.hands.renews = False
    trying = asyncio.create_task(stage.try_it("kill-primary"))
    await stage.until_step("renew")
    for name in ("drop-join", "kill-primary"):
        again = await stage.try_it(name, "eve")
        assert (again.state, again.detail) == ("failed", "one at a time: another one is under way")
    await stage.runner.cancel()
    await trying
    assert await ScenarioRun.objects.acount() == 1


async def test_a_site_that_ends_releases_the_lock_and_starts_nothing(stage: Stage) -> None:
    stage.hands.renews = False
    trying = asyncio.create_task(stage.try_it("kill-primary"))
    await stage.until_step("renew")
    await stage.runner.stop()
    assert not stage.hands.held
    row = await the_run(stage)
    assert (row.state, row.detail.startswith("the site was stopped; the lock was released")) == ("cancelled", True)
    assert [what for _, what, _ in await stage.done()] == ["kill"]
    await trying
    late = await stage.try_it("kill-primary")
    assert late.detail == "the site is stopped"


async def test_the_next_site_starts_again_what_a_crashed_one_had_ended(stage: Stage) -> None:
    stage.hands.renews = False
    trying = asyncio.create_task(stage.try_it("kill-primary"))
    await stage.until_step("renew")
    victim = (await the_run(stage)).cast["primary"]
    stage.helm.cancel()  # and nobody says a word
    await asyncio.wait({trying}, timeout=0.2)
    trying.cancel()
    row = await the_run(stage)
    assert (row.state, row.ended_by_it) == ("running", [victim])
    await stage.runner.put_back_leftovers()
    row = await the_run(stage)
    assert (row.state, row.detail) == ("cancelled", rows.CRASHED)
    asked = await OperatorAction.objects.filter(what="restart").aget()
    assert (asked.who, asked.target, asked.state) == ("ada", victim, "requested")


async def test_a_step_that_cannot_be_done_ends_it_and_puts_everything_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helm_module, "KILL_S", 0.3)
    stage.master.buries = False
    action = await stage.try_it("kill-primary")
    row = await the_run(stage)
    assert (action.state, row.state) == ("failed", "failed")
    assert "the master has not taken it out of the ring" in row.detail
    assert {step["id"]: step["state"] for step in row.steps}["kill"] == "failed"
    assert all_run(stage)
    assert not stage.hands.held


async def test_nothing_is_begun_while_the_cluster_settles(stage: Stage) -> None:
    """The page refuses as well; between its look and this one the cluster may have changed."""
    await sync_to_async(RingVersion.objects.update)(settled_at_ns=None)
    action = await stage.try_it("kill-primary")
    assert action.detail == ("The cluster is settling (locks are on their way to their nodes). Try again in a moment.")
    assert await stage.row() is None
    assert (await stage.try_it("fly")).detail.startswith("there is no scenario 'fly'; there are kill-primary, ")


async def test_what_others_do_meanwhile_is_told(stage: Stage) -> None:
    stage.hands.renews = False
    trying = asyncio.create_task(stage.try_it("kill-primary"))
    await stage.until_step("renew")
    cast = set((await the_run(stage)).cast.values())
    (other,) = set(LABELS) - cast
    asked = await sync_to_async(OperatorAction.objects.create)(
        who="eve", what="restart", target=other, requested_at_ns=1
    )
    async with asyncio.timeout(20):
        while asked.state != "done":
            await asked.arefresh_from_db()
    stage.hands.renews = True
    await trying
    assert (await the_run(stage)).others == [f"eve: restart {other}"]
