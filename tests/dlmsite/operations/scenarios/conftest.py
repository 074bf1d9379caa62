"""A helm over stand-in nodes, rows that say that all is well, and hands that hold no real lock."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dlmsite.journal.models import MasterSight, Node, RingVersion
from dlmsite.operations import asking, requests
from dlmsite.operations.helm import Helm, Tools
from dlmsite.operations.holds import Holds
from dlmsite.operations.locks import Locks
from dlmsite.operations.models import OperatorAction, ScenarioRun
from dlmsite.operations.rehearsal import RehearsalRunner
from dlmsite.operations.scenarios import course
from dlmsite.operations.scenarios.facts import Answer, Belief
from dlmsite.operations.scenarios.runner import ScenarioRunner
from dlmsite.operations.supervisor import Supervisor
from lockcore.service.channels import Gate
from tests.dlmsite.operations.conftest import FakeMaster, Sink, Start
from tests.dlmsite.waiting import until

LABELS = ("n1", "n2", "n3")
GENERATION = 1_790_000_000_000_000_777


async def run_here(step: Callable[[], Any]) -> Any:
    return await sync_to_async(step)()


class FakeHands:
    """Holds nothing, and is told what a test wants; strangers are always refused."""

    def __init__(self) -> None:
        self.beliefs: list[Belief] = []
        self.answers: list[Answer] = []
        self.renews = True
        self.held = False
        self.key = ""
        self.challenged: list[str] = []
        self._beats: asyncio.Task[None] | None = None

    @property
    def is_locked(self) -> bool:
        return self.held

    async def take(self, key: str, owner: str) -> int:
        del owner
        self.key, self.held = key, True
        self.beliefs.append(Belief(time.time_ns(), "got", GENERATION))
        self._beats = asyncio.create_task(self._beat())
        return GENERATION

    def challenge(self, label: str, address: str) -> None:
        del address
        self.challenged.append(label)

    async def release(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
        if self.held:
            self.held = False
            self.beliefs.append(Belief(time.time_ns(), "released", GENERATION))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            now_ns = time.time_ns()
            self.answers.append(Answer(now_ns, now_ns, now_ns, "held"))
            if self.renews:
                self.beliefs.append(Belief(now_ns, "renewed", GENERATION, sent_ns=now_ns))


class NoWorkload:
    """There is none."""

    async def switch(self, *, on: bool) -> str:
        del on
        return ""


@dataclass(slots=True)
class Stage:
    """What a test has in hand."""

    runner: ScenarioRunner
    supervisor: Supervisor
    master: FakeMaster
    hands: FakeHands
    helm: asyncio.Task[None]
    made: list[FakeHands] = field(default_factory=list)

    async def try_it(self, name: str, who: str = "ada") -> OperatorAction:
        """Ask as the page does; return the action when it has ended."""
        action: OperatorAction = await sync_to_async(requests.ask)(who, "try", name)
        async with asyncio.timeout(60):
            while action.state in {"requested", "running"}:
                await asyncio.sleep(0.02)
                await action.arefresh_from_db()
        return action

    async def until_step(self, name: str) -> None:
        """Wait until a step is under way, and told."""

        async def comes() -> None:
            while True:
                row = await self.row()
                if row is not None and any(s["id"] == name and s["state"] == "running" for s in row.steps):
                    return
                await asyncio.sleep(0.02)

        async with asyncio.timeout(30):
            await comes()

    async def row(self) -> ScenarioRun | None:
        """Return the newest run."""
        row: ScenarioRun | None = await ScenarioRun.objects.order_by("-id").afirst()
        return row

    async def done(self) -> list[tuple[str, str, str]]:
        """Return (who, what, target) of every action on a node, in order."""
        rows = OperatorAction.objects.exclude(what__in=("try", "stop trying")).order_by("id")
        return [row async for row in rows.values_list("who", "what", "target")]


def tell_all_is_well(supervisor: Supervisor) -> None:
    """Write the rows that the watch would write."""
    now_ns = time.time_ns()
    for i, seat in enumerate(supervisor.seats.values()):
        Node.objects.create(label=seat.label, address=seat.address, color=i, state="up", pid=1, updated_at_ns=now_ns)
    members = [{"address": s.address, "incarnation": "1", "down": False} for s in supervisor.seats.values()]
    RingVersion.objects.create(number=7, version=7, members=members, at_ns=now_ns, settled_at_ns=now_ns)
    MasterSight.objects.create(pk=1, at_ns=now_ns + 3_600_000_000_000)
    requests.note_helm(available=False, on=False)


@pytest.fixture
async def stage(
    supervise: Start, master: FakeMaster, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """Three stand-ins that are up, and a helm."""

    async def nobody_answers(addresses: list[str], _key: str) -> dict[str, None]:
        return dict.fromkeys(addresses)

    monkeypatch.setattr(asking, "ask_keys", nobody_answers)
    monkeypatch.setattr(course, "WHOLE_S", 0)
    monkeypatch.setattr(requests, "PRESENT_NS", 3_600_000_000_000)
    supervisor, hands = supervise(), FakeHands()
    world = course.World(supervisor, master, run_here, lambda _targets, _ttl_s: hands)
    runner, gate = ScenarioRunner(world, lambda: None), Gate(b"secret")
    tools = Tools(
        NoWorkload(),
        Holds(supervisor, gate, run_here),
        RehearsalRunner(tmp_path, supervisor.logs, run_here, lambda: None),
        Locks(master, gate),
        runner,
    )
    helm = asyncio.create_task(Helm(supervisor, master, tools, sink, run_here).run())
    joining = asyncio.create_task(_join(supervisor, master))
    for label in LABELS:
        supervisor.start(label)
    await until(lambda: master.view and len(master.view.up) == len(LABELS), "the stand-ins to join")
    await sync_to_async(tell_all_is_well)(supervisor)
    yield Stage(runner, supervisor, master, hands, helm)
    for task in (helm, joining):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    await hands.release()


async def _join(supervisor: Supervisor, master: FakeMaster) -> None:
    while True:
        for seat in supervisor.seats.values():
            if seat.alive and (member := supervisor.member_of(seat)):
                master.join(member)
        await asyncio.sleep(0.01)


Ask = Callable[..., Awaitable[OperatorAction]]
