"""What the page says of health and invariants, in a real browser on a real cluster: never more than was measured.

Elsewhere: the rules of it (tests/js: health, invariants), the running check (tests/dlmsite/journal).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.service.channels import Gate, next_bytes, open_channel, open_stream
from lockcore.service.secrets import FILE_NAME, load_or_create_secret
from lockcore.wire.master_codec import encode_events
from lockcore.wire.methods import REPORT
from tests.acceptance.running import Running, enter, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance

SOON_MS = 30_000
GRANTED, RELEASED, EXPIRED = EventKind.GRANTED, EventKind.RELEASED, EventKind.EXPIRED

# What the page has shown, noted at each change: a state that lasts a second is not to be missed between two looks.
NOTE_ALL = """() => {
    window.shown = [];
    const note = () => {
        for (const row of document.querySelectorAll('tr[data-node]')) {
            const told = [row.dataset.node, row.querySelector('.badge:not(.hold)').textContent].join(' ');
            if (window.shown.findLast((old) => old.startsWith(row.dataset.node)) !== told) window.shown.push(told);
        }
        const delay = document.querySelector('#stabilising');
        if (!delay.hidden && window.shown.at(-1) !== delay.textContent) window.shown.push(delay.textContent);
    };
    const all = {subtree: true, childList: true, characterData: true, attributes: true};
    new MutationObserver(note).observe(document.body, all);
    note();
}"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("health") / "data", "--no-workload") as cluster:
        yield cluster


@pytest.fixture
def open_page(page: Page, running: Running) -> Page:
    """Log in as a viewer: seeing needs no more."""
    enter(page, running.invite(f"viewer{time.time_ns()}", "viewer"))
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    all_up(page)
    return page


def all_up(page: Page) -> None:
    for label in ("n1", "n2", "n3"):
        expect(badge(page, label)).to_have_text("up", timeout=SOON_MS)
    expect(page.locator("#view-settled")).to_have_text("settled", timeout=SOON_MS)


def badge(page: Page, label: str) -> Any:
    return page.locator(f"tr[data-node={label}] .badge:not(.hold)")


def pid_of(running: Running, label: str) -> int:
    ((pid,),) = running.rows("SELECT pid FROM journal_node WHERE label = ?", label)
    return int(pid)


def report(running: Running, batch: EventBatch) -> None:
    """Report facts as a node does, again until they are taken, in a thread: Playwright's event loop is in this one."""
    gate = Gate(load_or_create_secret(running.data / FILE_NAME))

    async def send() -> bool:
        async with open_channel(f"127.0.0.1:{running.port + 10_000}") as channel, asyncio.timeout(30):
            stream = open_stream(channel, REPORT, gate)
            await stream.write(encode_events(batch))
            told = await next_bytes(stream)
            stream.cancel()
            return bool(told)

    def sent() -> bool:
        with suppress(grpc.RpcError, TimeoutError):  # a machine that is busy answers no new connection for a while
            return asyncio.run(send())
        return False

    with ThreadPoolExecutor(1) as thread:
        thread.submit(wait_for, sent, "the facts are taken").result()


def test_a_node_that_stops_answering_is_suspected_and_then_down_and_never_up_meanwhile(
    open_page: Page, running: Running
) -> None:
    """A stopped process keeps its connections open: only missing heartbeats tell."""
    page, pid = open_page, pid_of(running, "n2")
    page.evaluate(NOTE_ALL)
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(badge(page, "n2")).to_have_text("down", timeout=SOON_MS)
        shown = page.evaluate("window.shown")
        # A page that is kept waiting by the machine says "unknown", which is right, and not what is tried here.
        states = [told for told in shown if told.startswith("n2 ") and not told.endswith("unknown")]
        assert [told for told, _ in groupby(states)] == ["n2 up", "n2 suspected", "n2 down"], shown
        expect(page.locator("tr[data-node=n2]")).to_have_class(re.compile("is-down"))
        expect(page.locator("#view-settled")).to_have_text("settled", timeout=SOON_MS)
    finally:
        os.kill(pid, signal.SIGCONT)
    all_up(page)
    counted = [float(told.split()[3]) for told in page.evaluate("window.shown") if told.startswith("ring update in")]
    assert len(set(counted)) >= 4, "the delay is counted down, not only named"
    assert any(earlier > later for earlier, later in pairwise(counted))
    expect(page.locator("#stabilising")).to_be_hidden(timeout=SOON_MS)


