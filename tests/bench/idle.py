"""What three nodes use while nobody asks them anything: `manage.py up --nodes 3 --no-workload`.

CPU time comes from /proc/PID/stat over half a minute, after a pause in which
what the start has left to do is done. Memory is read at the end.

Elsewhere: what a node does then: a heartbeat each 400 ms (lockcore.core.limits).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from tests.bench.procfs import cpu_s, proportional_mb, resident_mb
from tests.bench.report import NotMeasured, Row, at_most
from tests.bench.site import Site

TITLE: Final = "three idle nodes"
BOUND_S: Final = 180
NODES: Final = 3
REST_S: Final = 20.0
WATCHED_S: Final = 30.0
CPU_PERCENT_MAX: Final = 5.0
RESIDENT_MB_MAX: Final = 90.0


async def measure() -> list[Row]:
    """Return the rows."""
    async with Site(NODES) as site:
        pids = site.node_pids()
        if len(pids) != NODES:
            raise NotMeasured(f"{NODES} nodes were asked for, {len(pids)} run")
        await asyncio.sleep(REST_S)
        began = time.monotonic()
        before = {label: cpu_s(pid) for label, pid in pids.items()}
        site_before = cpu_s(site.pid)
        await asyncio.sleep(WATCHED_S)
        took_s = time.monotonic() - began
        percent = {label: 100 * (cpu_s(pid) - before[label]) / took_s for label, pid in pids.items()}
        of_site = 100 * (cpu_s(site.pid) - site_before) / took_s
        resident = {label: resident_mb(pid) for label, pid in pids.items()}
        shares = {label: proportional_mb(pid) for label, pid in pids.items()}
        site_mb = resident_mb(site.pid)
    return [
        at_most("CPU of the three nodes, of one core", sum(percent.values()), CPU_PERCENT_MAX, "%", 1),
        Row("each", ", ".join(f"{label} {value:.1f} %" for label, value in percent.items())),
        at_most("resident, the largest node", max(resident.values()), RESIDENT_MB_MAX, "MB", 1),
        Row("each", ", ".join(f"{label} {value:.1f} MB" for label, value in resident.items())),
        Row("each by its share (PSS)", ", ".join(f"{label} {value:.1f} MB" for label, value in shares.items())),
        Row("beside them the process of page, master and recorder", f"{of_site:.1f} % of one core, {site_mb:.0f} MB"),
    ]
