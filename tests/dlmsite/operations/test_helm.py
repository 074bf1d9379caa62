"""Actions are carried out, and done only when the master shows it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dlmsite.operations import helm as helm_module
from dlmsite.operations import requests
from dlmsite.operations.helm import Helm, Tools
from dlmsite.operations.holds import Holds
from dlmsite.operations.locks import Locks
from dlmsite.operations.models import OperatorAction
from dlmsite.operations.rehearsal import RehearsalRunner
from dlmsite.operations.scenarios.course import World
from dlmsite.operations.scenarios.hands import ClientHands
from dlmsite.operations.scenarios.runner import ScenarioRunner
from dlmsite.operations.supervisor import OperationProblem, Supervisor
from lockcore.service.channels import Gate
from tests.dlmsite.operations.conftest import FakeMaster, Sink, Start
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


class FakeWorkload:
    """A switch without a workload."""

    def __init__(self) -> None:
        self.on = False

    async def switch(self, *, on: bool) -> str:
        if on == self.on:
            raise OperationProblem("it is so already")
        self.on = on
        return "switched"


async def run_here(step: Callable[[], Any]) -> Any:
    return await sync_to_async(step)()


Act = Callable[..., Any]


def tools(supervisor: Supervisor, tmp_path: Path, master: FakeMaster) -> Tools:
    """The real ones, but for the workload."""
    gate = Gate(b"secret")
    rehearsal = RehearsalRunner(tmp_path, supervisor.logs, run_here, lambda: None)
    scenarios = ScenarioRunner(World(supervisor, master, run_here, ClientHands), lambda: None)
    return Tools(FakeWorkload(), Holds(supervisor, gate, run_here), rehearsal, Locks(master, gate), scenarios)


@pytest.fixture
def supervisor(supervise: Start) -> Supervisor:
    return supervise()


@asynccontextmanager
async def at_the_helm(
    supervisor: Supervisor, master: FakeMaster, sink: Sink, tmp_path: Path
) -> AsyncIterator[Supervisor]:
    """Let a helm work. Stand-ins join as soon as they run."""
    helm = Helm(supervisor, master, tools(supervisor, tmp_path, master), sink, run_here)
    running = asyncio.create_task(helm.run())

    async def join() -> None:
        while True:
            for seat in supervisor.seats.values():
                if seat.alive and (member := supervisor.member_of(seat)):
                    master.join(member)
            await asyncio.sleep(0.01)

    joining = asyncio.create_task(join())
    yield supervisor
    for task in (running, joining):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def act(supervisor: Supervisor, master: FakeMaster, sink: Sink, tmp_path: Path) -> AsyncIterator[Act]:
    """Asks for an action and returns its row when it has ended."""

    async def ask(what: str, target: str = "", who: str = "ada", **options: object) -> OperatorAction:
        action = await requests_ask(who, what, target, **options)
        async with asyncio.timeout(20):
            while action.state in {"requested", "running"}:
                await asyncio.sleep(0.02)
                await action.arefresh_from_db()
        return action

    async with at_the_helm(supervisor, master, sink, tmp_path):
        yield ask


async def requests_ask(who: str, what: str, target: str, **options: object) -> OperatorAction:
    row: OperatorAction = await sync_to_async(requests.ask)(who, what, target, options=options)
    return row


async def test_an_added_node_gets_the_next_label_and_is_done_when_it_has_joined(
    act: Act, supervisor: Supervisor
) -> None:
    action = await act("add")
    assert (action.state, action.target) == ("done", "n1")
    assert "has joined in view 7" in action.detail
    assert supervisor.seats["n1"].alive


async def test_a_killed_node_is_out_of_the_ring_when_the_action_is_done(
    act: Act, supervisor: Supervisor, master: FakeMaster
) -> None:
    await act("add")
    action = await act("kill", "n1")
    assert action.state == "done"
    assert "was killed; out of the ring in view 7" in action.detail
    assert master.deaths == [supervisor.seats["n1"].member]


async def test_a_kill_that_the_master_does_not_show_has_failed(
    act: Act, master: FakeMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page never claims a result that it has not seen."""
    monkeypatch.setattr(helm_module, "KILL_S", 0.3)
    master.buries = False
    await act("add")
    action = await act("kill", "n1")
    assert action.state == "failed"
    assert "the master has not taken it out of the ring" in action.detail


