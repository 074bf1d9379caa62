"""Sessions, queues, byte ranges and migrations as people see them, on a real cluster in a real browser.

Elsewhere: where ranges lie on the strip (tests/js), what nodes tell (tests/lockcore/core/test_inspecting.py).
"""

from __future__ import annotations

import asyncio
import re
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from playwright.sync_api import Page, expect

from lockcore import aio
from tests.acceptance.running import Running, enter, known_to, settled, wait_for

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from playwright.sync_api import Browser, StorageState

    from lockcore.client.client import LockClient
    from lockcore.client.session import Session

pytestmark = pytest.mark.acceptance

T = TypeVar("T")

SOON_MS = 30_000
TTL_S = 30.0
KEY = "reports/2026.db"


class Hands:
    """Sessions that work beside the browser, in a loop of their own."""

    def __init__(self, target: str) -> None:
        """Connect."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client: LockClient = self.do(self._connect(target))
        self._waits: list[Any] = []

    @staticmethod
    async def _connect(target: str) -> LockClient:
        return await aio.connect(target).__aenter__()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def begin(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Let it go on; the end cancels it."""
        self._waits.append(asyncio.run_coroutine_threadsafe(work, self._loop))
        return self._waits[-1]

    def session(self, label: str) -> Session:
        """Open a session."""
        return self.do(self.client.session(label, ttl=TTL_S).open())

    def close(self) -> None:
        """Let go of everything."""
        for wait in self._waits:
            wait.cancel()
        self.do(self.client.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("keys") / "data", "--no-workload") as cluster:
        yield cluster


@pytest.fixture
def hands(running: Running) -> Iterator[Hands]:
    made = Hands(running.target)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def viewer(browser: Browser, running: Running) -> StorageState:
    return known_to(browser, running, running.invite("eve", "viewer"))


