"""The supervisor: starts node processes, notices their end at once, and takes them over after a crash of the site.

A node is a session of its own with its output in a file, so neither Ctrl-C in the site's terminal nor a broken pipe
reaches it: it outlives us, unless we end it.

Invariants
  S1  A node is never started again by itself: an operator asked for every start.
  S2  The end of a node is reported to the master before anything else is done about it.
  S3  What a node had spooled is recorded after its end, whenever that was.
  S4  Only processes that the registry proves to be ours are signalled.
Elsewhere: what operators ask for (helm), which processes are ours (registry), dead nodes' spools (leftovers).
"""

import asyncio
import errno
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Final

from dlmsite.environment import PROJECT_DIR
from dlmsite.operations.leftovers import Leftovers
from dlmsite.operations.logfiles import NodeLogs
from dlmsite.operations.ports import EventSink, Master
from dlmsite.operations.procs import WatchedProcess
from dlmsite.operations.registry import NodeRecord, Registry
from dlmsite.operations.seats import Plan
from lockcore.core.view import MemberId

log = logging.getLogger(__name__)

KILL_WITHIN_S: Final = 5.0
"""The kernel takes a moment to end a process after SIGKILL."""


class OperationProblem(Exception):  # noqa: N818 - for the operator to read, not a bug
    """It cannot be done. The text says why, for the page."""


@dataclass(slots=True)
class Seat:
    """A place on the ring that a node of ours has, or had.

    Attributes:
        started_ns: wall clock at the start of its process; incarnations below it are earlier lives.
        member: the incarnation of the process, as soon as it is known; stays after the end, until the next start.
        ended_as: "stopped" or "killed"; counts while no process runs.
    """

    label: str
    address: str
    process: WatchedProcess | None = None
    started_ns: int = 0
    member: MemberId | None = None
    ended_as: str = "stopped"
    killed_by_us: bool = False

    @property
    def alive(self) -> bool:
        """Whether a process runs there."""
        return self.process is not None and not self.process.exited.is_set()


Command = Callable[[Seat, Plan, Path], Sequence[str]]


def node_command(seat: Seat, plan: Plan, data: Path) -> list[str]:
    """Return the command line of a node."""
    return [
        sys.executable, str(PROJECT_DIR / "manage.py"), "node", "--address", seat.address,
        "--master", plan.master_target, "--data", str(data), "--label", seat.label,
    ]  # fmt: skip


