"""Processes as Linux shows them: who a pid is, when it ends, how to signal it without hitting another.

Invariants
  P1  A pid alone names nobody: pids are used again. A process is (pid, start time in clock ticks since boot).
  P2  Signals go through a pidfd, which stays with its process however long it has been dead.
Elsewhere: which processes are ours (registry), what they do (supervisor).
"""

import asyncio
import errno
import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
# In /proc/PID/stat, counted after the name, which may hold anything and ends with the last ")".
_STATE_FIELD: Final = 0
_START_FIELD: Final = 19
_STOPPED_STATE: Final = "T"
_DEAD_STATES: Final = frozenset({"Z", "X", "x"})


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process that lives or has lived since boot."""

    pid: int
    start_ticks: int


def identify(pid: int) -> ProcessId | None:
    """Return who the pid is now; None if nobody, or only a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE_FIELD] in _DEAD_STATES else ProcessId(pid, int(fields[_START_FIELD]))


def is_stopped(identity: ProcessId) -> bool:
    """Say whether SIGSTOP holds the process now."""
    try:
        stat = (PROC / str(identity.pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    fields = stat.rpartition(")")[2].split()
    return fields[_STATE_FIELD] == _STOPPED_STATE and int(fields[_START_FIELD]) == identity.start_ticks


def command_line(pid: int) -> list[str]:
    """Return its arguments; empty where nobody is."""
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in raw.split(b"\0") if part]


class WatchedProcess:
    """A process whose end is noticed at once, also if it is not our child.

    Attributes:
        exited: set when it has ended.
        exit_code: as in subprocess (minus the signal); None while it lives, and for ever where it was not our child.
    """

    def __init__(self, identity: ProcessId, child: subprocess.Popen[bytes] | None = None) -> None:
        """Watch from now on; needs a running loop.

        Raises:
            ProcessLookupError: it is gone already.
        """
        self.identity = identity
        self.exited = asyncio.Event()
        self.exit_code: int | None = None
        self._child = child
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(identity.pid)
        if child is None and identify(identity.pid) != identity:  # P1: the pidfd may be another's
            os.close(self._pidfd)
            raise ProcessLookupError(errno.ESRCH, "the process is gone")
        self._loop.add_reader(self._pidfd, self._ended)

    @classmethod
    def of_child(cls, child: subprocess.Popen[bytes]) -> "WatchedProcess":
        """Watch a child just started, also one that has ended already: nobody else can have its pid."""
        return cls(identify(child.pid) or ProcessId(child.pid, 0), child)

    @property
    def pid(self) -> int:
        """Its number, for people."""
        return self.identity.pid

    def send(self, which: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        if not self.exited.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, which)

    def forget(self) -> None:
        """Stop watching; the process goes on."""
        if not self.exited.is_set():
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self.exited.set()

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        if self._child is not None:
            self.exit_code = self._child.wait()  # it has ended: this only collects it
        self.exited.set()
