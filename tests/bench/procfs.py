"""What the kernel says that a process uses.

Elsewhere: who asks (idle, push, throughput).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
# In /proc/PID/stat, counted after the name, which may hold anything and ends with the last ")".
_UTIME, _STIME = 11, 12
_IDLE, _IOWAIT = 3, 4
_KB_PER_MB: Final = 1_024


def cpu_s(pid: int) -> float:
    """Return the CPU time used so far, in seconds, user and system, without children."""
    fields = (Path("/proc") / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _CLOCK_TICKS


def machine_cpu_s() -> float:
    """Return the CPU time that the whole machine has used so far, in seconds, over all processors."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    return (sum(map(int, fields[:8])) - int(fields[_IDLE]) - int(fields[_IOWAIT])) / _CLOCK_TICKS


def family_cpu_s(pid: int) -> float:
    """Return the CPU time of a process and of all that descend from it and live."""
    total = 0.0
    for member in family(pid):
        with suppress(OSError):
            total += cpu_s(member)
    return total


def family(pid: int) -> list[int]:
    """Return a process and its living descendants."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for path in (Path("/proc") / str(parent) / "task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in path.read_text(encoding="ascii").split()]
    return found


def resident_mb(pid: int) -> float:
    """Return the resident set in MiB; pages shared with others count in full."""
    return _kb(pid, "status", "VmRSS") / _KB_PER_MB


def proportional_mb(pid: int) -> float:
    """Return the proportional set in MiB: pages shared by n processes count 1/n."""
    return _kb(pid, "smaps_rollup", "Pss") / _KB_PER_MB


def _kb(pid: int, file: str, name: str) -> int:
    text = (Path("/proc") / str(pid) / file).read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))
