"""Rehearsing: `lockcore.testing.chaos` in a child process, on a cluster of its own beside the one that serves.

It has its own ports, folder and secret, so that no lock of the live cluster is touched; it runs at a lower priority.

Invariants
  T1  One at a time.
  T2  The process ends with the site, however the site ends: it watches its parent and its stdin.
  T3  What is told as its result is its own report; a process that ends without one has failed.
Elsewhere: what it does (lockcore.testing.chaos), rows (rehearsalrows), who asks (helm).
"""

import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any, Final

from dlmsite.environment import PROJECT_DIR
from dlmsite.operations import rehearsalrows
from dlmsite.operations.logfiles import NodeLogs
from dlmsite.operations.models import RehearsalState
from dlmsite.operations.ports import RunInJournal
from dlmsite.operations.procs import WatchedProcess
from dlmsite.operations.supervisor import OperationProblem

log = logging.getLogger(__name__)

SECONDS_MIN: Final = 15
SECONDS_MAX: Final = 300
NODES: Final = (3, 5)
SEED_MAX: Final = 2**31 - 1
FOLDER: Final = "rehearsal"
LABEL: Final = "rehearsal"
NICENESS: Final = 2
"""The live cluster comes first, but a rehearsal that is starved measures nothing."""
LINE_BYTES_MAX: Final = 8 * 1024 * 1024
END_S: Final = 20.0
"""To end its processes after SIGTERM."""
OVER_S: Final = 500.0
"""It bounds itself to less than this above its seconds."""

Command = Callable[[Path, int, int, int], Sequence[str]]


def chaos_command(folder: Path, seconds: int, nodes: int, seed: int) -> list[str]:
    """Return the command line of a rehearsal."""
    return [
        sys.executable, "-m", "lockcore.testing.chaos", "--progress", "--out", str(folder),
        "--seconds", str(seconds), "--nodes", str(nodes), "--seed", str(seed),
    ]  # fmt: skip


class RehearsalRunner:
    """Runs one rehearsal at a time.

    Args:
        data: the data folder; records of the last rehearsal stay in `rehearsal/` under it.
        logs: where it complains.
        run: runs a function in the journal's thread.
        changed: called when there is something new to show.
        command: makes the command line; for tests.
    """

    def __init__(
        self,
        data: Path,
        logs: NodeLogs,
        run: RunInJournal,
        changed: Callable[[], None],
        command: Command = chaos_command,
    ) -> None:
        self._folder = data / FOLDER
        self._logs = logs
        self._run = run
        self._changed = changed
        self._command = command
        self._process: WatchedProcess | None = None
        self._busy = False
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def rehearse(self, seconds: int, nodes: int, seed: int, who: str) -> str:
        """Run one to its end; return what to tell. Raises OperationProblem."""
        if self._busy:
            raise OperationProblem("a rehearsal is running already: wait for its end, or stop it")
        self._busy, self._stopping = True, False
        self._idle.clear()
        try:
            return await self._rehearse(seconds, nodes, seed, who)
        finally:
            if self._process is not None:
                self._process.send(SIGKILL)
            self._process = None
            self._busy = False
            self._idle.set()

    async def stop(self) -> str:
        """End the one that runs; return what to tell when nothing of it is left."""
        if not self._busy:
            return "no rehearsal was running"
        self._stopping = True
        if self._process is not None:
            self._process.send(SIGTERM)
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self._process.exited.wait()
            if self._process is not None:
                self._process.send(SIGKILL)
        await self._idle.wait()
        return "the rehearsal was stopped; its processes have ended"

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _rehearse(self, seconds: int, nodes: int, seed: int, who: str) -> str:
        number = await self._run(partial(rehearsalrows.begin, who, seconds, nodes, seed))
        self._changed()
        try:
            child = await asyncio.to_thread(self._start, seconds, nodes, seed)
        except OSError as error:
            why = f"the rehearsal cannot be started: {error.strerror or error}"
            return await self._end(number, RehearsalState.FAILED, why)
        self._process = WatchedProcess.of_child(child)
        last: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds + OVER_S):
                last = await self._follow(child, number)
                await self._process.exited.wait()
        except (TimeoutError, ValueError) as error:
            self._process.send(SIGKILL)
            await self._process.exited.wait()
            last = {"type": "failed", "text": "it did not end" if isinstance(error, TimeoutError) else str(error)}
        finally:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        return await self._judge(number, last)

    def _start(self, seconds: int, nodes: int, seed: int) -> subprocess.Popen[bytes]:
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._logs.open_new(LABEL) as complaints:
            child = subprocess.Popen(  # noqa: S603 - our own program
                self._command(self._folder, seconds, nodes, seed),
                stdin=subprocess.PIPE,  # its end tells it that we are gone (T2)
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=PROJECT_DIR,
                start_new_session=True,
            )
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
        return child

    async def _follow(self, child: subprocess.Popen[bytes], number: int) -> dict[str, Any]:
        """Write progress down; return the last line, which is the report where all went well."""
        reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), child.stdout)
        last: dict[str, Any] = {}
        try:
            while line := await reader.readline():
                told = json.loads(line)
                last = told if isinstance(told, dict) else {}
                await self._run(partial(rehearsalrows.note, number, last))
                self._changed()
        finally:
            transport.close()
        return last

    async def _judge(self, number: int, last: dict[str, Any]) -> str:
        if self._stopping:
            return await self._end(number, RehearsalState.STOPPED, "stopped by an operator, or with the site")
        if last.get("type") != "report":
            why = str(last.get("text") or self._logs.last_line(LABEL) or "it ended without a report")
            return await self._end(number, RehearsalState.FAILED, why)
        if last["violations"]:
            return await self._end(number, RehearsalState.VIOLATED, str(last["verdict"]), last)
        state = RehearsalState.FAILED if last["exit_code"] else RehearsalState.PASSED
        return await self._end(number, state, str(last["verdict"]), last)

    async def _end(self, number: int, state: RehearsalState, detail: str, report: dict[str, Any] | None = None) -> str:
        await self._run(partial(rehearsalrows.finish, number, state, detail, report))
        self._changed()
        if state is RehearsalState.FAILED:
            raise OperationProblem(f"the rehearsal has failed: {detail}")
        return detail
