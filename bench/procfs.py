"""What the kernel says that a process uses.

Elsewhere: who asks (idle, throughput).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")
# In /proc/PID/stat, counted after the name, which may hold anything and ends with the last ")".
_UTIME, _STIME = 11, 12
_KB_PER_MB: Final = 1_024


def cpu_s(pid: int) -> float:
    """Return the CPU time used so far, in seconds, user and system, without children."""
    fields = (Path("/proc") / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / _CLOCK_TICKS


def resident_mb(pid: int) -> float:
    """Return the resident set in MiB; pages shared with others count in full."""
    return _kb(pid, "status", "VmRSS") / _KB_PER_MB


def proportional_mb(pid: int) -> float:
    """Return the proportional set in MiB: pages shared by n processes count 1/n."""
    return _kb(pid, "smaps_rollup", "Pss") / _KB_PER_MB


def _kb(pid: int, file: str, name: str) -> int:
    text = (Path("/proc") / str(pid) / file).read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))
