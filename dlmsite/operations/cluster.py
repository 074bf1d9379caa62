"""The parts of `manage.py up`, put together: master, recorder, supervisor, helm.

Everything runs in the event loop that Daphne serves the page with.

    start: recorder -> master -> adopt nodes and holds, start those that are missing -> helm, watch -> workload
    stop:  workload, rehearsal, scenario -> helm -> holds -> close the cluster -> end the nodes -> master -> recorder

Invariants
  C1  A start that fails lets adopted nodes go on; only `stop` ends the cluster.
Elsewhere: the command (management/commands/up), each part in its module.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final

from dlmsite.environment import PROJECT_DIR
from dlmsite.journal.models import Node
from dlmsite.journal.recorder import Recorder
from dlmsite.observing.observer import Observatory
from dlmsite.operations import rehearsalrows, requests
from dlmsite.operations.helm import Helm, Tools
from dlmsite.operations.holds import Holds
from dlmsite.operations.locks import Locks
from dlmsite.operations.rehearsal import RehearsalRunner
from dlmsite.operations.scenarios.course import World
from dlmsite.operations.scenarios.hands import ClientHands
from dlmsite.operations.scenarios.runner import ScenarioRunner
from dlmsite.operations.seats import Plan, index_of
from dlmsite.operations.supervisor import OperationProblem, Supervisor
from dlmsite.operations.watch import Watch
from dlmsite.operations.workload import WorkloadProcess
from lockcore.service.channels import Gate
from lockcore.service.master_server import MasterServer
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.wire.addresses import grpc_target

log = logging.getLogger(__name__)

JOURNAL_NAME: Final = "master.json"
CLOSE_S: Final = 5.0
"""For every node to stop serving and to say so."""
ALONE_S: Final = 3.0
"""For nodes that said farewell to end by themselves."""
END_S: Final = 8.0
"""For their processes to end after SIGTERM; then SIGKILL."""


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What `manage.py up` was asked for."""

    data: Path
    plan: Plan
    nodes: int
    workload: bool


class Cluster:
    """A whole cluster in this process and its children."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self.recorder = Recorder()
        secret = load_or_create_secret(settings.data / FILE_NAME)
        self.master = MasterServer(
            target=settings.plan.master_target,
            journal=settings.data / JOURNAL_NAME,
            secret=secret,
            sink=self.recorder,
        )
        self.supervisor = Supervisor(settings.data, settings.plan, self.master, self.recorder)
        self.workload = WorkloadProcess(self.supervisor.logs, workload_command(settings.data, self.supervisor))
        self.watch = Watch(self.recorder, self.master, self.supervisor, also=self._note_helm)
        self.supervisor.on_change = self.watch.poke
        self.holds = Holds(self.supervisor, Gate(secret), self.recorder.run)
        self.rehearsal = RehearsalRunner(settings.data, self.supervisor.logs, self.recorder.run, self.recorder.hint)
        world = World(self.supervisor, self.master, self.recorder.run, ClientHands)
        self.scenarios = ScenarioRunner(world, self.recorder.hint)
        tools = Tools(self.workload, self.holds, self.rehearsal, Locks(self.master, Gate(secret)), self.scenarios)
        self.observatory = Observatory(self.recorder.run)
        self._helm = Helm(self.supervisor, self.master, tools, self.recorder, self.recorder.run)
        self._tasks: list[asyncio.Task[None]] = []
        self._serving = False

    async def start(self) -> list[str]:
        """Start everything; return what could not be started, in words.

        Raises:
            ServiceProblem: the master's port is taken.
            OperationProblem: not one node could be started, or others' nodes are in the way.
        """
        self.supervisor.refuse_strangers()
        self.recorder.start()
        await self.master.start()
        known = await self.recorder.run(lambda: list(Node.objects.values_list("label", "state")))
        adopted = self.supervisor.adopt()
        if adopted:
            log.info("took over %s", ", ".join(adopted))
        await self.holds.adopt()
        await self.recorder.run(rehearsalrows.abandon)
        for label, state in known:
            if index_of(label) is not None:
                self.supervisor.know(label, state)
        problems = self._start_missing()
        if not any(seat.alive for seat in self.supervisor.seats.values()):
            raise OperationProblem("no node could be started: " + "; ".join(problems))
        await self.scenarios.put_back_leftovers()
        self._serving = True
        self._background(self._helm.run())
        self._background(self.watch.run())
        self._background(self.observatory.watch())
        if self._settings.workload and self.workload.available:
            self._background(self._start_workload())
        return problems

    def _start_missing(self) -> list[str]:
        problems = []
        for index in range(1, self._settings.nodes + 1):
            seat = self.supervisor.seats.get(f"n{index}")
            if seat is not None and seat.alive:
                continue
            try:
                self.supervisor.start(f"n{index}")
            except OperationProblem as problem:
                problems.append(str(problem))
        return problems

    async def _start_workload(self) -> None:
        """Begin once there is something to lock."""
        deadline = time.monotonic() + 30
        while not self.master.settled and time.monotonic() < deadline:  # noqa: ASYNC110 - once, and nobody waits
            await asyncio.sleep(0.1)
        try:
            await self.workload.switch(on=True)
        except OperationProblem as problem:
            log.warning("%s", problem)

    async def stop(self) -> None:
        """End the cluster and all its processes."""
        if not self._serving:
            await self.abandon()
            return
        await self.workload.stop()
        await self._quietly(self.rehearsal.stop())
        await self._quietly(self.scenarios.stop())
        await self._cancel_tasks()
        await self._quietly(self.holds.release_all())
        closed = False
        with suppress(Exception):  # whatever it is, the processes are to end
            closed = await self.master.close_cluster(CLOSE_S)
        await self.supervisor.end_all(ALONE_S if closed else 0, END_S)
        await self._quietly(self.watch.look())
        await self.master.stop()
        await self._quietly(self.recorder.run(self.recorder.writer.drop_all_held))
        await self.recorder.stop()

    def kill_all(self) -> None:
        """End the nodes at once; `stop`, which waits for them, then comes to its end."""
        for seat in self.supervisor.seats.values():
            if seat.process is not None:
                seat.process.send(SIGKILL)

    async def abandon(self) -> None:
        """Give up a start that failed; nodes go on (C1)."""
        self.holds.let_go()
        self.supervisor.let_go()
        await self._cancel_tasks()
        await self._quietly(self.master.stop())
        await self.recorder.stop()

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _quietly(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - at the end, the rest is still to be ended
            log.warning("while stopping: %s", error)

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_tell_if_it_failed)
        self._tasks.append(task)

    def _note_helm(self) -> None:
        requests.note_helm(available=self.workload.available, on=self.workload.on)


def workload_command(data: Path, supervisor: Supervisor) -> Callable[[], Sequence[str]] | None:
    """Return what makes the command line of `manage.py workload`; None if there is no such command."""
    if not (PROJECT_DIR / "dlmsite/operations/management/commands/workload.py").exists():
        return None
    manage = [sys.executable, str(PROJECT_DIR / "manage.py"), "workload", "--data", str(data)]

    def command() -> list[str]:
        living = [grpc_target(seat.address) for seat in supervisor.seats.values() if seat.alive]
        return [*manage, "--target", ",".join(living)]

    return command


def _tell_if_it_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a part of the site has failed: restart it", exc_info=task.exception())