async def test_a_stopped_node_can_be_started_again(act: Act, supervisor: Supervisor) -> None:
    await act("add")
    assert (await act("stop", "n1")).state == "done"
    before = supervisor.seats["n1"].member
    assert (await act("restart", "n1")).state == "done"
    after = supervisor.seats["n1"].member
    assert before is not None
    assert after is not None
    assert before.incarnation < after.incarnation


async def test_what_cannot_be_done_says_why(act: Act) -> None:
    assert (await act("kill", "n5")).detail == "n5 is not running"
    assert (await act("restart", "n5")).detail == "there is no node n5"
    assert (await act("fly", "n5")).detail == "'fly' is nothing that can be done"


async def test_a_node_that_ends_at_once_fails_with_its_last_words(
    supervise: Start, master: FakeMaster, sink: Sink, tmp_path: Path
) -> None:
    supervisor = supervise("fails")
    helm = Helm(supervisor, master, tools(supervisor, tmp_path, master), sink, run_here)
    running = asyncio.create_task(helm.run())
    action = await requests_ask("ada", "add", "")
    async with asyncio.timeout(20):
        while action.state != "failed":
            await action.arefresh_from_db()
    running.cancel()
    assert action.detail == "n1 ended at once (exit code 3): the disk of this node is made of cheese"


async def test_a_node_that_does_not_join_in_time_has_failed(
    supervise: Start, master: FakeMaster, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helm_module, "JOIN_S", 0.3)
    supervisor = supervise()
    helm = Helm(supervisor, master, tools(supervisor, tmp_path, master), sink, run_here)
    running = asyncio.create_task(helm.run())
    action = await requests_ask("ada", "add", "")
    async with asyncio.timeout(20):
        while action.state != "failed":
            await action.arefresh_from_db()
    running.cancel()
    assert "has not joined the ring within" in action.detail


async def test_the_workload_is_switched(act: Act) -> None:
    assert (await act("workload", "on")).detail == "switched"
    assert (await act("workload", "on")).state == "failed"
    assert (await act("workload", "off")).state == "done"


async def test_a_node_that_stands_still_is_neither_stopped_nor_restarted(act: Act) -> None:
    """It could not say goodbye; killing it works."""
    await act("add")
    paused = await act("pause", "n1", seconds=None)
    assert (paused.state, "stands still" in paused.detail) == ("done", True)
    for what in ("stop", "restart"):
        assert (await act(what, "n1")).detail == "n1 is paused: resume it first"
    assert (await act("kill", "n1")).state == "done"
    assert (await act("resume", "n1")).detail == "n1 is not paused"


async def test_every_action_is_told_as_events_of_the_site(act: Act, sink: Sink) -> None:
    await act("kill", "n5", who="grace")
    await until(lambda: len(sink.batches) == 2)
    told = [event for batch in sink.batches for event in batch.events]
    assert [event.number for event in told] == [1, 2]
    assert [event.event.detail for event in told] == [
        "grace: kill n5 requested",
        "grace: kill n5 failed: n5 is not running",
    ]
    assert {batch.source for batch in sink.batches} == {"site"}


async def test_an_action_says_which_views_may_have_come_of_it(act: Act, supervisor: Supervisor, sink: Sink) -> None:
    """Action -> view -> locks moved: the row has the first link, and the events of the site point at the row."""
    added = await act("add")
    assert (added.address, added.view_from, added.view_to) == (supervisor.seats["n1"].address, 7, 7)
    await until(lambda: len(sink.batches) == 2)
    told = [event.event for batch in sink.batches for event in batch.events]
    assert {(event.seq, event.view, event.version) for event in told} == {(added.pk, 7, 7)}
    failed = await act("kill", "n9")
    assert (failed.address, failed.view_from) == ("", 7)
