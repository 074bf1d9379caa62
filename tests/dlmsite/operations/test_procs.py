"""Processes are known by more than a pid, and their end is noticed."""

import os
import subprocess
import sys
from signal import SIGKILL, SIGTERM

import pytest

from dlmsite.operations.procs import ProcessId, WatchedProcess, command_line, identify


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def ended(script: str) -> subprocess.Popen[bytes]:
    """Return a child that has ended and was not collected."""
    child = subprocess.Popen([sys.executable, "-c", script])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child


def orphan() -> int:
    """Return the pid of a process whose parent has ended."""
    script = "import subprocess as s; print(s.Popen(['sleep', '60'], stdout=s.DEVNULL, stderr=s.DEVNULL).pid)"
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)


def test_a_process_is_known_by_pid_and_start() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert me == identify(os.getpid())
    assert me != identify(os.getppid())


def test_a_zombie_is_nobody() -> None:
    child = ended("")
    assert identify(child.pid) is None
    child.wait()
    assert command_line(child.pid) == []


async def test_the_end_of_a_child_comes_with_its_exit_code() -> None:
    watched = WatchedProcess.of_child(sleeper())
    watched.send(SIGTERM)
    await watched.exited.wait()
    assert watched.exit_code == -SIGTERM
    watched.send(SIGTERM)  # nobody is there: nothing happens


async def test_a_child_that_has_ended_already_is_noticed_too() -> None:
    watched = WatchedProcess.of_child(ended("raise SystemExit(3)"))
    await watched.exited.wait()
    assert watched.exit_code == 3


async def test_the_end_of_somebody_elses_child_is_noticed_without_exit_code() -> None:
    """So are nodes that were adopted after a crash of the site."""
    identity = identify(orphan())
    assert identity is not None
    watched = WatchedProcess(identity)
    watched.send(SIGKILL)
    await watched.exited.wait()
    assert watched.exit_code is None


async def test_a_pid_that_was_used_again_is_not_taken_for_the_old_process() -> None:
    child = sleeper()
    identity = identify(child.pid)
    assert identity is not None
    with pytest.raises(ProcessLookupError):
        WatchedProcess(ProcessId(child.pid, identity.start_ticks - 1))
    child.kill()
    child.wait()
