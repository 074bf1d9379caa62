"""Every thing to try, in a real browser on a real cluster: what was expected is measured, and all is as before.

Elsewhere: judging (tests/dlmsite/operations/scenarios/test_verdicts.py), how a run ends (test_runner.py beside it).
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.running import Running, known_to, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, StorageState

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

SOON_MS = 60_000
TRIED_MS = 150_000
SCENARIOS = ["kill-primary", "drop-join", "rolling-restart", "freeze", "cut-master", "kill-both"]
TIMED = {"update"}
"""Whether a process starts within a second is for the machine to say: then it is not known, and says so."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("totry") / "data", "--no-workload") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def known(running: Running, browser: Browser) -> StorageState:
    return known_to(browser, running)


@pytest.fixture
def operator(running: Running, known: StorageState, browser: Browser) -> Iterator[Page]:
    """The page, with an operator logged in."""
    context = browser.new_context(storage_state=known)
    context.set_default_timeout(SOON_MS)
    page = context.new_page()
    page.goto(running.url)
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    yield page
    context.close()


def begin(page: Page, running: Running, scenario: str) -> None:
    """Press its button as soon as nothing is in its way, and see it begin."""
    if page.locator("#totry").get_attribute("open") is None:
        page.locator("#totry-open").click()
    card = page.locator(f"[data-scenario={scenario}]")
    expect(card.get_by_role("button", name="Try it")).to_be_enabled(timeout=TRIED_MS)
    before = running.rows("SELECT coalesce(max(id), 0) FROM operations_scenariorun")[0][0]
    card.get_by_role("button", name="Try it").click()
    taken = f"#totry-run[data-run]:not([data-run='{before}']) [data-step=take][data-state=done]"
    expect(page.locator(taken)).to_be_attached(timeout=TRIED_MS)


def open_run(page: Page) -> Locator:
    """Show the run that was tried last: one that is over is closed on a fresh page."""
    if page.locator("#totry").get_attribute("open") is None:
        page.locator("#totry-open").click()
    run = page.locator("#totry-run[data-run]")
    expect(run).to_be_visible(timeout=SOON_MS)
    if run.get_attribute("open") is None:
        run.locator("summary").click()
    return run


def labels_up(running: Running) -> list[str]:
    return sorted(node["label"] for node in running.wait_settled()["nodes"])


def leftovers(running: Running) -> list[tuple[object, ...]]:
    """What a scenario must not leave behind: holds, its locks."""
    held = running.rows("SELECT key FROM journal_heldlock WHERE key LIKE 'try/%'")
    return held + running.rows("SELECT label FROM operations_hold")


def test_a_first_visit_finds_what_to_try_without_a_word_of_documentation(operator: Page) -> None:
    """The panel is open, says what each does and what to expect, and stays closed for whoever closes it."""
    page = operator
    panel = page.locator("#totry")
    expect(panel).to_have_attribute("open", "")
    expect(panel.locator("summary").first).to_contain_text("New here?")
    expect(panel.locator("[data-scenario]")).to_have_count(len(SCENARIOS))
    card = page.locator("[data-scenario=kill-both]")
    card.locator("summary").click()
    blank = page.evaluate(
        "document.documentElement.scrollHeight - Math.ceil(document.body.getBoundingClientRect().bottom + scrollY)"
    )
    assert blank <= 0, "the page ends where its content does"
    expect(card).to_contain_text("Kill the primary and the backup at once (SIGKILL)")
    expect(card).to_contain_text("Its holder comes back by its token, with the same generation")
    panel.locator("summary").first.click()
    page.reload()
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    expect(panel).not_to_have_attribute("open", "")
    page.locator("#totry-open").click()
    expect(panel).to_have_attribute("open", "")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_expected_is_measured_and_all_is_as_before(operator: Page, running: Running, scenario: str) -> None:
    page = operator
    before = labels_up(running)
    begin(page, running, scenario)
    if scenario == "freeze":  # nobody has to watch: the page is closed, and finds it again
        page.goto("about:blank")
        page.goto(running.url)
    run = page.locator("#totry-run")
    status = run.locator("[role=status]")
    expect(status).to_have_text(re.compile("as expected|not all is known|failed"), timeout=TRIED_MS)
    open_run(page)
    rows = run.locator("tr[data-expects]")
    found = {
        row.get_attribute("data-expects"): (row.get_attribute("data-result"), row.inner_text()) for row in rows.all()
    }
    late = {name for name, (result, _) in found.items() if result == "unknown"} & TIMED
    assert {name: told for name, told in found.items() if told[0] != "kept" and name not in late} == {}
    assert len(found) >= 6
    assert labels_up(running) == before
    wait_for(lambda: not leftovers(running), "its lock and its holds to be gone")
    seen = running.rows("SELECT who, what, state FROM operations_operatoraction WHERE what != 'try'")
    assert {(who, state) for who, _, state in seen} == {("operator", "done")}


def test_what_was_measured_leads_to_the_lock_the_history_and_that_moment(operator: Page, running: Running) -> None:
    page = operator
    run = open_run(page)
    key = str(running.rows("SELECT key FROM operations_scenariorun ORDER BY id DESC LIMIT 1")[0][0])
    moment = run.locator("tr[data-expects=back] a")
    expect(moment).to_have_attribute("href", re.compile(r"^/\?at=\d{19}$"))
    moment.click()
    expect(page.locator("#past")).to_be_visible(timeout=SOON_MS)
    page.goto(running.url)
    open_run(page).locator(".links a").first.click()
    expect(page.locator("#key")).to_have_value(key, timeout=SOON_MS)
    expect(page.locator("#life-body tr").first).to_be_visible(timeout=SOON_MS)


def test_one_that_is_cancelled_or_whose_site_is_stopped_leaves_all_as_before(operator: Page, running: Running) -> None:
    page = operator
    before = labels_up(running)
    begin(page, running, "cut-master")
    expect(page.locator("#totry-run [data-step=cut]")).to_have_attribute("data-state", "done", timeout=SOON_MS)
    other = page.locator("[data-scenario=rolling-restart]").get_by_role("button", name="Try it")
    expect(other).to_be_disabled(timeout=SOON_MS)
    page.get_by_role("button", name="Cancel, and put everything back").click()
    expect(page.locator("#totry-run [role=status]")).to_have_text("cancelled", timeout=TRIED_MS)
    assert labels_up(running) == before
    wait_for(lambda: not leftovers(running), "its lock and its hold to be gone")

    begin(page, running, "kill-primary")
    expect(page.locator("#totry-run [data-step=kill]")).to_have_attribute("data-state", "done", timeout=SOON_MS)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    running.start()
    assert labels_up(running) == before
    ended = running.rows("SELECT state, detail FROM operations_scenariorun ORDER BY id DESC LIMIT 1")
    assert ended == [("cancelled", "the site ended while this was under way; what it had stopped is started again")]
