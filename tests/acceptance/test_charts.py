"""The charts, in a real browser over a real cluster: one cursor, one stretch of time, and the same behind a link.

Elsewhere: what is drawn (tests/js/charts.test.js), the numbers (tests/dlmsite/dashboard/test_series.py).
"""

from __future__ import annotations

import re
import subprocess
import sys
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.running import ROOT, Running, enter, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.acceptance

SOON_MS = 30_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("charts") / "data") as cluster:
        yield cluster


def token(running: Running, scope: str) -> str:
    """Make a token as people do."""
    command = [sys.executable, "manage.py", "token", "create", scope, "--scope", scope, "--data", str(running.data)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def call(running: Running, path: str, shown: str, method: str = "GET") -> str:
    """Ask with a token, as a program does."""
    connection = HTTPConnection("127.0.0.1", running.port, timeout=10)
    connection.request(method, path, headers={"Authorization": f"Bearer {shown}"})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    assert answer.status in {200, 202}, said
    return said


def test_a_failover_is_seen_on_the_charts_and_a_link_shows_the_same(page: Page, running: Running) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    enter(page, running.login_link())
    page.goto(f"{running.url}charts/?last=60")
    charts = page.locator(".chart svg")
    expect(charts).to_have_count(5)
    expect(page.locator(".chart path.line").first).to_be_visible(timeout=SOON_MS)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#legend li")).to_have_count(3, timeout=SOON_MS)

    call(running, "/api/nodes/n2/kill/", token(running, "operate"), "POST")
    expect(page.locator("#failovers")).to_contain_text("n2 marked down, settled after", timeout=SOON_MS)
    expect(page.locator(".chart .failover").first).to_be_attached()

    # The keyboard moves one cursor over all charts, and says what stands there.
    page.locator("#charts").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".chart .cursor line")).to_have_count(5)
    expect(page.locator("#spoken")).to_contain_text("Operations: n1 ")

    # A stretch that is dragged is in the address; "Live" is one press away.
    box = charts.first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"\?from=.*&to="))
    expect(page.locator("#link")).to_have_text("fixed time")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#shown")).to_contain_text("per point", timeout=SOON_MS)
    expect(page.locator("#shown")).to_have_text(other.locator("#shown").inner_text(), timeout=SOON_MS)
    other.get_by_text("The same as a table").click()
    expect(other.locator("#rows tr").first).to_contain_text("/s")
    other.close()

    page.get_by_role("button", name="Live", exact=True).click()
    expect(page.locator("#link")).to_have_text("live", timeout=SOON_MS)
    expect(page).to_have_url(re.compile(r"/charts/\?last=60$"))
    page.go_back()
    expect(page.locator("#link")).to_have_text("fixed time")
    assert problems == []


def test_the_page_fits_a_phone(page: Page, running: Running) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    enter(page, running.invite("eve", "viewer"))
    page.goto(f"{running.url}charts/")
    expect(page.locator(".chart path.line").first).to_be_attached(timeout=SOON_MS)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_metrics_of_a_real_cluster_count_what_was_done(running: Running) -> None:
    told = call(running, "/metrics", token(running, "read"))
    (done,) = re.findall(r'^lockring_operation_duration_seconds_count\{node="n1"\} (\S+)$', told, re.MULTILINE)
    assert float(done) > 0
    assert re.search(r"^lockring_recorder_lag_seconds \S+$", told, re.MULTILINE)
