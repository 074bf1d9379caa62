"""Script time per redraw of the real page with 64 nodes x 50 virtual nodes and 10,000 held locks.

The page's own HTML, modules and styles run in headless Chromium at 1440 x 900
with two device pixels per CSS pixel; what they are told is canned. The page
measures each redraw itself (`ring-frame`); the time that all its scripts
take, table and tail included, is Chromium's count.

Elsewhere: what is told (canned), the drawing (static/js/ringview.js).
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.bench.browser import chromium
from tests.bench.canned import CannedCluster
from tests.bench.report import NotMeasured, Row, at_most, share, spread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from playwright.async_api import CDPSession, Page, Route, WebSocketRoute

TITLE: Final = "script time per redraw: 64 nodes x 50 virtual nodes, 10,000 held locks"
BOUND_S: Final = 150
NODES: Final = 64
LOCKS: Final = 10_000
FRAME_MS_MAX: Final = 16.0
ORIGIN: Final = "http://localhost:8000"
"""Nothing is asked of it: every request is answered here."""
SCRIPT: Final = Path(__file__).with_name("frames.js")
PUSHES: Final = 100
PUSH_EVERY_S: Final = 0.1
TURNED_OVER: Final = 25
"""Released and granted in each push: 500 events a second."""
KILLS: Final = 12
KILL_EVERY_S: Final = 1.8
"""Longer than the arcs move."""
SWEEPS: Final = 3
STEPS: Final = 120
READY_MS: Final = 30_000


class Told:
    """The page's other side: answers its requests, holds its socket."""

    def __init__(self, cluster: CannedCluster) -> None:
        self.cluster = cluster
        self.html = _html()
        self._socket: WebSocketRoute | None = None

    async def answer(self, route: Route) -> None:
        """Answer a request."""
        from django.contrib.staticfiles import finders

        path = urlsplit(route.request.url).path
        if path == "/":
            await route.fulfill(body=self.html, content_type="text/html; charset=utf-8")
        elif path == "/api/snapshot/":
            await route.fulfill(json=self.cluster.snapshot())
        elif path == "/api/timeline/":
            await route.fulfill(json=self.cluster.line())
        elif path.startswith("/static/") and (found := finders.find(path.removeprefix("/static/"))):
            await route.fulfill(path=str(found))
        else:
            await route.fulfill(status=404, json={})

    def connect(self, socket: WebSocketRoute) -> None:
        """Greet a page that opens its live socket."""
        self._socket = socket
        socket.on_message(lambda _: self.tell({"type": "pong", "server_time_ms": 0}))
        self.tell({"type": "hello", "user": "ada", "can_operate": True, "server_time_ms": 0})
        self.tell(self.cluster.snapshot())

    def tell(self, message: dict[str, Any]) -> None:
        """Send to the page."""
        if self._socket is None:
            raise NotMeasured("the page has opened no live socket")
        self._socket.send(json.dumps(message))


async def measure() -> list[Row]:
    """Return the rows."""
    told = Told(CannedCluster(NODES, LOCKS))
    async with chromium() as browser:
        context = await browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=2)
        await context.add_init_script(path=SCRIPT)
        page = await context.new_page()
        await page.route("**/*", told.answer)
        await page.route_web_socket(re.compile(r"/ws/live/"), told.connect)
        await page.goto(ORIGIN)
        await page.wait_for_function(
            f"document.querySelectorAll('#nodes-body tr').length === {NODES}", timeout=READY_MS
        )
        await page.wait_for_timeout(2_000)
        metrics = await context.new_cdp_session(page)
        await metrics.send("Performance.enable")
        rows = [spread("first drawing", await _frames(page), "ms")]
        for name, act in (
            ("500 events a second", partial(_turn_over, told)),
            ("pointer along the arcs", _sweep),
        ):
            rows += await _watch(name, page, metrics, act)
        rows += await _watch_deaths(told, page)
        heap = await _metric(metrics, "JSHeapUsedSize")
    return [*rows, Row("JavaScript heap at the end", f"{heap / 1e6:.0f} MB")]


async def _watch(name: str, page: Page, metrics: CDPSession, act: Callable[[Page], Awaitable[None]]) -> list[Row]:
    await _frames(page)
    before = await _metric(metrics, "ScriptDuration")
    await act(page)
    script_ms = 1_000 * (await _metric(metrics, "ScriptDuration") - before)
    frames = await _frames(page)
    return [
        at_most(f"{name}: 95 % of redraws", share(frames, 0.95), FRAME_MS_MAX, "ms", 1),
        spread(f"{name}: redraws", frames, "ms"),
        Row(f"{name}: redraws above {FRAME_MS_MAX:.0f} ms", f"{sum(frame > FRAME_MS_MAX for frame in frames)}"),
        Row(f"{name}: all scripts of the page", f"{script_ms / len(frames):.1f} ms per redraw"),
    ]


async def _turn_over(told: Told, _page: Page) -> None:
    for _ in range(PUSHES):
        told.tell(told.cluster.turn_over(TURNED_OVER))
        await asyncio.sleep(PUSH_EVERY_S)


async def _sweep(page: Page) -> None:
    box = await page.locator("#ring").bounding_box()
    if box is None:
        raise NotMeasured("the page shows no ring")
    x, y, radius = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 2
    for step in range(SWEEPS * STEPS):
        angle = 2 * math.pi * step / STEPS
        out = radius * (0.84 + 0.1 * (step % 2))
        await page.mouse.move(x + out * math.sin(angle), y - out * math.cos(angle))
    await page.mouse.move(1, 1)


async def _watch_deaths(told: Told, page: Page) -> list[Row]:
    """Let nodes die: the whole ring is redrawn once for each, then its arcs move."""
    name = "nodes die"
    await _frames(page)
    whole: list[float] = []
    moving: list[float] = []
    for index in range(KILLS):
        told.tell(told.cluster.kill(index * 5))
        await asyncio.sleep(KILL_EVERY_S)
        frames = await _frames(page)
        largest = frames.index(max(frames))
        whole.append(frames[largest])
        moving += frames[:largest] + frames[largest + 1 :]
    return [
        at_most(f"{name}: whole ring, once per death, median", median(whole), FRAME_MS_MAX, "ms", 1),
        spread(f"{name}: whole ring", whole, "ms"),
        at_most(f"{name}: 95 % of redraws while arcs move", share(moving, 0.95), FRAME_MS_MAX, "ms", 1),
        spread(f"{name}: while arcs move", moving, "ms"),
    ]


async def _frames(page: Page) -> list[float]:
    """Return the redraws since the last call, in milliseconds."""
    found: list[float] = await page.evaluate("() => window.frames_ms.splice(0)")
    return found


async def _metric(metrics: CDPSession, name: str) -> float:
    found = await metrics.send("Performance.getMetrics")
    return next(float(metric["value"]) for metric in found["metrics"] if metric["name"] == name)


def _html() -> str:
    """Return the page as the site would, for an operator."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmsite.settings")
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.http import HttpRequest
    from django.template.loader import render_to_string

    from dlmsite.vendor import import_map

    context = {
        "user": User(username="ada"),
        "can_operate": True,
        "tried": True,
        "CSP_NONCE": "bench",
        "csrf_token": "bench",
    }
    return str(render_to_string("dashboard/ring.html", {**context, **import_map(HttpRequest())}))
