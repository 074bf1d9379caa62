"""A real SeaweedFS, watched in a real browser: attached, searched, broken, compared; and nothing of it can be operated.

Elsewhere: what the observer sees (tests/weed/test_watch.py), the figures (make bench ONLY=watch).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.running import Running, enter
from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

SOON_MS = 90_000


@pytest.fixture(scope="module")
def weed() -> Iterator[WeedCluster]:
    """Three real filers."""
    with WeedCluster(filers=3) as running:
        yield running


def log_in(page: Page, link: str) -> None:
    enter(page, link)
    expect(page).not_to_have_url(re.compile("/login/"))
    page.wait_for_load_state()  # whoever leaves earlier leaves requests behind that the site waits for at its end


def test_a_real_cluster_is_watched_and_only_watched(page: Page, weed: WeedCluster, tmp_path: Path) -> None:
    """From `--observe` to a death on the page, and back through the versions."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    running = Running(tmp_path / "data", "--no-workload", "--observe", f"prod={weed.master.address}", nodes=1)
    try:
        log_in(page, running.login_link())
        page.goto(f"{running.url}clusters/")
        row = page.locator("tr[data-cluster=prod]")
        expect(row).to_have_attribute("data-state", "following", timeout=SOON_MS)
        row.get_by_role("link", name="prod").click()
        filers = page.locator("#filers-body tr[data-filer]")
        expect(filers.locator(".badge[data-tone=ok]")).to_have_count(3, timeout=SOON_MS)
        expect(page.locator(".pill.watched")).to_have_text("only watched")
        for action in ("Kill", "Stop", "Restart", "Disturb", "Add a node"):
            assert page.get_by_role("button", name=action).count() == 0

        key = "reports/daily"
        page.locator("#search-key").fill(key)
        page.locator("#search-look").click()
        expect(page.locator("#search-result")).to_contain_text("by nobody", timeout=SOON_MS)
        primary = weed.ring().primary(key)
        label = page.locator(f"#filers-body tr[data-address='{primary}']").get_attribute("data-filer")
        expect(page.locator("#search-result")).to_contain_text(f"Primary{label}")

        page.locator("#canary").click()  # it moves when the server says so
        expect(filers.first.locator("td").nth(3)).to_contain_text("/", timeout=SOON_MS)

        weed.filer_at(primary).kill()
        expect(page.locator(f"#tail-body tr[data-kind=gone][data-address='{primary}']")).to_be_visible(timeout=SOON_MS)
        expect(page.locator(f"#tail-body tr[data-kind=left][data-address='{primary}']")).to_be_visible(timeout=SOON_MS)
        expect(page.locator("#filers-total")).to_have_text("2")
        expect(page.locator("#moves-text")).to_contain_text("of the key space changes its primary")
        expect(page.locator("#moves-body tr").first).to_contain_text(str(label))
        page.locator("#churn summary").click()
        expect(page.locator("#churn-text")).to_have_text("3 joined · 1 left", timeout=SOON_MS)
        expect(page.locator("#churn-chart .bar.left")).to_have_count(1)

        page.locator("#earlier").click()
        expect(page.locator("#filers-total")).to_have_text("3")
        expect(page.locator("#now")).to_be_visible()
        page.keyboard.press("l")
        expect(page.locator("#filers-total")).to_have_text("2")

        left = next(filer for filer in weed.filers if filer.address != primary)
        left.kill()
        expect(page.locator("#alerts [data-alert=alone]")).to_contain_text("no backup", timeout=SOON_MS)
        left.start()
        expect(page.locator("#alerts [data-alert=alone]")).to_have_count(0, timeout=SOON_MS)
        assert problems == []
        assert "Traceback" not in running.logged()
    finally:
        running.stop()


def test_a_master_that_is_none_is_said_so_and_can_be_detached(page: Page, weed: WeedCluster, tmp_path: Path) -> None:
    """What everybody writes at first is a wrong port; the site goes on beside it."""
    running = Running(tmp_path / "data", "--no-workload", nodes=1)
    try:
        log_in(page, running.login_link())
        page.goto(f"{running.url}clusters/")
        page.locator("#attach-masters").fill("nowhere")
        page.locator("#attach-send").click()
        expect(page.locator("#attach-problem")).to_contain_text("write HOST:PORT", timeout=SOON_MS)
        page.locator("#attach-masters").fill(f"127.0.0.1:{weed.master.port}.{weed.master.port}")
        page.locator("#attach-name").fill("wrong")
        page.locator("#attach-send").click()
        row = page.locator("tr[data-cluster=wrong]")
        expect(row).to_contain_text("a port of HTTP, not of gRPC", timeout=SOON_MS)
        row.get_by_role("button", name="Detach wrong").click()
        expect(row).to_have_attribute("data-state", "detached", timeout=SOON_MS)

        other = page.context.browser.new_context().new_page()  # type: ignore[union-attr]
        log_in(other, running.invite("eve", "viewer"))
        other.goto(f"{running.url}clusters/")
        expect(other.locator("tr[data-cluster=wrong]")).to_be_visible(timeout=SOON_MS)
        assert other.locator("#attach-form").count() == 0
        assert other.get_by_role("button", name=re.compile("attach|detach", re.IGNORECASE)).count() == 0
        other.context.close()
    finally:
        running.stop()
