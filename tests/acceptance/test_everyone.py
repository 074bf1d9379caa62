"""Every page for everybody: what axe says, every key in the list, nothing that overflows, nothing that jumps.

Elsewhere: what the pages do (the tests beside), that no other module listens to keys (tests/style/test_pages.py).
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.running import ROOT, Running, known_to, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, StorageState

pytestmark = pytest.mark.acceptance

SOON_MS = 40_000
AXE = ROOT / "node_modules/axe-core/axe.min.js"
SHIFTS = Path(__file__).with_name("shifts.js")
BAD = {"serious", "critical"}
RULES = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
SHIFT_MAX = 0.1
"""What a page may move as it is filled: the bound below which Chrome's metric calls a page good."""
UPDATE_SHIFT_MAX = 0.01
"""What updates may move in all while they come, the lists that move by design apart."""
UPDATES = 15
LOOKS: tuple[tuple[Literal["light", "dark"], int, int], ...] = (("light", 1440, 900), ("dark", 360, 740))
"""Colours and layouts are made apart, so each is looked at once: of all that is tested here, axe takes longest."""
NOBODY = "127.0.0.1:1"
"""The master of a cluster that is watched, and never heard of."""

# Where each page is, and what is there once it is filled.
PAGES = {
    "ring": ("/", "#tail-body tr"),
    "past": ("/?at={now}", "#past:not([hidden])"),
    "history": ("/audit/", "#body tr"),
    "lock": ("/lock/?key=workload%2Fshared", "#life-body tr"),
    "clusters": ("/clusters/", "#clusters-body tr"),
    "watched": ("/cluster/away/", "#trouble:not([hidden])"),
    "charts": ("/charts/", ".is-built .chart svg"),
    "space and time": ("/spacetime/", "svg[data-points]"),
    "nothing": ("/no/such/page/", "h1"),
    "login": ("/login/", "h1"),
    "dead link": ("/login/never-was/", "h1"),
}
STRANGERS = {"login", "dead link"}
FILLED = [name for name in PAGES if name not in STRANGERS | {"nothing"}]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("everyone") / "data", "--observe", f"away={NOBODY}") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def known(running: Running, browser: Browser) -> StorageState:
    wait_for(lambda: running.events("granted"), "a first grant")
    return known_to(browser, running)


