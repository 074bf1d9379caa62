"""The workload beside the site is switched, and never outlives it."""

import subprocess
import sys
from pathlib import Path

import pytest

from dlmsite.operations.logfiles import NodeLogs
from dlmsite.operations.procs import identify
from dlmsite.operations.supervisor import OperationProblem
from dlmsite.operations.workload import TETHER, WorkloadProcess
from tests.dlmsite.waiting import until

FOREVER = [sys.executable, "-c", "import time; time.sleep(60)"]


async def test_it_is_switched_on_and_off(tmp_path: Path) -> None:
    workload = WorkloadProcess(NodeLogs(tmp_path), lambda: FOREVER)
    seen = [workload.on]
    told = []
    for wanted in (True, True, False):
        told.append(await workload.switch(on=wanted))
        seen.append(workload.on)
    assert seen == [False, True, True, False]
    assert "is on" in told[0]
    assert told[1:] == ["the workload was on already", "the workload is off"]


async def test_one_that_ends_at_once_says_why(tmp_path: Path) -> None:
    workload = WorkloadProcess(NodeLogs(tmp_path), lambda: [sys.executable, "-c", "raise SystemExit('no cluster')"])
    with pytest.raises(OperationProblem, match="the workload ended at once: no cluster"):
        await workload.switch(on=True)


async def test_without_a_workload_there_is_nothing_to_switch(tmp_path: Path) -> None:
    workload = WorkloadProcess(NodeLogs(tmp_path), None)
    assert not workload.available
    with pytest.raises(OperationProblem, match="no workload"):
        await workload.switch(on=True)


async def test_it_ends_when_its_parent_is_killed() -> None:
    """A crash of the site leaves no stray workload."""
    tether = [sys.executable, str(TETHER)]
    script = (
        "import os, subprocess, sys, time; "
        f"print(subprocess.Popen([*{tether!r}, str(os.getpid()), *{FOREVER!r}]).pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(  # noqa: ASYNC220 - it takes no time
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    # Tied once it has become the program.
    await until(lambda: "-c" in Path(f"/proc/{pid}/cmdline").read_text().split("\0"))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until(lambda: identify(pid) is None)
