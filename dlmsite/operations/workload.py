"""The gentle workload beside the site: one child process, switched on and off.

Invariants
  L1  The process ends with the site, however the site ends (tether).
Elsewhere: what it does (lockcore.client.workload, `manage.py workload`), who switches it (helm).
"""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

from dlmsite.operations.logfiles import NodeLogs
from dlmsite.operations.procs import WatchedProcess
from dlmsite.operations.supervisor import OperationProblem

log = logging.getLogger(__name__)

LABEL: Final = "workload"
END_S: Final = 5.0
# By its path: the site may have been started from any folder.
TETHER: Final = Path(__file__).with_name("tether.py")


class WorkloadProcess:
    """The switch.

    Args:
        logs: where its output goes.
        command: makes the command line at each start; None where there is no workload to run.
    """

    def __init__(self, logs: NodeLogs, command: Callable[[], Sequence[str]] | None) -> None:
        self._logs = logs
        self._command = command
        self._process: WatchedProcess | None = None

    @property
    def available(self) -> bool:
        """Whether there is a workload at all."""
        return self._command is not None

    @property
    def on(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and not self._process.exited.is_set()

    async def switch(self, *, on: bool) -> str:
        """Start or stop it; return what to tell.

        Raises:
            OperationProblem: it cannot be started.
        """
        if on == self.on:
            return f"the workload was {'on' if on else 'off'} already"
        return await self._start() if on else await self.stop()

    async def stop(self) -> str:
        """End it; it gives back its locks first."""
        process = self._process
        if process is None or process.exited.is_set():
            return "the workload is off"
        process.send(SIGTERM)
        try:
            async with asyncio.timeout(END_S):
                await process.exited.wait()
        except TimeoutError:
            process.send(SIGKILL)
            await process.exited.wait()
        return "the workload is off"

    async def _start(self) -> str:
        if self._command is None:
            raise OperationProblem("there is no workload to switch on here")
        tether = [sys.executable, str(TETHER), str(os.getpid())]
        try:
            with self._logs.open_new(LABEL) as output:
                child = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program, started in a moment
                    [*tether, *self._command()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._process = WatchedProcess.of_child(child)
        except OSError as error:
            raise OperationProblem(f"the workload cannot be started: {error.strerror or error}") from error
        # One that cannot work ends at once and says why.
        try:
            async with asyncio.timeout(1.0):
                await self._process.exited.wait()
        except TimeoutError:
            return f"the workload is on (process {child.pid})"
        raise OperationProblem(f"the workload ended at once: {self._logs.last_line(LABEL) or 'it printed nothing'}")
