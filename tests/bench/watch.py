"""A real SeaweedFS, watched: does our ring agree with its filers, and how soon is a death on the page?

Filers are killed and started, one at a time. At each version every key is asked for at a real filer, which says where
it serves it. Beside it somebody listens to the same master: from when it tells that a filer is gone, to when that
stands in the page's table of events.

Elsewhere: asking filers (tests.weed.agreement), the page (static/js/watched.js).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from lockcore.client.ringfeed import RingFeed
from lockcore.core.ring import HashRing
from tests.bench.browser import chromium, log_in
from tests.bench.report import Row, at_most, exactly, share, spread
from tests.bench.site import Site
from tests.weed.agreement import differences
from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from playwright.async_api import Page

    from lockcore.wire.seaweed_client import MasterTold
    from tests.weed.cluster import WeedProcess

TITLE: Final = "a real SeaweedFS that is watched: agreement, and from the master's word to the page"
BOUND_S: Final = 1_500
FILERS: Final = 4
CHANGES: Final = 20
KEYS: Final = 10_000
SHOWN_MS_MAX: Final = 500.0
WAIT_MS: Final = 60_000
ATTACH: Final = """async (masters) => (await fetch('/api/clusters/attach/', {method: 'POST',
    headers: {'X-CSRFToken': document.querySelector('meta[name=csrf-token]').content},
    body: JSON.stringify({masters, name: 'bench'})})).status"""

SERVERS: Final = "async () => (await (await fetch('/api/cluster/bench/')).json()).ring.servers"


async def measure() -> list[Row]:
    """Return the rows."""
    with WeedCluster(filers=FILERS) as weed:
        async with Site(1) as site, chromium() as browser:
            page = await browser.new_page()
            await log_in(page, site.login_link)
            await page.evaluate(ATTACH, weed.master.address)
            await page.goto(f"{site.origin}/cluster/bench/")
            await page.locator("#filers-body tr[data-filer]").nth(FILERS - 1).wait_for(timeout=WAIT_MS)
            return await _change(weed, page)


async def _change(weed: WeedCluster, page: Page) -> list[Row]:
    told: list[float] = []
    listens = asyncio.Event()

    def hear(_: str, message: MasterTold) -> None:
        if message.ring is not None:
            listens.set()
        if message.node is not None and message.node.node_type == "filer" and not message.node.is_add:
            told.append(time.time() * 1_000)

    feed = RingFeed([weed.master.target], on_told=hear, on_away=lambda _master, _why: None)
    listening = asyncio.create_task(feed.follow())
    wrong: list[str] = []
    shown: list[float] = []
    asked = 0
    try:
        await listens.wait()
        for change in range(CHANGES):
            filer = weed.filers[change // 2 % FILERS]
            if change % 2 == 0:
                filer.kill()
                at_ms = await _shown(page, len(shown) + 1)
                while len(told) <= len(shown):  # noqa: ASYNC110 - a moment, once for each change
                    await asyncio.sleep(0.01)
                shown.append(at_ms - told[len(shown)])
            else:
                filer.start()
            members = [each for each in weed.filers if each.is_running]
            ring = await _agreed(weed, page, members)
            wrong += await differences(
                ring, {each.address: each.target for each in members}, (f"key/{change}/{i}" for i in range(KEYS))
            )
            asked += KEYS
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    note = f" of {asked:,}, at {CHANGES} versions {wrong[:2] or ''}".rstrip()
    return [
        exactly("keys that a real filer serves elsewhere than our ring says", len(wrong), 0, note),
        at_most(
            "a killed filer is on the page within, of the master's word (median)",
            share(shown, 0.5),
            SHOWN_MS_MAX,
            "ms",
            0,
        ),
        at_most("the longest of them", max(shown), SHOWN_MS_MAX, "ms", 0),
        spread("from the master's word to the page", shown, "ms", 0),
    ]


async def _shown(page: Page, number: int) -> float:
    """Return when the page has shown that the number-th filer is gone, wall clock in milliseconds."""
    rows = page.locator("#tail-body tr[data-kind=gone]")
    await rows.nth(number - 1).wait_for(timeout=WAIT_MS)
    return float(await rows.first.get_attribute("data-shown") or 0)


async def _agreed(weed: WeedCluster, page: Page, members: list[WeedProcess]) -> HashRing:
    """Wait until the filers, and then the site, have a version with exactly these; return the site's ring."""
    await asyncio.to_thread(weed.wait_ring, members)
    addresses = {each.address for each in members}
    while True:
        servers = await page.evaluate(SERVERS)
        if set(servers) == addresses:
            return HashRing(servers)
        await asyncio.sleep(0.1)
