"""The page of the history, in a real browser on a real cluster.

Elsewhere: what a filter finds (tests/dlmsite/dashboard/test_auditquery.py), files (test_auditexport.py).
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import lockcore
from tests.acceptance.running import ROOT, Running, enter, kill_busiest, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lockcore.client.blocking import Client

# A long walk, on a machine that may be busy.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

SOON_MS = 30_000
ROWS = "#body tr[data-id]"
MARKUP = "audit/<img id=smuggled src=x>"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A cluster of three nodes without a workload."""
    with settled(tmp_path / "data", "--no-workload") as started:
        yield started


def test_who_held_this_lock_is_found_followed_opened_and_exported(page: Page, running: Running) -> None:
    """One walk: filter by prefix, follow, pause and resume, a killed node's moves, a file, a whole chain."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    enter(page, running.login_link())
    page.get_by_role("link", name="History").click()
    expect(page.locator("#status")).to_contain_text("row", timeout=SOON_MS)
    with lockcore.connect(running.target) as client:
        follow(page, running, client)
        open_one(page, running)
        go_from_action_to_moves(page, running)
    export(page, running)
    page.goto(f"{running.url}audit/?from=nonsense")
    expect(page.locator("#problem")).to_contain_text("from is no time", timeout=SOON_MS)
    assert [line for line in errors if "400" not in line] == []  # the browser itself tells of the refusal
    running.stop()
    verify = [sys.executable, "manage.py", "audit", "verify", "--data", str(running.data)]
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, check=False, text=True, timeout=60)
    assert (done.returncode, "whole" in done.stdout) == (0, True), done.stdout + done.stderr
    assert "Traceback" not in running.logged()


def follow(page: Page, running: Running, client: Client) -> None:
    """Filter by prefix, watch rows come, pause, and go on where it stopped."""
    rows, status = page.locator(ROWS), page.locator("#status")
    page.locator("#f-match").select_option("prefix")
    page.locator("#f-key").fill("audit/")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile(r"/audit/\?prefix=audit%2F$"))
    expect(status).to_contain_text("matches")
    for n in range(12):
        client.acquire(f"audit/{n}", ttl=60.0, owner=f"owner-{n}")
    client.acquire("other", ttl=60.0, owner="eve")
    expect(rows).to_have_count(12, timeout=SOON_MS)  # followed, without a reload
    page.get_by_role("button", name="Pause").click()
    client.acquire(MARKUP, ttl=60.0, owner="mallory")
    wait_for(lambda: MARKUP in [key for key, _ in running.events("granted")], "the row of the last lock")
    expect(status).to_contain_text("there is more", timeout=SOON_MS)
    expect(rows).to_have_count(12)
    page.get_by_role("button", name="Follow").click()
    expect(rows).to_have_count(13, timeout=SOON_MS)


def open_one(page: Page, running: Running) -> None:
    """One lock's grant, with its fencing token, opened by the keyboard."""
    rows = page.locator(ROWS)
    token = running.rows("SELECT generation FROM journal_lockevent WHERE key = ?", "audit/7")[0][0]
    page.goto(f"{running.url}audit/?key=audit/7&kind=granted&columns=key,owner,generation")
    expect(rows).to_have_count(1, timeout=SOON_MS)
    expect(rows).to_contain_text(str(token))
    rows.get_by_role("button").press("Enter")
    expect(page.locator("#detail")).to_contain_text("Place in the chain", timeout=SOON_MS)
    expect(page).to_have_url(re.compile(r"open=\d+"))


def go_from_action_to_moves(page: Page, running: Running) -> None:
    """Action -> view -> locks moved, and back."""
    rows, detail = page.locator(ROWS), page.locator("#detail")
    with lockcore.connect(running.target) as client:
        for n in range(6):  # the leases of the others may be over by now
            client.acquire(f"late/{n}", ttl=60.0, owner="late")
    victim = kill_busiest(page, running)  # without a promotion there is nothing to link to
    page.goto(f"{running.url}audit/?operator=operator")
    expect(rows).to_have_count(2, timeout=SOON_MS)
    expect(rows.first).to_contain_text(f"kill {victim} done")
    rows.first.get_by_role("button").click()
    expect(detail).to_contain_text(f"{victim} is down", timeout=SOON_MS)
    moves = detail.locator("a", has_text="move").first
    count = int(re.findall(r"\d+", moves.inner_text())[0])
    moves.click()
    expect(rows).to_have_count(count, timeout=SOON_MS)
    rows.first.get_by_role("button").click()
    expect(detail).to_contain_text(f"kill {victim}", timeout=SOON_MS)


def export(page: Page, running: Running) -> None:
    """The filtered rows as a file that says it is whole."""
    page.goto(f"{running.url}audit/?prefix=audit/&kind=granted&live=no")
    expect(page.locator(ROWS)).to_have_count(13, timeout=SOON_MS)
    assert page.locator("#smuggled").count() == 0
    page.locator("#export summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV", exact=True).click()
    expect(page.locator("#export-text")).to_contain_text("Sent: 13 rows", timeout=SOON_MS)
    found = list(csv.reader(download.value.path().read_text().splitlines()))
    assert found[-1][:2] == ["#end", "13 rows"]
    assert {row[found[0].index("owner")] for row in found[1:-1]} == {f"owner-{n}" for n in range(12)} | {"mallory"}
