"""A plan of several changes, staged, committed to and compared, in a real browser on a real cluster with held locks.

Elsewhere: refusals and bounds (tests/dlmsite/dashboard/test_plan.py), the prediction by itself
(tests/dlmsite/operations/test_foresight.py).
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import lockcore
from tests.acceptance.running import Running, enter, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]

SOON_MS = 60_000
SETTLED_MS = 150_000
"""A process is started, locks move twice, and the record is waited for; the machine may be busy."""
KEYS = [f"plan/{i:02}" for i in range(24)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("plan") / "data", "--no-workload") as cluster:
        yield cluster


@pytest.fixture
def operator(page: Page, running: Running) -> Page:
    """The page with the plan open, an operator logged in, a ring at rest."""
    enter(page, running.invite("ada", "operator"))
    expect(page.locator("#stage-open")).to_be_enabled(timeout=SOON_MS)
    page.keyboard.press("p")
    expect(page.locator("#stage-status")).to_contain_text("Nothing is staged", timeout=SOON_MS)
    return page


def stage(page: Page, what: str, label: str = "") -> None:
    """Stage a change by keyboard alone."""
    page.locator("#stage-what").select_option(what)
    if label:
        page.locator("#stage-node").select_option(label)
    page.locator("#stage-add").focus()
    page.keyboard.press("Enter")


def commit(page: Page) -> None:
    """Press Commit until it is taken: on a busy machine a node is suspected now and then, and the plan refused."""

    def taken() -> bool:
        expect(page.locator("#stage-commit")).to_be_enabled(timeout=SOON_MS)
        page.locator("#stage-commit").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#stage-status")).not_to_contain_text("Writing the plan down", timeout=SOON_MS)
        return (page.locator("#stage-status").text_content() or "").startswith("Plan")

    wait_for(taken, "the plan to be committed to")


def test_a_kill_and_a_join_are_foreseen_and_come_as_foreseen(operator: Page, running: Running) -> None:
    """Every lock is where the plan said, its holder has kept it, and the page says so lock by lock."""
    page = operator
    with lockcore.connect(running.target) as client, client.session("holder", ttl=30.0) as session, ExitStack() as held:
        locks = [held.enter_context(session.lock(key)) for key in KEYS]
        generations = [lock.generation for lock in locks]
        stage(page, "kill", "n1")
        stage(page, "add")
        expect(page.locator("#stage-list li")).to_have_text([re.compile("Kill n1"), re.compile("Add a node")])
        expect(page.locator("#stage-status")).to_contain_text(
            re.compile(r"Kill n1, Add n4, at once: .*Of 24 held locks"), timeout=SOON_MS
        )
        expect(page.locator("#stage-locks tbody tr")).to_have_count(len(KEYS))
        expect(page.locator("#stage-locks tbody tr").first).to_contain_text(re.compile(r"\d+ s$"))
        commit(page)
        expect(page.locator("#stage-status")).to_contain_text("Plan 1 is over", timeout=SETTLED_MS)
        expect(page.locator("#stage-status")).to_contain_text("24 locks fared as foreseen")
        expect(page.locator("#stage-status")).to_contain_text("The key space moved as foreseen")
        expect(page.locator("#stage tr.differs")).to_have_count(0)
        expect(page.locator("#stage-totals")).to_contain_text("Foreseen beside what happened")
        expect(page.locator(".stage-acts li")).to_have_count(2)
        assert [lock.is_locked for lock in locks] == [True] * len(KEYS)
        assert [lock.generation for lock in locks] == generations
    ((plan, wanted, done),) = running.rows(
        "SELECT p.id, COUNT(*), SUM(a.state = 'done') FROM operations_changeplan p"
        " JOIN operations_operatoraction a ON a.plan_id = p.id GROUP BY p.id"
    )
    assert (plan, wanted, done) == (1, 2, 2)
    page.reload()
    expect(page.locator("#stage-open")).to_be_enabled(timeout=SOON_MS)
    page.locator("#stage-open").click()
    page.locator("#stage-past").select_option("1", timeout=SOON_MS)
    expect(page.locator("#stage-status")).to_contain_text("Plan 1 is over", timeout=SOON_MS)


def test_while_the_ring_is_not_at_rest_the_plan_says_why_not(operator: Page) -> None:
    """A node stands still: what comes of that is not known, and nothing is guessed. What was staged is kept."""
    page = operator
    stage(page, "stop", "n2")
    expect(page.locator("#stage-commit")).to_be_enabled(timeout=SOON_MS)
    page.get_by_label("Disturb n3").click()
    page.locator("#disturb-seconds").select_option("60")
    page.locator("#disturb-confirm").click()
    expect(page.locator("#stage-problem")).to_contain_text("The cluster is still settling", timeout=SETTLED_MS)
    expect(page.locator("#stage-problem")).to_contain_text("n3 is ")
    expect(page.locator("#stage-commit")).to_be_disabled()
    page.get_by_label("Resume n3").click(timeout=SOON_MS)
    expect(page.locator("#stage-commit")).to_be_enabled(timeout=SETTLED_MS)
    expect(page.locator("#stage-problem")).to_be_hidden()
    page.get_by_label("Take out: Stop n2").click()
    expect(page.locator("#stage-status")).to_contain_text("Nothing is staged", timeout=SOON_MS)
