"""Processes that wait for each other's locks, as the kernel lets them.

Whatever the kernel does in answer to one request has been done when each
process has either answered or is shown as waiting in /proc/locks: whoever is
woken is taken off that list before the call that woke it returns.

Elsewhere: what they are compared with (waits).
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.kernel import flock, worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lockcore.core.rangerecords import Kind
    from tests.kernel.flock import Line

BOUND_S = 30
PATIENCE_MS = 1
"""An answer ends the poll; whoever waits gives none, and is looked for in /proc/locks after so long."""
OFD_PID = -1
"""What /proc/locks says instead of a process where an open file description is the owner."""
COMMANDS = {"setlk": fcntl.F_SETLK, "setlkw": fcntl.F_SETLKW, "unlck": fcntl.F_SETLK, "getlk": fcntl.F_GETLK}
OF_DESCRIPTIONS = {"setlk": fcntl.F_OFD_SETLK, "setlkw": fcntl.F_OFD_SETLKW, "unlck": fcntl.F_OFD_SETLK}


@dataclass(frozen=True, slots=True)
class Ask:
    """`what`: setlk, setlkw, getlk, unlck, or leave (end a wait)."""

    what: str
    who: int
    file: int
    kind: Kind
    start: int
    length: int


class Processes:
    """Some processes that have the same files open."""

    def __init__(self, count: int, paths: list[Path], commands: dict[str, int] = COMMANDS) -> None:
        """Start them."""
        self._commands = commands
        for path in paths:
            path.touch()
        self.inodes = [path.stat().st_ino for path in paths]
        arguments = [sys.executable, "-S", worker.__file__, *map(str, paths)]
        self._processes = [
            subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) for _ in range(count)
        ]
        self.pids = [process.pid for process in self._processes]
        self.waiting: set[int] = set()
        self._poll = select.poll()
        self._numbers = {}
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            self._numbers[process.stdout.fileno()] = number
            self._poll.register(process.stdout, select.POLLIN)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()

    def do(self, ask: Ask) -> dict[int, str]:
        """Have one process do something; return what was answered, by whom, when the kernel is done with it."""
        answers: dict[int, str] = {}
        if ask.what == "leave":
            os.kill(self.pids[ask.who], signal.SIGUSR1)
            self._until(lambda: self._hear(answers) or ask.who in answers)
        else:
            kind = flock.TYPES[None if ask.what == "unlck" else ask.kind]
            line = f"{self._commands[ask.what]} {ask.file} {kind} {ask.start} {ask.length}\n"
            pipe = self._processes[ask.who].stdin
            assert pipe is not None
            self.waiting.add(ask.who)
            pipe.write(line.encode())
        self._until(lambda: self._hear(answers) or self._settled())
        return answers

    def lines(self) -> list[Line]:
        """Return what /proc/locks says of the files."""
        return flock.of_machine(set(self.inodes))

    def _settled(self) -> bool:
        if not self.waiting:
            return True
        blocked = [line.pid for line in self.lines() if line.level]
        if OFD_PID in blocked:
            return len(blocked) >= len(self.waiting)
        return {self.pids[number] for number in self.waiting} <= set(blocked)

    def _hear(self, answers: dict[int, str]) -> bool:
        """Take what has been answered; never true."""
        for fd, _ in self._poll.poll(PATIENCE_MS):
            number = self._numbers[fd]
            answer = os.read(fd, 1 << 10).decode().strip()
            if not answer:
                raise RuntimeError(f"process {number} has ended")
            answers[number] = answer
            self.waiting.discard(number)
        return False

    @staticmethod
    def _until(condition: Callable[[], bool]) -> None:
        bound_s = time.monotonic() + BOUND_S
        while not condition():
            if time.monotonic() > bound_s:
                raise TimeoutError("the kernel did not come to rest")
