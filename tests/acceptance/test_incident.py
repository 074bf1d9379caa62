"""Who told whom around a killed node, and the same minutes as a file that replays where no server is.

Elsewhere: what an arrow is (tests/dlmsite/dashboard/test_spacetime.py), what is in a file (test_incident.py there).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import lockcore
from tests.acceptance.running import Running, enter, kill_busiest, settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A long walk, on a machine that may be busy.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(500)]

SOON_MS = 60_000
MARKUP = "incident/<img id=smuggled src=x></script>"
LOCKS = 9


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """A cluster of three nodes without a workload."""
    with settled(tmp_path / "data", "--no-workload") as started:
        yield started


def test_a_killed_node_is_told_of_in_space_and_time_and_replayed_from_a_file(
    page: Page, running: Running, tmp_path: Path
) -> None:
    """One walk: hold locks, kill a node, look at who told whom, take the file, end the site, replay."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    enter(page, running.login_link())
    expect(page.get_by_role("link", name="History").first).to_be_visible(timeout=SOON_MS)
    with lockcore.connect(running.target) as client:
        for n in range(LOCKS):
            client.acquire(f"incident/{n}", ttl=60.0, owner=f"owner-{n}")
        client.acquire(MARKUP, ttl=60.0, owner="mallory")
        victim = kill_busiest(page, running)
        # What follows may take longer than the leases.
        first, last = running.rows("SELECT MIN(wall_ns), MAX(wall_ns) FROM journal_lockevent")[0]
        look_at_who_told_whom(page, running)
        file = take_the_file(page, f"{running.url}audit/?from={first}&to={last}&live=no", tmp_path)
    assert errors == []
    page.goto("about:blank")  # the site's own pages would miss it
    running.stop()
    replay(page, file, victim)
    assert errors == []
    assert "Traceback" not in running.logged()


def look_at_who_told_whom(page: Page, running: Running) -> None:
    """From the promotion's row in the history to the view that caused it, by keys, and live again."""
    rows, picked = page.locator("#rows tr[data-event]"), page.locator("#picked")
    number, key = running.rows("SELECT id, key FROM journal_lockevent WHERE kind = 'promoted' ORDER BY id LIMIT 1")[0]
    page.goto(f"{running.url}audit/?kind=promoted&open={number}")
    page.get_by_role("link", name="Who told whom then").click()
    expect(picked).to_contain_text("promoted at", timeout=SOON_MS)
    expect(picked).to_contain_text(key)
    expect(page.locator("#rows tr.picked")).to_have_count(1)
    expect(page).to_have_url(re.compile(rf"event={number}"))
    expect(page.locator("#stage svg")).to_have_attribute("data-points", re.compile(r"^[1-9]"))
    expect(rows.filter(has_text="view from master").first).to_be_visible()
    page.keyboard.press("[")
    expect(page).not_to_have_url(re.compile(rf"event={number}(&|$)"))
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile(rf"event={number}(&|$)"))
    page.goto(f"{running.url}spacetime/?event={number}&span=60000&key=incident/0")
    expect(rows.filter(has_text="granted").first).to_contain_text("copy from", timeout=SOON_MS)
    expect(rows.filter(has_text="granted").first).to_contain_text("answer to owner-0, its arrival is not recorded")
    page.keyboard.press("l")
    expect(page.locator("#live")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#status")).to_contain_text("the last", timeout=SOON_MS)
    expect(page).not_to_have_url(re.compile("event="))
    page.goto(f"{running.url}spacetime/?event={number}&span=60000")
    expect(page.locator("#stage")).to_contain_text("mallory", timeout=SOON_MS)
    assert page.locator("#smuggled").count() == 0


def take_the_file(page: Page, history: str, folder: Path) -> Path:
    """Take the file of an interval that the history shows."""
    page.goto(history)
    page.locator("#export summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Incident file").click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name.startswith("lockring-incident-")
    return file


def replay(page: Page, file: Path, victim: str) -> None:
    """Open it from the disk, with no site any more, and go through it."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    now, locks, nodes = page.locator("#now"), page.locator("#locks tr"), page.locator("#nodes tr")
    expect(page.locator("#chain-pill")).to_have_text("rows verified", timeout=SOON_MS)
    expect(page.locator("#unfinished")).to_be_hidden()
    begun = now.inner_text()
    page.keyboard.press("]")
    expect(now).not_to_have_text(begun, timeout=SOON_MS)
    page.keyboard.press("End")
    expect(page.locator("#held")).to_have_text(str(LOCKS + 1), timeout=SOON_MS)
    expect(locks.filter(has_text="mallory")).to_contain_text(MARKUP)
    expect(page.locator("#actions tr")).to_contain_text(f"kill {victim}")
    expect(nodes.filter(has_text=victim)).not_to_contain_text("up")
    page.locator("#views tr", has_text=f"{victim} is down").get_by_role("button").click()
    expect(nodes.filter(has_text=victim)).to_contain_text("down")
    page.keyboard.press("[")
    expect(nodes.filter(has_text=victim).locator("td").nth(2)).to_have_text("up")
    page.locator("#find").fill("promoted")
    expect(page.locator("#events tr").first).to_contain_text("promoted")
    page.locator("#speed").select_option("1000")
    page.keyboard.press("Home")
    page.locator("#play").click()
    expect(page.locator("#next")).to_be_disabled(timeout=SOON_MS)
    expect(page.locator("#held")).to_have_text(str(LOCKS + 1))
    assert page.locator("#smuggled").count() == 0
    assert asked == [file.as_uri()]
