"""What the first issue of Lockring promised, in a real browser on a real cluster.

Elsewhere: the page's models (tests/js), the views and sockets (tests/dlmsite/dashboard).
"""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import lockcore
from lockcore import aio
from lockcore.core.operations import Granted
from tests.acceptance.running import Running, enter, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance

KEY = "acceptance/held"
SOON_MS = 30_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("page") / "data", "--no-workload") as cluster:
        yield cluster


def log_in(page: Page, running: Running) -> None:
    """Use the printed link once; afterwards the session is kept by the browser."""
    enter(page, running.login_link())
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    expect(page.locator("#view-settled")).to_have_text(re.compile("^settled"), timeout=SOON_MS)


def test_a_holder_keeps_its_lock_when_its_primary_is_killed_on_the_page(page: Page, running: Running) -> None:
    """The promise itself: same holder, same generation, another primary; seen, not told."""
    log_in(page, running)
    address_of = dict(
        zip(
            page.locator("tr[data-node]").evaluate_all("rows => rows.map(r => r.dataset.node)"),
            [f"127.0.0.1:{running.port + i}.{running.port + 10_000 + i}" for i in (1, 2, 3)],
            strict=True,
        )
    )
    label_of = {address: label for label, address in address_of.items()}
    lost: list[object] = []
    with lockcore.connect(running.target) as client:
        with client.lock(KEY, ttl=7.0, owner="the holder", on_lost=lambda *what: lost.append(what)) as lock:
            generation = lock.generation
            primary = label_of[client.primary_of(KEY) or ""]
            expect(page.locator("#tail-body tr[data-kind=granted]").first).to_contain_text(KEY, timeout=SOON_MS)

            page.locator("#search-key").fill(KEY)
            expect(page.locator("#search-result")).to_contain_text(primary, timeout=SOON_MS)
            expect(page.locator("#search-result")).to_contain_text("the holder", timeout=SOON_MS)

            view = page.locator("#view-number").get_attribute("title")
            page.get_by_label(f"Kill {primary}").click()
            dialog = page.locator("#action-dialog")
            expect(dialog).to_contain_text("of the key space")
            expect(dialog).to_contain_text("1 held lock")
            page.locator("#action-confirm").click()

            expect(page.locator("#actions li[data-action]").first).to_have_attribute(
                "data-state", "done", timeout=SOON_MS
            )
            expect(page.locator(f"tr[data-node={primary}]")).to_contain_text("killed", timeout=SOON_MS)
            expect(page.locator("#view-number")).not_to_have_attribute("title", view or "", timeout=SOON_MS)
            expect(page.locator("#tail-body tr[data-kind=promoted]").first).to_contain_text(KEY, timeout=SOON_MS)
            expect(page.locator("#ring-caption")).to_contain_text(primary)

            heir = wait_for(lambda: _other(client.primary_of(KEY), address_of[primary]), "another primary")
            expect(page.locator("#search-result")).to_contain_text(label_of[heir], timeout=SOON_MS)
            wait_for(lambda: client.owner_of(KEY) or None, "the owner at the new primary")
            assert lock.is_locked
            assert lock.generation == generation
            assert lost == []
        expect(page.locator("#tail-body tr[data-kind=released]").first).to_contain_text(KEY, timeout=SOON_MS)

        page.get_by_label(f"Restart {primary}").click()
        page.locator("#action-confirm").click()
        expect(page.locator("#actions li[data-action]").first).to_have_attribute("data-state", "done", timeout=SOON_MS)
        expect(page.locator(f"tr[data-node={primary}]")).to_contain_text("up", timeout=SOON_MS)


def _other(now: str | None, before: str) -> str | None:
    return now if now and now != before else None


def test_a_viewer_sees_everything_and_can_do_nothing(page: Page, running: Running) -> None:
    """The refusal is the server's, and it is recorded; the link in a scroll-back buffer opens no door twice."""
    link = running.invite("eve", "viewer")
    enter(page, link)
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    expect(page.get_by_label("Kill n1")).to_have_count(0)
    answer = page.evaluate(
        """async () => {
            const token = document.querySelector('meta[name=csrf-token]').content;
            const reply = await fetch('/api/nodes/n1/kill/', {method: 'POST', headers: {'X-CSRFToken': token}});
            return [reply.status, reply.headers.get('content-type')];
        }"""
    )
    assert answer == [403, "application/problem+json"]
    expect(page.locator("#actions")).to_contain_text("eve", timeout=SOON_MS)
    expect(page.locator("tr[data-node=n1]")).to_contain_text("up")

    page.context.clear_cookies()
    page.goto(link)
    expect(page.locator("body")).to_contain_text("manage.py invite")
    page.goto(running.url)
    expect(page).to_have_url(re.compile("/login/"))


def test_a_page_shows_thousands_of_held_locks_and_goes_on(page: Page, running: Running) -> None:
    """Their snapshot is larger than a server lets one message be, and what comes after it must still arrive."""
    count, owner = 3_000, "o" * 300

    async def hold_all() -> None:
        async with aio.connect(running.target) as client:
            for first in range(0, count, 100):
                keys = [f"many/{i}" for i in range(first, first + 100)]
                while keys:  # who is told too late has let go of it, and asks again
                    answers = await asyncio.gather(*(client.acquire(key, ttl=60.0, owner=owner) for key in keys))
                    keys = [key for key, got in zip(keys, answers, strict=True) if not isinstance(got, Granted)]

    threading.Thread(target=asyncio.run, args=(hold_all(),)).start()
    enter(page, running.invite("zoe", "viewer"))
    held = page.locator("#locks-total")
    wait_for(lambda: int(re.sub(r"\D", "", held.inner_text()) or 0) >= count, f"{count} locks on the page")
    page.reload()
    wait_for(lambda: int(re.sub(r"\D", "", held.inner_text()) or 0) >= count, "the same after a reload")
    with lockcore.connect(running.target) as client, client.lock("after/all", ttl=7.0, owner="late"):
        expect(page.locator("#tail-body")).to_contain_text("after/all", timeout=SOON_MS)
