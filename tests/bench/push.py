"""From an event in a node to its arrival in a browser, at 500 lock operations a second.

A browser logs in with the printed link. First it only holds the live socket
(a page of the site that draws nothing), then it has the real page open. An
event's time is the wall clock of its node (`time_ms`), its arrival the clock
of the browser, on the same machine, when the message reaches JavaScript.

Pushes are counted where they arrive. A page that was busy drawing finds two at once, so eleven can arrive within a
second that were sent in more; how many come over the whole time tells what is sent.

Invariants
  P1  Every grant that was acknowledged in the window has to arrive: a push that leaves events out would look quick.
Elsewhere: who sends (dlmsite.dashboard.consumers), what the page does with it (tests.bench.page).
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lockcore import aio
from lockcore.core.operations import Granted
from tests.bench.browser import chromium, log_in
from tests.bench.procfs import cpu_s, family_cpu_s, machine_cpu_s
from tests.bench.report import NotMeasured, Row, at_most, exactly, share, spread
from tests.bench.site import Site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import Page

    from lockcore.aio import LockClient

TITLE: Final = "from event to browser at 500 lock operations a second"
BOUND_S: Final = 240
NODES: Final = 3
CYCLES_PER_S: Final = 250
"""An acquisition and a release each: 500 operations, 500 events a second."""
HOLD_S: Final = 0.5
HELD: Final = 1_000
"""Locks that are held all the while, so that a page begins with a snapshot of some size."""
HELD_TTL_S: Final = 60.0
WARM_S: Final = 3.0
WATCHED_S: Final = 20.0
ARRIVE_S: Final = 5.0
P95_MS_MAX: Final = 300.0
PUSHES_PER_S_MAX: Final = 10
SCRIPT: Final = Path(__file__).with_name("arrivals.js")
OPEN_SOCKET: Final = "() => void new WebSocket(location.origin.replace('http', 'ws') + '/ws/live/')"


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds so far; `site` is page, master and recorder, `browser` has its driver with it, `machine` has all."""

    site: float
    nodes: float
    client: float
    browser: float
    machine: float

    @classmethod
    def now(cls, site: Site) -> Spent:
        """Read the clocks."""
        nodes = sum(cpu_s(pid) for pid in site.node_pids().values())
        client = cpu_s(os.getpid())
        browser = family_cpu_s(os.getpid()) - client - family_cpu_s(site.pid)
        return cls(cpu_s(site.pid), nodes, client, browser, machine_cpu_s())


@dataclass(slots=True)
class Load:
    """What was done to the locks."""

    operations: int = 0
    failures: list[str] = field(default_factory=list)
    acquired: dict[str, float] = field(default_factory=dict)
    """keys, and the wall clock in milliseconds when their grant was heard of"""


async def measure() -> list[Row]:
    """Return the rows."""
    async with Site(NODES) as site, chromium() as browser, aio.connect(site.target) as client:
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        await context.add_init_script(path=SCRIPT)
        page = await context.new_page()
        await log_in(page, site.login_link)
        rows = []

        async def bare() -> None:
            await page.goto(f"{site.origin}/static/icon.svg")
            await page.evaluate(OPEN_SOCKET)

        async def drawn() -> None:
            await page.goto(f"{site.origin}/")

        rows += await _watch("socket alone", page, site, client, bare)
        rows += await _watch("page open", page, site, client, drawn)
        complaints = site.complaints()
        rows.append(Row("warnings in the logs", f"{len(complaints)} {' | '.join(complaints[:3])}"))
    return rows


async def _watch(
    name: str, page: Page, site: Site, client: LockClient, look: Callable[[], Awaitable[None]]
) -> list[Row]:
    """Load, look, and say what arrived."""
    load = Load()
    held = await asyncio.gather(
        *(client.acquire(f"push/held/{i}", ttl=HELD_TTL_S, owner="holder") for i in range(HELD))
    )
    task = asyncio.create_task(work(client, name.replace(" ", "-"), load))
    try:
        await look()
        await asyncio.sleep(WARM_S)
        began_ms, done, before = time.time() * 1_000, load.operations, Spent.now(site)
        await asyncio.sleep(WATCHED_S)
        ended_ms, done, after = time.time() * 1_000, load.operations - done, Spent.now(site)
        await asyncio.sleep(ARRIVE_S)  # the load goes on: the last events arrive under it
        arrivals = await page.evaluate("() => window.arrivals")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for i, granted in enumerate(held):
        if isinstance(granted, Granted):
            await client.unlock(f"push/held/{i}", granted.token)
    messages = [(at_ms, json.loads(text)) for at_ms, text in arrivals]
    if load.failures:
        raise NotMeasured(f"the load failed: {load.failures[0]}")
    rows = _rows(name, messages, load, (began_ms, ended_ms), done)
    return [*rows, Row(f"{name}: CPU, of one core", _cpu(before, after, (ended_ms - began_ms) / 1_000))]


