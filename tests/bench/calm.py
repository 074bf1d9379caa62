"""What the page of the ring costs while nothing changes, and how smoothly it moves when a view does.

The page's own HTML, modules and styles in headless Chromium at 1440 x 900, told of 64 nodes and 10,000 held locks that
exist on paper. "Nothing changes" is what a quiet cluster sends: five messages a second with the nodes' figures, which
differ by their heartbeats only; the ages on the page go on. CPU time is that of all processes of the browser, from
/proc. Frames are those that the page's animation drew, by its own measure (`ring-frame`), while arcs moved.

Elsewhere: script time per redraw (page), what is told (canned).
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.browser import chromium
from tests.bench.canned import CannedCluster
from tests.bench.page import ORIGIN, READY_MS, SCRIPT, Told
from tests.bench.procfs import cpu_s, family, machine_cpu_s
from tests.bench.report import Row, at_least, at_most, share, spread

if TYPE_CHECKING:
    from playwright.async_api import Page

TITLE: Final = "the page at rest and in motion: 64 nodes, 10,000 held locks"
BOUND_S: Final = 180
NODES: Final = 64
LOCKS: Final = 10_000
REST_S: Final = 8.0
"""What the first drawing leaves to do is done by then."""
WATCHED_S: Final = 20.0
TOLD_EVERY_S: Final = 0.2
CPU_PERCENT_MAX: Final = 2.0
KILLS: Final = 6
KILL_EVERY_S: Final = 2.0
FRAMES_PER_S_MIN: Final = 50.0
MOVE_MS: Final = 1_200
"""As long as arcs move (static/js/ringview.js)."""


async def measure() -> list[Row]:
    """Return the rows."""
    told = Told(CannedCluster(NODES, LOCKS))
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        await context.add_init_script(path=SCRIPT)
        page = await context.new_page()
        await page.route("**/*", told.answer)
        await page.route_web_socket(re.compile(r"/ws/live/"), told.connect)
        await page.goto(ORIGIN)
        await page.locator("#nodes-body tr").nth(NODES - 1).wait_for(timeout=READY_MS)
        await asyncio.sleep(REST_S)
        return [*await _at_rest(told, page), *await _in_motion(told, page)]


async def _at_rest(told: Told, page: Page) -> list[Row]:
    await page.evaluate("() => { window.frames_ms.length = 0; }")
    before, machine, began = _browser_s(), machine_cpu_s(), time.monotonic()
    while time.monotonic() - began < WATCHED_S:
        told.tell(told.cluster.nothing())
        await asyncio.sleep(TOLD_EVERY_S)
    took_s = time.monotonic() - began
    by_kind = {kind: 100 * (used - before.get(kind, 0.0)) / took_s for kind, used in _browser_s().items()}
    all_of_it = 100 * (machine_cpu_s() - machine) / took_s
    redraws = await page.evaluate("() => window.frames_ms.length")
    parts = ", ".join(f"{kind} {used:.1f} %" for kind, used in by_kind.items())
    return [
        at_most("at rest: CPU of the browser, of one core", sum(by_kind.values()), CPU_PERCENT_MAX, "%", 1),
        Row("at rest: by process", f"{parts}; the whole machine {all_of_it:.0f} %"),
        Row("at rest: redraws of the ring", f"{redraws}"),
    ]


async def _in_motion(told: Told, page: Page) -> list[Row]:
    rates: list[float] = []
    gaps: list[float] = []
    for index in range(KILLS):
        await page.evaluate("() => { window.frames_at_ms.length = 0; }")
        told.tell(told.cluster.kill(index * 5))
        await asyncio.sleep(KILL_EVERY_S)
        at_ms = await page.evaluate("() => window.frames_at_ms")
        moving = [at for at in at_ms if at - at_ms[0] <= MOVE_MS]
        rates.append(1_000 * (len(moving) - 1) / (moving[-1] - moving[0]))
        gaps += [later - earlier for earlier, later in pairwise(moving)]
    return [
        at_least("a view changes: frames a second, the median of the views", share(rates, 0.5), FRAMES_PER_S_MIN, 1),
        Row("a view changes: frames a second, each", ", ".join(f"{rate:.0f}" for rate in rates)),
        spread("a view changes: from frame to frame", gaps, "ms"),
    ]


def _browser_s() -> dict[str, float]:
    """Return the CPU time of Chromium's processes so far, by kind."""
    used: dict[str, float] = {}
    for pid in family(os.getpid()):
        with suppress(OSError):
            line = (Path("/proc") / str(pid) / "cmdline").read_text(encoding="utf-8", errors="replace")
            if "chrom" not in line.split("\0")[0].split(" ")[0]:
                continue
            found = re.search(r"--type=([\w-]+)", line)
            kind = found.group(1) if found else "browser"
            used[kind] = used.get(kind, 0.0) + cpu_s(pid)
    return used
