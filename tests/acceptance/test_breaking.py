"""Breaking things on purpose, in a real browser on a real cluster: pause, isolate, rehearse.

Elsewhere: the choices and refusals (tests/dlmsite/dashboard/test_faults.py), what a held stream does
(tests/lockcore/service/test_isolation.py).
"""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect

import lockcore
from tests.acceptance.running import Running, enter, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

SOON_MS = 30_000
REHEARSED_MS = 150_000
"""It starts eight processes, and ends its last fault in order; the machine may be busy."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("breaking") / "data", "--no-workload") as cluster:
        yield cluster


@pytest.fixture
def operator(page: Page, running: Running) -> Page:
    """The page, with an operator logged in and three nodes settled."""
    enter(page, running.invite("ada", "operator"))
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    for label in ("n1", "n2", "n3"):
        expect(state_of(page, label)).to_have_text("up", timeout=SOON_MS)
    expect(page.locator("#view-settled")).to_have_text("settled", timeout=SOON_MS)
    return page


def state_of(page: Page, label: str) -> Locator:
    return page.locator(f"tr[data-node={label}] td[data-label=State] .badge")


def hold_of(page: Page, label: str) -> Locator:
    return page.locator(f"tr[data-node={label}] .hold")


def pid_of(running: Running, label: str) -> int:
    return int(running.rows("SELECT pid FROM journal_node WHERE label = ?", label)[0][0])


def stands_still(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_node_paused_past_its_lease_loses_its_arcs_and_comes_back_when_resumed(
    operator: Page, running: Running
) -> None:
    """By keyboard alone; its lock is kept by its holder, served by the backup meanwhile."""
    page = operator
    with lockcore.connect(running.target) as client, client.lock("breaking/held", ttl=7.0, owner="holder") as lock:
        address = client.primary_of("breaking/held") or ""
        row = page.locator(f"tr[data-address='{address}']")
        label = row.get_attribute("data-node") or ""
        pid, generation = pid_of(running, label), lock.generation
        row.get_by_label(f"Disturb {label}").focus()
        page.keyboard.press("Enter")
        page.locator("#disturb-seconds").select_option("60")
        expect(page.locator("#disturb-plan")).to_contain_text("After about 2.5 s the master marks it down")
        expect(page.locator("#disturb-plan")).to_contain_text(re.compile(r"Resumes by itself at \d\d:\d\d:\d\d"))
        page.locator("#disturb-confirm").focus()
        page.keyboard.press("Enter")
        expect(hold_of(page, label)).to_have_text(re.compile(r"^paused, \d+ s$"), timeout=SOON_MS)
        assert stands_still(pid)
        expect(state_of(page, label)).to_have_text("down", timeout=SOON_MS)
        wait_for(lambda: client.primary_of("breaking/held") not in {address, None}, "another primary")
        page.get_by_label(f"Resume {label}").click()
        expect(hold_of(page, label)).to_be_hidden(timeout=SOON_MS)
        assert not stands_still(pid)
        expect(state_of(page, label)).to_have_text("up", timeout=SOON_MS)
        assert (lock.is_locked, lock.generation) == (True, generation)
    assert pid_of(running, label) == pid


def test_a_node_isolated_from_the_master_is_out_of_the_ring_until_its_timer_heals_it(
    operator: Page, running: Running
) -> None:
    page = operator
    pid = pid_of(running, "n2")
    page.get_by_label("Disturb n2").click()
    page.locator("#disturb-what").select_option("master")
    expect(page.locator("#disturb-plan")).to_contain_text("n2 is fenced after 2 s")
    page.locator("#disturb-confirm").click()
    expect(hold_of(page, "n2")).to_have_text(re.compile(r"^isolated from master, \d s$"), timeout=SOON_MS)
    expect(state_of(page, "n2")).to_have_text("down", timeout=SOON_MS)
    expect(hold_of(page, "n2")).to_be_hidden(timeout=SOON_MS)
    expect(state_of(page, "n2")).to_have_text("up", timeout=SOON_MS)
    expect(page.locator("#tail-body")).to_contain_text("n2 is no longer isolated from the master: its time was over")
    assert pid_of(running, "n2") == pid


def test_a_rehearsal_breaks_a_cluster_of_its_own_and_ends_in_a_report(operator: Page, running: Running) -> None:
    """A reload shows the report as well, and the live cluster has noticed nothing."""
    page = operator
    version = page.locator("#view-version").inner_text()
    page.locator("#rehearsal summary").click()
    expect(page.locator("#rehearsal")).to_contain_text("touches no lock and no node of the cluster above")
    page.locator("#rehearsal-form select[name=seconds]").select_option("15")
    page.locator("#rehearsal-seed").fill("7")
    page.locator("#rehearsal-start").click()
    expect(page.locator("#rehearsal-state")).to_have_text("running", timeout=SOON_MS)
    expect(page.locator("#rehearsal-lines li").first).to_be_visible(timeout=REHEARSED_MS)
    with lockcore.connect(running.target) as client, client.lock("breaking/meanwhile", ttl=7.0, owner="live"):
        expect(page.locator("#rehearsal-state")).not_to_have_text("running", timeout=REHEARSED_MS)
    expect(page.locator("#rehearsal-state")).to_have_text("passed")
    expect(page.locator("#rehearsal-headline")).to_contain_text("0 violations")
    expect(page.locator("#rehearsal-alert")).to_be_hidden()
    assert page.locator("#view-version").inner_text() == version
    page.reload()
    page.locator("#rehearsal summary").click()
    expect(page.locator("#rehearsal-report tbody tr").first).to_be_visible(timeout=SOON_MS)


def test_a_paused_node_is_resumed_by_the_next_site_and_never_left_behind(operator: Page, running: Running) -> None:
    """The site is killed while one stands still, and ended while another does."""
    page = operator
    pid = pid_of(running, "n3")
    page.get_by_label("Disturb n3").click()
    page.locator("#disturb-seconds").select_option("3")
    page.locator("#disturb-confirm").click()
    expect(hold_of(page, "n3")).to_be_visible(timeout=SOON_MS)
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    assert stands_still(pid)
    running.start()
    wait_for(lambda: not stands_still(pid), "n3 to go on")
    running.wait_settled()
    assert pid_of(running, "n3") == pid
    assert running.rows("SELECT label FROM operations_hold") == []
    page.goto(running.url)
    page.get_by_label("Disturb n1").click(timeout=SOON_MS)
    page.locator("#disturb-seconds").select_option(label="until I end it")
    page.locator("#disturb-confirm").click()
    expect(hold_of(page, "n1")).to_have_text("paused", timeout=SOON_MS)
    running.stop()
    assert running.pids() == []