def _cpu(before: Spent, after: Spent, seconds: float) -> str:
    parts = {
        "page server, master, recorder": after.site - before.site,
        "three nodes": after.nodes - before.nodes,
        "browser": after.browser - before.browser,
        "the load's client": after.client - before.client,
    }
    parts["other programs"] = after.machine - before.machine - sum(parts.values())
    return ", ".join(f"{name} {100 * used / seconds:.0f} %" for name, used in parts.items())


def _rows(
    name: str, messages: list[tuple[float, dict[str, Any]]], load: Load, window: tuple[float, float], done: int
) -> list[Row]:
    began_ms, ended_ms = window
    pushes = [(at, message) for at, message in messages if message["type"] in ("delta", "snapshot")]
    inside = [at for at, _ in pushes if began_ms <= at < ended_ms]
    waits, heard = [], set()
    for at, message in pushes:
        for event in message["events"]:
            if event["kind"] == "granted":
                heard.add(event["key"])
            if message["type"] == "delta" and began_ms <= event["time_ms"] < ended_ms:
                waits.append(at - event["time_ms"])
    if not waits:
        kinds = sorted({message["type"] for _, message in messages})
        raise NotMeasured(f"{name}: no event of {WATCHED_S:.0f} s arrived; the browser got {kinds or 'nothing'}")
    wanted = {key for key, at in load.acquired.items() if began_ms <= at < ended_ms}
    closed = [(at, message) for at, message in messages if message["type"] == "closed"]
    snapshots = sum(message["type"] == "snapshot" for _, message in pushes) - 1
    seconds = (ended_ms - began_ms) / 1_000
    return [
        at_most(f"{name}: 95 % of events arrive within", share(waits, 0.95), P95_MS_MAX, "ms", 0),
        spread(f"{name}: events", waits, "ms", 0),
        exactly(f"{name}: grants that never arrived", len(wanted - heard), 0, f" of {len(wanted):,}"),
        at_most(f"{name}: pushes", len(inside) / seconds, PUSHES_PER_S_MAX, "a second", 1),
        Row(f"{name}: most pushes that arrived in any second", f"{_most_in_a_second(inside)}"),
        Row(
            f"{name}: load",
            f"{done / seconds:,.0f} operations/s, {snapshots} snapshots after the first",
        ),
        exactly(f"{name}: sockets that closed", len(closed), 0, f" {closed[:2]}" if closed else ""),
    ]


def _most_in_a_second(times_ms: list[float]) -> int:
    """Return the largest number of arrivals in a second beginning with one."""
    return max((sum(begin <= at < begin + 1_000 for at in times_ms) for begin in times_ms), default=0)


async def work(client: LockClient, name: str, load: Load) -> None:
    """Begin a cycle every 4 ms, whatever became of the others."""
    began = time.monotonic()
    under_way: set[asyncio.Task[None]] = set()
    number = 0
    try:
        while True:
            while number < (time.monotonic() - began) * CYCLES_PER_S:
                number += 1
                under_way.add(task := asyncio.create_task(_cycle(client, f"push/{name}/{number}", load)))
                task.add_done_callback(under_way.discard)
            await asyncio.sleep(1 / CYCLES_PER_S)
    finally:
        await asyncio.gather(*under_way, return_exceptions=True)


async def _cycle(client: LockClient, key: str, load: Load) -> None:
    try:
        granted = await client.acquire(key, owner="bench")
        if not isinstance(granted, Granted):
            raise NotMeasured(f"{key} was not granted: {granted}")  # noqa: TRY301 - noted below like the rest
        load.acquired[key] = time.time() * 1_000
        load.operations += 1
        await asyncio.sleep(HOLD_S)
        await client.unlock(key, granted.token)
        load.operations += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the figure is none
        load.failures.append(f"{type(error).__name__}: {error}")