@pytest.fixture
def visit(running: Running, known: StorageState, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page by its name, filled; `options` are a browser context's."""
    contexts = []

    def open_page(name: str, *, script: Path | None = None, **options: Any) -> Page:
        context = browser.new_context(**options, storage_state=None if name in STRANGERS else known)
        contexts.append(context)
        if script is not None:
            context.add_init_script(path=script)
        page = context.new_page()
        path, filled = PAGES[name]
        page.goto(running.url.rstrip("/") + path.format(now=time.time_ns()))
        expect(page.locator(filled).first).to_be_attached(timeout=SOON_MS)
        return page

    yield open_page
    for context in contexts:
        context.close()


def open_all(page: Page) -> None:
    """Open what can be opened, so that it is looked at as well."""
    page.evaluate(
        "() => document.querySelectorAll('details.panel, .panel > details').forEach((d) => { d.open = true; })"
    )


def looked_at(page: Page) -> Iterator[list[tuple[str, int, str, list[Any]]]]:
    """Give a page each look in turn; yield what axe calls bad in it: (colours, px, rule, some of its elements)."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, width, height in LOOKS:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": height})
        yield [
            (scheme, width, rule["id"], [node["target"] for node in rule["nodes"]][:3])
            for rule in page.evaluate(RULES)
            if rule["impact"] in BAD
        ]


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(visit: Callable[..., Page], name: str) -> None:
    """Light on a desk and dark on a phone; where it is also tried that nothing is wider than the phone."""
    found = []
    page = visit(name, reduced_motion="reduce")
    open_all(page)
    for look in looked_at(page):
        found += look
        wide, room = page.evaluate("[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
        assert wide <= room, f"{name} is {wide} px wide in {room} px"
    assert found == []


def test_what_is_old_can_be_read_as_well(visit: Callable[..., Page]) -> None:
    """A lock whose primary does not answer is shown as it was: that is read with more care, not less."""
    page = visit("lock", reduced_motion="reduce")
    expect(page.locator("#now")).to_be_visible(timeout=SOON_MS)
    page.route("**/api/**", lambda route: route.abort())
    expect(page.locator("#now.is-old")).to_be_visible(timeout=SOON_MS)
    assert [bad for look in looked_at(page) for bad in look] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_question_mark_lists_every_key_of_the_page(visit: Callable[..., Page], name: str) -> None:
    """And each key that an element says it has is in the list; pressing them all breaks nothing."""
    page = visit(name)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.evaluate("() => document.activeElement?.blur()")
    page.keyboard.press("?")
    dialog = page.locator("#keys-dialog")
    expect(dialog).to_be_visible()
    listed = dialog.locator("kbd").evaluate_all("keys => keys.map(key => key.dataset.key)")
    said = page.locator("[aria-keyshortcuts]").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-keyshortcuts'))"
    )
    assert {key.lower() if len(key) == 1 else key for key in said} <= set(listed)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    for key in dict.fromkeys(listed):
        if key not in {"Enter", "Tab", "Shift+Tab", "?", " "}:
            page.evaluate("() => document.activeElement?.blur()")
            page.keyboard.press(key)
    assert problems == []


def test_keys_of_the_page_leave_who_types_alone_and_can_be_turned_off(visit: Callable[..., Page]) -> None:
    """Who dictates to the browser types letters without meaning keys."""
    page = visit("ring")
    page.keyboard.press("/")
    search = page.locator("#search-key")
    expect(search).to_be_focused()
    page.keyboard.type("l?/")
    expect(search).to_have_value("l?/")
    expect(page.locator("#keys-dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(search).to_have_value("")

    page.locator("#keys").click()
    page.get_by_role("switch", name="Keys work anywhere").click()
    page.keyboard.press("Escape")
    page.evaluate("() => document.activeElement?.blur()")
    page.keyboard.press("/")
    expect(search).not_to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys-dialog")).to_have_count(0)


def moved(page: Page, since_ms: float = 0) -> float:
    """Return how much moved, and fail with what it was where that is too much."""
    shifts = [shift for shift in page.evaluate("() => window.shifts") if shift["atMs"] >= since_ms]
    total = sum(shift["value"] for shift in shifts)
    assert total <= (UPDATE_SHIFT_MAX if since_ms else SHIFT_MAX), shifts
    return float(total)


@pytest.mark.parametrize("name", FILLED)
@pytest.mark.parametrize("width", [1440, 360])
def test_nothing_jumps_while_events_come(visit: Callable[..., Page], running: Running, name: str, width: int) -> None:
    """A button that moves under the hand is another button."""
    page = visit(name, script=SHIFTS, viewport={"width": width, "height": 800})
    since_ms = page.evaluate("() => performance.now()") + 2_000

    def last_event() -> int:
        return int(running.rows("SELECT max(id) FROM journal_lockevent")[0][0])

    wanted = last_event() + UPDATES
    wait_for(lambda: last_event() >= wanted, f"{UPDATES} events", 100)
    moved(page)
    moved(page, since_ms)


def test_every_button_of_a_node_is_on_a_desk_without_scrolling(visit: Callable[..., Page]) -> None:
    """A button that is cut off is one that nobody finds. While all are well: what else is said of a node takes room."""
    page = visit("ring", viewport={"width": 1440, "height": 900})
    well = page.locator("tr[data-node] td[data-label=State] .badge").filter(has_text=re.compile(r"^up$"))
    expect(well).to_have_count(3, timeout=SOON_MS)
    wide, room = page.locator(".nodes-panel .scroll").evaluate("one => [one.scrollWidth, one.clientWidth]")
    assert wide <= room


def test_who_wants_no_motion_gets_none(visit: Callable[..., Page]) -> None:
    page = visit("ring", reduced_motion="reduce")
    assert page.evaluate("() => document.getAnimations().length") == 0