def test_a_page_that_hears_nothing_more_claims_nothing_more(page: Page, running: Running) -> None:
    """The connection stays open and falls silent; nobody tells the page that what it shows is old."""
    silent = threading.Event()

    def between(browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()
        browser.on_message(server.send)
        server.on_message(lambda message: None if silent.is_set() else browser.send(message))

    page.route_web_socket(re.compile("/ws/live/"), between)
    enter(page, running.invite(f"viewer{time.time_ns()}", "viewer"))
    all_up(page)
    expect(page.locator("#invariants-pill")).to_have_text("0 violations", timeout=SOON_MS)
    page.locator("#tables summary").click()
    page.get_by_role("button", name="Members").click()
    expect(page.locator("#tables-body")).to_contain_text("up, settled", timeout=SOON_MS)

    silent.set()
    for label in ("n1", "n2", "n3"):
        expect(badge(page, label)).to_have_text("unknown", timeout=SOON_MS)
        expect(page.locator(f"tr[data-node={label}]")).to_contain_text("was up")
    expect(page.locator("#view-settled")).to_have_attribute("data-tone", "unknown")
    expect(page.locator("#invariants-pill")).to_have_attribute("data-tone", "unknown", timeout=SOON_MS)
    expect(page.locator("#link")).not_to_have_attribute("data-tone", "ok", timeout=SOON_MS)
    expect(page.locator("#tables-body")).not_to_contain_text("up, settled", timeout=SOON_MS)
    expect(page.locator('.app [data-tone="ok"]')).to_have_count(0, timeout=SOON_MS)

    silent.clear()
    all_up(page)


def test_near_misses_pass_and_a_contradiction_is_shown_with_both_events(open_page: Page, running: Running) -> None:
    """Planted as reports of a node; the rest of the way is the one that real ones take."""
    page = open_page
    address = f"127.0.0.1:{running.port + 1}.{running.port + 10_001}"
    view = time.time_ns()
    pill = page.locator("#invariants-pill")

    def told(first: int, key: str, *what: tuple[EventKind, int], source: str = address, at: int = 0) -> EventBatch:
        events = (Event(kind, key, "ada", view + at + g, 1, view + at, view) for kind, g in what)
        numbered = tuple(NumberedEvent(first + i, time.time_ns(), event) for i, event in enumerate(events))
        return EventBatch(source, 7, numbered)

    report(running, told(1, "near", (GRANTED, 1), (RELEASED, 1), (GRANTED, 2), (EXPIRED, 2), (GRANTED, 3)))
    report(running, told(1, "near", (GRANTED, 4), source="127.0.0.1:9.19", at=1_000))
    wait_for(lambda: running.rows("SELECT checked FROM journal_checking") == [(_recorded(running),)], "all are checked")
    expect(pill).to_have_text("0 violations", timeout=SOON_MS)
    expect(page.locator("#invariants-text")).to_contain_text("events checked since")
    expect(page.locator("#violations li")).to_have_count(0)

    overlap = told(6, "planted/overlap", (GRANTED, 10), (GRANTED, 11))
    report(running, overlap)
    expect(pill).to_have_text("1 violation", timeout=SOON_MS)
    repeated = told(8, "planted/twice", (GRANTED, 20), (RELEASED, 20), (GRANTED, 20))
    report(running, repeated)
    expect(pill).to_have_text("2 violations", timeout=SOON_MS)
    expect(pill).to_have_attribute("data-tone", "bad")
    expect(page.locator("#invariants")).to_have_attribute("open", "")
    expect(page.locator("#invariants-body tr[data-rule=I1]")).to_contain_text("1")
    expect(page.locator("#invariants-body tr[data-rule=I2]")).to_contain_text("1")
    expect(page.locator("#invariants-body tr[data-rule=I4] .badge")).to_have_text("0")

    report(running, overlap)  # delivered again, as after a lost acknowledgement
    page.set_viewport_size({"width": 360, "height": 780})
    page.locator("#violations li", has_text="planted/overlap").get_by_role("button").click()
    dialog = page.locator("#violation-dialog")
    expect(dialog).to_contain_text("Violation of I1")
    for generation in (view + 10, view + 11):
        expect(dialog.get_by_role("cell", name=str(generation), exact=True)).to_be_visible()
    expect(dialog).to_contain_text("Generation ≠")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("#violation-close").click()

    running.stop()
    running.start()
    page.set_viewport_size({"width": 1400, "height": 900})
    wait_for(lambda: running.status().get("settled"), "a settled view after the restart")
    page.goto(running.url)
    expect(pill).to_have_text("2 violations", timeout=SOON_MS)
    assert [rule for (rule,) in running.rows("SELECT rule FROM journal_violation ORDER BY rule")] == ["I1", "I2"]


def _recorded(running: Running) -> int:
    ((count,),) = running.rows("SELECT count(*) FROM journal_lockevent")
    return int(count)
