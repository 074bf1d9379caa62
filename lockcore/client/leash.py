"""Runs a command for as long as a lock is held, and not a moment longer.

A program of its own, without gRPC, between `manage.py lock` and the command:
it is told over a pipe until when the lock is held (CLOCK_BOOTTIME, 8 bytes),
and ends the command when that time comes. So the command also ends when
`manage.py lock` is killed, is stopped, or hangs. 0 means lost; the end of the
pipe means that nobody can tell any more.

    python -I leash.py PIPE ENDED TERM_MS command argument ...

A byte on the pipe `ENDED` tells that the time was over before the command was.
The command gets SIGTERM `TERM_MS` before the lease ends, and SIGKILL when it
ends; when the lock is lost at once, SIGKILL follows SIGTERM after `TERM_MS`.
It runs in a process group of its own, which has the terminal where we had it.

Invariants
  S1  No process of the group runs on after its time.
  S2  Exits with the command's code, or 128 + the signal that ended it.
  S3  If this program dies, the command dies with it (PR_SET_PDEATHSIG).
Elsewhere: who keeps the lock (run).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import struct
import sys
import time
from typing import Final

DEADLINE: Final = struct.Struct("<Q")
NS_PER_MS: Final = 1_000_000
LOOK_MS: Final = 500
"""poll() stands still while the machine sleeps; a lease does not."""
PR_SET_PDEATHSIG: Final = 1
SIGNAL_EXIT: Final = 128
EXIT_NOT_FOUND: Final = 127
EXIT_NOT_EXECUTABLE: Final = 126
PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
TERMINAL_STOPS: Final = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
TERMINAL: Final = 0


def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Leash:
    """One command, and the time that it has.

    Args:
        pipe: where deadlines arrive.
        ended: gets a byte when the command's time is over.
        term_ms: how long before SIGKILL comes SIGTERM.
    """

    def __init__(self, pipe: int, ended: int, term_ms: int) -> None:
        self._pipe = pipe
        self._tell_ended = ended
        self._term_ns = term_ms * NS_PER_MS
        self._kill_ns = 0
        self._termed = False
        self._pid = 0
        self._has_terminal = False

    def run(self, command: list[str]) -> int:
        """Run the command; return the exit code (S2)."""
        first = os.read(self._pipe, DEADLINE.size)
        if len(first) < DEADLINE.size or DEADLINE.unpack(first)[0] <= boot_ns():
            os.write(self._tell_ended, b".")  # lost before it began
            return SIGNAL_EXIT + signal.SIGTERM
        self._kill_ns = DEADLINE.unpack(first)[0]
        os.set_blocking(self._pipe, False)
        wake, told = os.pipe()
        for end in (wake, told):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        for number in (*PASSED_ON, signal.SIGCHLD):
            signal.signal(number, _noted)
        self._start(command)
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        poll.register(wake, select.POLLIN)
        while True:
            for ready, _ in poll.poll(self._wait_ms()):
                if ready == wake:
                    self._pass_on(os.read(wake, 512))
                elif not self._read_deadline():
                    poll.unregister(self._pipe)
            self._enforce()
            code = self._ended()
            if code is not None:
                return code

    # --- the command ----------------------------------------------------------------

    def _start(self, command: list[str]) -> None:
        with contextlib.suppress(OSError):
            self._has_terminal = os.tcgetpgrp(TERMINAL) == os.getpgrp()
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # we may give and take the terminal
        prctl = ctypes.CDLL(None).prctl
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.setpgid(0, 0)
            if self._has_terminal:
                os.tcsetpgrp(TERMINAL, os.getpgrp())
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # S3
            if os.getppid() == parent:
                _become(command)
            os._exit(SIGNAL_EXIT + signal.SIGKILL)
        with contextlib.suppress(OSError):  # the child does the same; whoever comes first
            os.setpgid(self._pid, self._pid)

    def _pass_on(self, numbers: bytes) -> None:
        for number in numbers:
            if number != signal.SIGCHLD:
                self._signal(number)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def _ended(self) -> int | None:
        """Return the exit code once the command has ended (S2)."""
        flags = os.WEXITED | os.WSTOPPED | os.WNOHANG
        while found := os.waitid(os.P_PID, self._pid, flags | os.WNOWAIT):
            if found.si_code == os.CLD_STOPPED:
                os.waitid(os.P_PID, self._pid, os.WSTOPPED | os.WNOHANG)
                self._resume(found.si_status)
                continue
            if self._termed:
                self._signal(signal.SIGKILL)  # those of its group that are left (S1)
            os.waitpid(self._pid, 0)
            if self._has_terminal:
                with contextlib.suppress(OSError):
                    os.tcsetpgrp(TERMINAL, os.getpgrp())
            return found.si_status if found.si_code == os.CLD_EXITED else SIGNAL_EXIT + found.si_status
        return None

    def _resume(self, number: int) -> None:
        """Go on at once after Ctrl-Z: who suspends a command would keep everybody from the lock."""
        if self._has_terminal and number in TERMINAL_STOPS:
            sys.stderr.write("lockring: a command under a lock cannot be suspended; it goes on\n")
            self._signal(signal.SIGCONT)

    # --- its time ----------------------------------------------------------------------

    def _read_deadline(self) -> bool:
        """Take what the pipe holds; say whether more can come."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pipe, DEADLINE.size):
                (until_ns,) = DEADLINE.unpack(data) if len(data) == DEADLINE.size else (0,)
                self._take_deadline(until_ns)
            self._take_deadline(0)
            return False
        return True

    def _take_deadline(self, until_ns: int) -> None:
        if self._termed:
            return  # what has begun is not taken back
        self._kill_ns = until_ns or boot_ns() + self._term_ns
        if until_ns == 0:
            self._terminate()

    def _wait_ms(self) -> int:
        at_ns = self._kill_ns if self._termed else self._kill_ns - self._term_ns
        return min(LOOK_MS, max(0, -((boot_ns() - at_ns) // NS_PER_MS)))

    def _enforce(self) -> None:
        now_ns = boot_ns()
        if not self._termed and now_ns >= self._kill_ns - self._term_ns:
            self._terminate()
        if now_ns >= self._kill_ns:
            self._signal(signal.SIGKILL)
            self._kill_ns = now_ns + LOOK_MS * NS_PER_MS  # again, until it is gone

    def _terminate(self) -> None:
        self._termed = True
        with contextlib.suppress(OSError):  # nobody may be left to be told
            os.write(self._tell_ended, b".")
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process takes no SIGTERM


def _become(command: list[str]) -> None:
    """Run the command in this process; report on stderr if that cannot be."""
    signal.set_wakeup_fd(-1)
    for number in (*PASSED_ON, signal.SIGCHLD, signal.SIGTTOU, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - running what the user names is the purpose
    except OSError as error:
        text = f"lockring: cannot run {command[0]!r}: {error.strerror}; name a program that exists and is executable\n"
        os.write(2, text.encode(errors="backslashreplace"))
        os._exit(EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else EXIT_NOT_EXECUTABLE)


def _noted(_number: int, _frame: object) -> None:
    """Do nothing: the wakeup pipe carries the number."""


def main(arguments: list[str]) -> int:
    """Run the command line given at the top of this module."""
    pipe, ended = int(arguments[0]), int(arguments[1])
    for end in (pipe, ended):
        os.set_inheritable(end, False)  # the command must not hold it
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return Leash(pipe, ended, int(arguments[2])).run(arguments[3:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