class Supervisor:
    """The node processes of one data folder.

    Args:
        data: the data folder.
        plan: addresses and ports.
        master: hears of deaths, knows incarnations.
        sink: takes the events that dead nodes left behind.
        command: makes the command line of a node; for tests.
    """

    def __init__(
        self, data: Path, plan: Plan, master: Master, sink: EventSink, command: Command = node_command
    ) -> None:
        self.plan = plan
        self.seats: dict[str, Seat] = {}
        self.logs = NodeLogs(data)
        self.on_change: Callable[[], None] = lambda: None
        self._data = data
        self._master = master
        self._command = command
        self._registry = Registry(data)
        self._leftovers = Leftovers(data, sink)
        self._watches: set[asyncio.Task[None]] = set()
        self._ending = False

    # --- adopting ---------------------------------------------------------------------------------------------------

    def refuse_strangers(self) -> None:
        """Look before anything is started whether nodes of another master run in this folder.

        Raises:
            OperationProblem: so it is.
        """
        strangers = [record for record in self._registry.peek() if record.master != self.plan.master_target]
        if strangers:
            raise OperationProblem(
                f"nodes of this data folder are running for the master at {strangers[0].master} (pid "
                f"{', '.join(str(record.pid) for record in strangers)}): use the same --port as before, or end them"
            )

    def adopt(self) -> list[str]:
        """Take over what runs already; report what has died meanwhile. Return the labels taken over."""
        living, gone = self._registry.read()
        for record in living:
            with suppress(OSError):  # it ended this moment
                self._watch(self._seat(record.label), WatchedProcess(record.process), record.started_ns)
        for record in gone:
            for status in self._master.members():
                if status.address == record.address:
                    self._master.report_death(MemberId(status.address, status.incarnation))
        self._spawn_task(self._record_leftovers())
        return [label for label, seat in self.seats.items() if seat.alive]

    def know(self, label: str, state: str) -> None:
        """Remember a label of an earlier time: it can be started again, and is not given to another."""
        seat = self._seat(label)
        if not seat.alive and state in {"killed", "stopped"}:
            seat.ended_as = state

    # --- starting and ending ----------------------------------------------------------------------------------------

    def start(self, label: str) -> Seat:
        """Start a node at its address, as a new incarnation.

        Raises:
            OperationProblem: it runs already, its port is taken, or it cannot be started.
        """
        seat = self._seat(label)
        if self._ending:
            raise OperationProblem("the site is being stopped")
        if seat.alive:
            raise OperationProblem(f"{label} is running already")
        check_port(self.plan.host, self.plan.grpc_port(label))
        started_ns = time.time_ns()
        try:
            child = self._popen(seat)
        except OSError as error:
            raise OperationProblem(f"{label} cannot be started: {error.strerror or error}") from error
        try:
            process = WatchedProcess.of_child(child)
            ticks = process.identity.start_ticks
            target = self.plan.master_target
            self._registry.put(NodeRecord(label, seat.address, target, child.pid, ticks, started_ns))
        except OSError as error:  # without a record it could never be adopted
            child.kill()
            child.wait()
            raise OperationProblem(f"{label} cannot be started: {error.strerror or error}") from error
        self._watch(seat, process, started_ns)
        return seat

    def send(self, label: str, which: Signals) -> Seat:
        """Signal a node: SIGKILL ends it, SIGTERM asks it to hand over and leave.

        Raises:
            OperationProblem: it does not run.
        """
        seat = self.seats.get(label)
        if seat is None or seat.process is None or not seat.alive:
            raise OperationProblem(f"{label} is not running")
        seat.killed_by_us = seat.killed_by_us or which is SIGKILL
        seat.process.send(which)
        return seat

    async def end_all(self, alone_s: float, within_s: float) -> None:
        """See every node end: by itself within `alone_s`, by SIGTERM within `within_s`, by SIGKILL."""
        self._ending = True
        for which, timeout_s in ((None, alone_s), (SIGTERM, within_s), (SIGKILL, KILL_WITHIN_S)):
            left = [seat.process for seat in self.seats.values() if seat.process is not None and seat.alive]
            waits = [asyncio.create_task(process.exited.wait()) for process in left]
            for process in left:
                if which is not None:
                    process.send(which)
            if waits:
                await asyncio.wait(waits, timeout=timeout_s)
            for wait in waits:
                wait.cancel()
        if self._watches:  # their last events are to be recorded (S3)
            await asyncio.wait(self._watches, timeout=KILL_WITHIN_S)

    def let_go(self) -> None:
        """Stop watching; the nodes go on."""
        for task in self._watches:
            task.cancel()
        for seat in self.seats.values():
            if seat.process is not None:
                seat.process.forget()

    def _popen(self, seat: Seat) -> subprocess.Popen[bytes]:
        with self.logs.open_new(seat.label) as output:
            return subprocess.Popen(  # noqa: S603 - our own program
                self._command(seat, self.plan, self._data),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    # --- watching ---------------------------------------------------------------------------------------------------

    def _seat(self, label: str) -> Seat:
        return self.seats.setdefault(label, Seat(label, self.plan.address(label)))

    def _watch(self, seat: Seat, process: WatchedProcess, started_ns: int) -> None:
        seat.process, seat.started_ns, seat.member, seat.killed_by_us = process, started_ns, None, False
        self._spawn_task(self._await_end(seat, process))

    def _spawn_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)

    async def _await_end(self, seat: Seat, process: WatchedProcess) -> None:
        await process.exited.wait()
        member = self.member_of(seat)
        if member is not None:
            self._master.report_death(member)  # S2
        seat.ended_as = "killed" if seat.killed_by_us or (process.exit_code or 0) < 0 else "stopped"
        self._registry.remove(seat.label)
        log.info("%s (pid %d) has ended: %s", seat.label, process.pid, describe_end(seat))
        self.on_change()
        await self._record_leftovers()

    async def _record_leftovers(self) -> None:
        living = [seat for seat in self.seats.values() if seat.alive]
        members = {seat.label: self.member_of(seat) for seat in living}
        # A process that has not shown yet who it is can only be younger than its start: earlier files are others'.
        first = {
            seat.label: member.incarnation if (member := members[seat.label]) else seat.started_ns for seat in living
        }
        await self._leftovers.record(first)

    def member_of(self, seat: Seat) -> MemberId | None:
        """Return which incarnation the seat's process is, or was; None while nobody can know."""
        if seat.member is None and seat.process is not None:
            known = [s.incarnation for s in self._master.members() if s.address == seat.address]
            known += self._leftovers.incarnations(seat.label)
            own = [incarnation for incarnation in known if incarnation >= seat.started_ns]
            seat.member = MemberId(seat.address, max(own)) if own else None
        return seat.member


def describe_end(seat: Seat) -> str:
    """Say how the seat's process ended."""
    code = seat.process.exit_code if seat.process is not None else None
    if code is None:
        return "killed" if seat.killed_by_us else "how is unknown, it was adopted"
    return f"signal {Signals(-code).name}" if code < 0 else f"exit code {code}"


def check_port(host: str, port: int) -> None:
    """Say clearly that somebody else listens there, before a node fails of it.

    Raises:
        OperationProblem: the port cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that linger do not matter
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "another program uses it" if taken else error.strerror
            raise OperationProblem(f"port {port} on {host} cannot be used: {why}") from error
