"""Run a command under a lock: what `manage.py lock KEY -- command` does.

Like flock(1), for a cluster: take the lock, run, release, and exit with the
command's code. When the lock is lost the command is ended, its whole process
group, before the lease has run out.

Invariants
  R1  The command never runs without the lock, whatever happens to us: its
      time is watched by another process (leash).
  R2  Every failure of ours is one line on stderr and a code of EXIT_*.
Elsewhere: the lock (live), its arguments (dlmsite.operations, lock command).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lockcore.client.leash import DEADLINE, SIGNAL_EXIT
from lockcore.client.machine import LONG_TTL_S
from lockcore.errors import ClusterUnavailable, InvalidRequest, LockError, NotAcquired

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import TypeVar

    from lockcore.client.live import LiveLock

    T = TypeVar("T")

# Codes of sysexits.h, away from those that commands usually end with.
EXIT_USAGE: Final = 64
EXIT_UNAVAILABLE: Final = 69
EXIT_NOT_OBTAINED: Final = 75
EXIT_LOST: Final = 76
"""The lock was lost, and yet the command ended with 0."""

TERM_MS_MAX: Final = 1_000
TERM_SHARE: Final = 10
"""The command has a tenth of the ttl, at most a second, between SIGTERM and SIGKILL."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What to run, and under which lock. Times in seconds; see `LockClient.lock`."""

    key: str
    command: tuple[str, ...]
    target: str
    ttl: float = LONG_TTL_S
    owner: str | None = None
    wait: float | None = None
    timeout: float = 10.0


def run(plan: RunPlan) -> int:
    """Run it; return the exit code: the command's, 128 + signal, or one of EXIT_*."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # refused connections are our lines, not gRPC's
    try:
        return asyncio.run(_Run(plan).run())
    except InvalidRequest as error:
        return _fail(error, EXIT_USAGE)
    except NotAcquired as error:
        return _fail(error, EXIT_NOT_OBTAINED)
    except ClusterUnavailable as error:
        return _fail(error, EXIT_UNAVAILABLE)
    except LockError as error:
        return _fail(error, EXIT_NOT_OBTAINED)
    except KeyboardInterrupt:
        return SIGNAL_EXIT + signal.SIGINT


def _fail(error: LockError, code: int) -> int:
    sys.stderr.write(f"lockring: {error}\n")
    return code


class _Run:
    """One command under one lock."""

    def __init__(self, plan: RunPlan) -> None:
        self._plan = plan
        self._leash: asyncio.subprocess.Process | None = None
        self._told = -1
        self._signalled: asyncio.Future[int] | None = None

    async def run(self) -> int:
        """Take the lock, run the command, release the lock."""
        from lockcore.client.client import LockClient  # noqa: PLC0415 - gRPC reads its environment when imported

        plan = self._plan
        if not plan.command or not plan.command[0]:
            raise InvalidRequest("there is no command to run: write it after --")
        loop = asyncio.get_running_loop()
        self._signalled = loop.create_future()
        client = LockClient(plan.target, timeout=plan.timeout)
        lock = client.lock(plan.key, ttl=plan.ttl, owner=plan.owner, wait=plan.wait)
        for number in SIGNALS:
            loop.add_signal_handler(number, self._take_signal, number)
        try:
            if not await self._unless_signalled(client.open()) or not await self._unless_signalled(lock.acquire()):
                return SIGNAL_EXIT + self._signalled.result()
            return await self._run_under(lock)
        finally:
            await client.close()

    async def _unless_signalled(self, work: Awaitable[object]) -> bool:
        """Wait for `work`; say whether it was done before a signal came."""
        task = asyncio.ensure_future(work)
        if self._signalled is None:
            raise AssertionError
        await asyncio.wait((task, self._signalled), return_when=asyncio.FIRST_COMPLETED)
        if self._signalled.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return False
        await task
        return True

    def _take_signal(self, number: int) -> None:
        """Pass it on to the command; before there is one, give up."""
        if self._leash is not None:
            with contextlib.suppress(ProcessLookupError):
                self._leash.send_signal(number)
        elif self._signalled is not None and not self._signalled.done():
            self._signalled.set_result(number)

    async def _run_under(self, lock: LiveLock) -> int:
        heard, self._told = os.pipe()
        ended, tell_ended = os.pipe()
        for end in (self._told, ended):
            os.set_blocking(end, False)
        try:
            lock.on_hold = self._tell
            self._tell(lock.held_until_ns)
            command = self._leash_command(heard, tell_ended)
            self._leash = await asyncio.create_subprocess_exec(*command, pass_fds=(heard, tell_ended))
        finally:
            os.close(heard)
            os.close(tell_ended)
        code = await self._leash.wait()
        lock.on_hold = None
        os.close(self._told)
        was_ended = bool(_read(ended))
        os.close(ended)
        await lock.release()
        if code < 0:  # the leash itself was killed, and the command with it
            code = SIGNAL_EXIT - code
        if was_ended:
            why = lock.loss_reason or "it could not be renewed in time"
            sys.stderr.write(f"lockring: lost the lock {lock.key!r} ({why}); the command was ended\n")
            return code or EXIT_LOST
        return code

    def _leash_command(self, heard: int, tell_ended: int) -> list[str]:
        term_ms = min(TERM_MS_MAX, int(self._plan.ttl * 1_000 / TERM_SHARE))
        leash = str(Path(__file__).with_name("leash.py"))
        return [sys.executable, "-I", "-S", leash, str(heard), str(tell_ended), str(term_ms), *self._plan.command]

    def _tell(self, until_ns: int) -> None:
        """Tell the leash until when the lock is held; 0: it is lost."""
        with contextlib.suppress(OSError):  # it has ended, or is stopped with thousands unread: then it is late anyway
            os.write(self._told, DEADLINE.pack(until_ns))


def _read(pipe: int) -> bytes:
    """Return a byte if one has come."""
    try:
        return os.read(pipe, 1)
    except BlockingIOError:
        return b""
