"""Going back in time, in a real browser on a real cluster.

Elsewhere: telling moments again (tests/dlmsite/journal/test_momentread.py), the model (tests/js/timeline.test.js).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

import lockcore
from tests.acceptance.running import Running, settled
from tests.acceptance.test_page import SOON_MS, log_in

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(240)]

KEY = "travel/held"
LIVE = re.compile(r"/$")
THEN = re.compile(r"\?at=\d{19}$")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("travel") / "data", "--no-workload") as cluster:
        yield cluster


def state_of(page: Page, label: str) -> Locator:
    return page.locator(f'tr[data-node="{label}"] .badge:not(.hold)').first


def test_before_a_kill_the_old_ring_is_seen_shared_compared_and_left_by_one_key(page: Page, running: Running) -> None:
    """What did happen: the ring as it was, the same picture for a colleague, what moved, and back to the present."""
    log_in(page, running)
    with lockcore.connect(running.target) as client, client.lock(KEY, ttl=20.0, owner="the holder"):
        expect(page.locator("#locks-total")).to_have_text("1", timeout=SOON_MS)
        page.get_by_role("button", name="Kill n2").click()
        page.locator("#action-confirm").click()
        expect(state_of(page, "n2")).to_have_text("killed", timeout=SOON_MS)
    expect(page.locator("#locks-total")).to_have_text("0", timeout=SOON_MS)
    faults = page.locator("#timeline-track svg .mark.fault")
    expect(faults).to_have_count(1, timeout=SOON_MS)
    expect(page.locator("#legend li")).to_have_count(2, timeout=SOON_MS)

    page.locator("#marks summary").click()
    expect(page.locator('#marks-body tr[data-kind="version"]', has_text="n2 left")).to_have_count(1, timeout=SOON_MS)
    page.locator('#marks-body tr[data-kind="action"] button').click()
    expect(page).to_have_url(THEN)
    expect(page.locator("#past")).to_be_visible()
    expect(page.locator("#legend li")).to_have_count(3, timeout=SOON_MS)
    expect(state_of(page, "n2")).to_have_text("up", timeout=SOON_MS)
    expect(page.get_by_role("button", name="Kill n1")).to_be_disabled()
    expect(page.locator("#timeline-track")).to_have_attribute("aria-valuetext", re.compile("kill n2 .*, past"))
    expect(page.locator("#locks-total")).to_have_text("1", timeout=SOON_MS)
    then = page.locator("#past-time").get_attribute("title") or ""

    colleague = page.context.new_page()
    colleague.goto(page.url)
    expect(colleague.locator("#past-time")).to_have_attribute("title", then, timeout=SOON_MS)
    expect(colleague.locator("#legend li")).to_have_count(3, timeout=SOON_MS)
    expect(colleague.locator("#locks-total")).to_have_text("1", timeout=SOON_MS)
    colleague.close()

    page.locator("#timeline-compare").click()
    page.locator("#timeline-track").focus()
    for _ in range(3):  # died, view, version
        page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"\?at=\d{19}&with=\d{19}$"))
    expect(page.locator("#compare-text")).to_contain_text("of the key space changed its primary", timeout=SOON_MS)
    expect(page.locator("#compare-body table", has_text="Nodes")).to_contain_text("n2")

    page.keyboard.press("l")
    expect(page).to_have_url(LIVE)
    expect(page.locator("#past")).to_be_hidden()
    expect(state_of(page, "n2")).to_have_text("killed", timeout=SOON_MS)
    expect(page.get_by_role("button", name="Kill n1")).to_be_enabled(timeout=SOON_MS)
    expect(page.locator("#link")).to_contain_text("connected")
    expect(state_of(page, "n1")).to_have_text("up", timeout=SOON_MS)
    expect(page.locator("#locks-total")).to_have_text("0", timeout=SOON_MS)