@pytest.fixture
def seen(page: Page, running: Running, viewer: StorageState) -> Iterator[Page]:
    """The page, as a viewer has it."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.context.add_cookies(viewer["cookies"])  # type: ignore[arg-type]  # what it gives is what it takes
    page.goto(running.url)
    expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
    yield page
    assert errors == []


def look_inside(page: Page, key: str) -> None:
    """Open what is on a key."""
    page.locator("#search-key").fill(key)
    page.locator("#search-look").click()
    expect(page.locator("#key-title")).to_have_text(key)


def test_a_queue_is_shown_in_order_and_moves_up(seen: Page, hands: Hands) -> None:
    """Who waits since when, and who is next: as the primary has it."""
    ada, bob, eve = (hands.session(name) for name in ("ada", "bob", "eve"))
    held = hands.do(ada.lock(KEY).acquire())
    look_inside(seen, KEY)
    expect(seen.locator("#key-holder")).to_contain_text("Held by ada through the session ada", timeout=SOON_MS)
    places = seen.locator("#key-queue tbody tr")
    for i, waits in enumerate((bob, eve)):
        hands.begin(waits.lock(KEY, wait=60).acquire())
        expect(places).to_have_count(i + 1, timeout=SOON_MS)
    expect(places.nth(0)).to_contain_text("bob")
    expect(places.nth(1)).to_contain_text("eve")
    expect(places.nth(1)).to_contain_text(re.compile(r"\d\d:\d\d:\d\d, for "), timeout=SOON_MS)
    hands.do(held.release())
    expect(seen.locator("#key-holder")).to_contain_text("Held by bob", timeout=SOON_MS)
    expect(places).to_have_count(1)


def test_an_operator_takes_a_lock_away_and_says_why(page: Page, running: Running, hands: Hands) -> None:
    """The hold that was shown ends, its holder is told, who waits gets the lock, and the reason is in the history."""
    ada, bob = hands.session("ada"), hands.session("bob")
    held = hands.do(ada.lock("taken/away").acquire())
    waits = hands.begin(bob.lock("taken/away", wait=60).acquire())
    enter(page, running.invite("olga", "operator"))
    look_inside(page, "taken/away")
    expect(page.locator("#key-queue tbody tr")).to_have_count(1, timeout=SOON_MS)
    page.get_by_role("button", name="Take the lock away").click()
    expect(page.locator("#release-text")).to_contain_text("ada loses generation")
    page.get_by_label("Why?").fill("its owner left")
    page.get_by_role("button", name="Take it away").click()
    expect(page.locator("#key-holder")).to_contain_text("Held by bob", timeout=SOON_MS)
    assert waits.result(60).generation > held.generation
    wait_for(lambda: not held.is_locked, "its holder knows that it is lost")
    ((detail,),) = running.rows("SELECT detail FROM journal_lockevent WHERE kind = 'released' AND key = 'taken/away'")
    assert detail == "by an operator: olga: its owner left"


def test_a_locks_life_is_told_from_what_is_on_its_key(seen: Page, hands: Hands) -> None:
    """Who held it, when, with which generation, how it ended, and how far both of its nodes are now."""
    ada, bob = hands.session("ada"), hands.session("bob")
    first = hands.do(ada.lock("told/life").acquire())
    hands.do(first.release())
    second = hands.do(bob.lock("told/life").acquire())
    look_inside(seen, "told/life")
    seen.get_by_role("link", name="Its life so far").click()
    rows = seen.locator("#life-body tr")
    expect(rows).to_have_count(2, timeout=SOON_MS)
    expect(rows.nth(0)).to_contain_text(re.compile(f"bob{second.generation}.*goes on"))
    expect(rows.nth(1)).to_contain_text(re.compile(f"ada{first.generation}.*released"))
    expect(seen.locator("#holder")).to_contain_text(
        f"Held by bob through a session bob, generation {second.generation}"
    )
    expect(seen.locator("#pair-body tr").nth(1)).to_contain_text(f"{second.generation}1nothing", timeout=SOON_MS)
    expect(seen.locator("#lanes rect")).to_have_count(2)
    hands.do(second.release())
    expect(seen.locator("#holder")).to_have_text("Nobody holds it.", timeout=SOON_MS)
    expect(rows.nth(0)).to_contain_text("released", timeout=SOON_MS)


def test_a_viewer_is_offered_to_take_nothing_away(seen: Page, hands: Hands) -> None:
    hands.do(hands.session("ada").lock("kept").acquire())
    look_inside(seen, "kept")
    expect(seen.locator("#key-holder")).to_contain_text("Held by ada", timeout=SOON_MS)
    expect(seen.locator("#release-form, #release-open")).to_have_count(0)


def test_ranges_are_drawn_and_listed_with_who_waits(seen: Page, hands: Hands) -> None:
    ada, bob = hands.session("ada"), hands.session("bob")
    mine = ada.ranges(KEY)
    hands.do(mine.setlk("write", 0, 100))
    hands.do(mine.setlk("read", 200, 0))
    hands.begin(bob.ranges(KEY).setlkw("write", 50, 100, wait=60))
    look_inside(seen, KEY)
    rows = seen.locator("#key-ranges tbody tr")
    expect(rows).to_have_count(3, timeout=SOON_MS)
    expect(rows.nth(0)).to_contain_text("0 to 99")
    expect(rows.nth(1)).to_contain_text("200 to the end")
    expect(rows.nth(2)).to_contain_text("waits")
    bars = seen.locator("#key-strip .bar")
    expect(bars).to_have_count(3)
    boxes = [
        seen.locator(f"#key-strip .bar.{kind}").first.bounding_box() for kind in ("write:not(.waits)", "read", "waits")
    ]
    assert all(boxes)
    write, read, waits = (box for box in boxes if box is not None)
    assert write["x"] < waits["x"] < read["x"]
    assert all(box["width"] > 20 for box in (write, read, waits))
    hands.do(mine.unlck())
    expect(rows).to_have_count(1, timeout=SOON_MS)
    expect(rows.nth(0)).to_contain_text("50 to 149")


def test_a_migration_is_drawn_from_the_old_session_to_the_new_one(seen: Page, hands: Hands) -> None:
    """SETLK_MIGRATE: the holder changes, the generation does not, and where it came from is said."""
    key = "migrated"
    old, new = hands.session("old"), hands.session("new")
    held = hands.do(old.lock(key).acquire())
    hands.do(old.ranges(key).setlk("write", 0, 10))
    taken = hands.do(new.take_over(old.proof))
    assert taken.locks[key].generation == held.generation
    look_inside(seen, key)
    expect(seen.locator("#key-holder")).to_contain_text("through the session new", timeout=SOON_MS)
    moves = seen.locator("#key-migrations li .move")
    expect(moves).to_have_count(2, timeout=SOON_MS)
    for move in moves.all():
        ends = [end.get_attribute("title") for end in move.locator(".end").all()]
        assert ends == [old.id, new.id]
    seen.locator("#key-close").click()
    expect(seen.locator("#tail-body tr[data-kind=migrated]")).to_be_visible()
    for path in ("/api/key/?key=migrated", "/api/sessions/", "/api/events/", "/api/snapshot/"):
        told = seen.evaluate("path => fetch(path).then((answer) => answer.text())", path)
        assert new.id in told
        assert not any(session.proof.secret in told for session in (old, new))


def test_sessions_are_listed_with_what_they_have_and_their_events_are_found(seen: Page, hands: Hands) -> None:
    ada = hands.session("ada of the list")
    for i in range(3):
        hands.do(ada.lock(f"list/{i}").acquire())
        hands.do(ada.ranges(f"list/{i}").setlk("read", i, 1))
    hands.begin(hands.session("one who waits").lock("list/0", wait=60).acquire())
    seen.locator("#sessions summary").click()
    row = seen.locator("#sessions-body tr", has_text="ada of the list")
    expect(row).to_contain_text("alive", timeout=SOON_MS)
    expect(row.locator("td[data-label=Locks]")).to_have_text("3", timeout=SOON_MS)
    expect(row.locator("td[data-label=Ranges]")).to_have_text("3")
    waits = seen.locator("#sessions-body tr", has_text="one who waits").locator("td[data-label=Waits]")
    expect(waits).to_have_text("1", timeout=SOON_MS)
    row.get_by_role("button", name="Events").click()
    expect(seen.locator("#tail-text")).to_have_value(ada.id)
    expect(seen.locator("#tail-body tr[data-kind=range-locked]")).to_have_count(3, timeout=SOON_MS)
    expect(seen.locator("#tail-body")).not_to_contain_text("one who waits")
    hands.do(ada.close())
    expect(row).to_contain_text("ended", timeout=SOON_MS)
    expect(row.locator("td[data-label=Locks]")).to_have_text("0")


def test_a_key_whose_primary_does_not_answer_is_not_shown_as_it_was(seen: Page, hands: Hands) -> None:
    """Nothing is shown as current that nobody has said now."""
    session = hands.session("ada")
    hands.do(session.lock("doubtful").acquire())
    look_inside(seen, "doubtful")
    expect(seen.locator("#key-holder")).to_contain_text("ada", timeout=SOON_MS)
    seen.route("**/api/key/**", lambda route: route.abort())
    expect(seen.locator("#key-problem")).to_be_visible(timeout=SOON_MS)
    expect(seen.locator("#key-status")).to_contain_text("may be otherwise now")
    expect(seen.locator("#key-body")).to_have_class(re.compile("is-old"))
    seen.unroute("**/api/key/**")
    expect(seen.locator("#key-problem")).to_be_hidden(timeout=SOON_MS)
