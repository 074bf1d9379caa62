"""Fifty browsers on one site process, at 500 lock operations a second: how late events come, and what each costs.

Fifty clients speak the page's protocol over real sockets: they get the page, its timeline and its snapshot over HTTP,
hold the live socket, ping, and half way one in five loses its connection and resumes after the last event it saw. One
real Chromium has the page open beside them. (Fifty real ones would take the processors from what is measured.) All use
one session: that a session may see is asked for each socket all the same.

Memory per browser is what the site's process (page server, master, recorder) has more with fifty clients than with
Chromium alone, both under the load and after WARM_S, divided by fifty: proportional set, so shared pages count once.

Elsewhere: one browser alone (push), the clients (wsclient).
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from lockcore import aio
from tests.acceptance.visitor import Visitor
from tests.bench.browser import chromium
from tests.bench.procfs import cpu_s, proportional_mb
from tests.bench.push import ARRIVE_S, NODES, SCRIPT, Load, work
from tests.bench.report import NotMeasured, Row, at_most, exactly, share, spread
from tests.bench.site import Site
from tests.bench.wsclient import LiveSocket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from playwright.async_api import Page

TITLE: Final = "fifty browsers at 500 lock operations a second"
BOUND_S: Final = 600
BROWSERS: Final = 50
WARM_S: Final = 8.0
WATCHED_S: Final = 12.0
LOST_ONE_IN: Final = 5
P95_MS_MAX: Final = 500.0
MB_MAX: Final = 1.0
AS_THE_PAGE: Final = ("/", "/words.js", "/api/timeline/", "/api/snapshot/")


async def measure() -> list[Row]:
    """Return the rows."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(Site(NODES))
        browser = await stack.enter_async_context(chromium())
        client = await stack.enter_async_context(aio.connect(site.target))
        visitor = Visitor(site.port)
        await asyncio.to_thread(visitor.log_in, site.login_link)
        page = await _open_page(browser, site, visitor)
        load = Load()
        task = asyncio.create_task(work(client, "crowd", load))
        sockets = [LiveSocket(site.port, visitor.cookie) for _ in range(BROWSERS)]
        try:
            await asyncio.sleep(WARM_S)
            alone_mb = proportional_mb(site.pid)
            await _enter(sockets, visitor)
            await asyncio.sleep(WARM_S)
            began_ms, cpu, done = time.time() * 1_000, cpu_s(site.pid), load.operations
            await asyncio.sleep(WATCHED_S / 2)
            await _lose_some(sockets)
            await asyncio.sleep(WATCHED_S / 2)
            ended_ms, cpu, done = time.time() * 1_000, cpu_s(site.pid) - cpu, load.operations - done
            crowd_mb = proportional_mb(site.pid)
            await asyncio.sleep(ARRIVE_S)  # the load goes on: the last events arrive under it
            drawn = [(at, text.encode()) for at, text in await page.evaluate("() => window.arrivals")]
        finally:
            task.cancel()
            await asyncio.gather(task, *(socket.close() for socket in sockets), return_exceptions=True)
        if load.failures:
            raise NotMeasured(f"the load failed: {load.failures[0]}")
        window, seconds = (began_ms, ended_ms), (ended_ms - began_ms) / 1_000
        late = [wait for socket in sockets for wait in _waits(socket.arrivals, window)]
        missing = sum(len(_granted_in(load, window) - _heard(socket.arrivals)) for socket in sockets)
        return [
            at_most(f"{BROWSERS} browsers: 95 % of events arrive within", share(late, 0.95), P95_MS_MAX, "ms", 0),
            spread("event to browser, over all of them", late, "ms", 0),
            spread("event to the real Chromium beside them", _waits(drawn, window), "ms", 0),
            exactly("grants that did not arrive, over all of them", missing, 0),
            exactly("sockets that the site closed", sum(socket.ended != "" for socket in sockets), 0),
            at_most("memory of the site per browser", (crowd_mb - alone_mb) / BROWSERS, MB_MAX, "MB", 2),
            Row("memory of the site", f"{alone_mb:.0f} MB with one browser, {crowd_mb:.0f} MB with {BROWSERS} more"),
            Row("CPU of the site's process, of one core", f"{100 * cpu / seconds:.0f} %"),
            Row("load", f"{done / seconds:,.0f} operations/s"),
        ]


async def _open_page(browser: Any, site: Site, visitor: Visitor) -> Page:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    await context.add_cookies(
        [{"name": name, "value": value, "url": site.origin} for name, value in visitor.cookies.items()]
    )
    await context.add_init_script(path=SCRIPT)
    page: Page = await context.new_page()
    await page.goto(f"{site.origin}/")
    return page


async def _enter(sockets: list[LiveSocket], visitor: Visitor) -> None:
    """Ask for what a page asks, and then for the live socket; five come at a time."""
    gate = asyncio.Semaphore(5)

    async def one(socket: LiveSocket) -> None:
        async with gate:
            for path in AS_THE_PAGE:
                answer = await asyncio.to_thread(visitor.ask, "GET", path)
                if answer.status != 200:
                    raise NotMeasured(f"{path} answered {answer.status}")
            visitor.heard.clear()
            await socket.open()

    await asyncio.gather(*map(one, sockets))


async def _lose_some(sockets: list[LiveSocket]) -> None:
    for socket in sockets[::LOST_ONE_IN]:
        await socket.close()
        await socket.open()


def _granted_in(load: Load, window: tuple[float, float]) -> set[str]:
    return {key for key, at in load.acquired.items() if window[0] <= at < window[1]}


def _messages(arrivals: Iterable[tuple[float, bytes]]) -> Iterable[tuple[float, dict[str, Any]]]:
    for at, text in arrivals:
        message = json.loads(text)
        if message["type"] in {"delta", "snapshot"}:
            yield at, message


def _heard(arrivals: Iterable[tuple[float, bytes]]) -> set[str]:
    """Return the keys whose grants arrived, as events or in a snapshot."""
    return {
        event["key"] for _, message in _messages(arrivals) for event in message["events"] if event["kind"] == "granted"
    }


def _waits(arrivals: Iterable[tuple[float, bytes]], window: tuple[float, float]) -> list[float]:
    """Return how long events of the window took, in milliseconds."""
    return [
        at - event["time_ms"]
        for at, message in _messages(arrivals)
        if message["type"] == "delta"
        for event in message["events"]
        if window[0] <= event["time_ms"] < window[1]
    ]
