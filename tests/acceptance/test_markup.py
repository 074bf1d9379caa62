"""Names that are markup, control characters or very long stay text on the page.

Elsewhere: what the page does with names that mean well (test_page.py), the escaping of JSON (tests/dlmsite/dashboard).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import lockcore
from lockcore.core.limits import KEY_BYTES_MAX
from tests.acceptance.running import Running, enter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.acceptance

SOON_MS = 30_000
MARKUP = "<img id=smuggled src=x onerror='document.title=\"owned\"'><script>document.title='owned'</script>"
NAMES = [
    MARKUP,
    "</script></textarea></table>" + MARKUP,
    "a\0b\x1b[31m\r\n\u202egnp.exe",
    "\U0001f512" * (KEY_BYTES_MAX // 4),
    "{{ 7*7 }}${7*7}%s%n",
]


def test_a_name_of_markup_is_shown_and_never_run(page: Page, tmp_path: Path) -> None:
    """As key, as owner, as the search for it, and as the target of an operator's action."""
    running = Running(tmp_path / "data", "--no-workload")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        running.wait_settled()
        enter(page, running.login_link())
        expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
        with lockcore.connect(running.target) as client:
            for name in NAMES:
                client.acquire(name, ttl=30.0, owner=name[:200])
            expect(page.locator("#tail-body tr[data-kind=granted]")).to_have_count(len(NAMES), timeout=SOON_MS)
            expect(page.locator("#tail-body")).to_contain_text("<img id=smuggled")
            for name in NAMES:
                page.locator("#search-key").fill(name)
                expect(page.locator("#search-result")).to_contain_text(re.compile("n[123]"), timeout=SOON_MS)
            page.evaluate(
                """() => fetch('/api/nodes/' + encodeURIComponent('<img id=smuggled>') + '/kill/', {method: 'POST',
                headers: {'X-CSRFToken': document.querySelector('meta[name=csrf-token]').content}})"""
            )
            expect(page.locator("body")).to_contain_text("There is no node '<img id=smuggled>'", timeout=SOON_MS)
            page.reload()
            expect(page.locator("#tail-body")).to_contain_text("<img id=smuggled", timeout=SOON_MS)
        assert page.locator("#smuggled").count() == 0
        assert "owned" not in page.title()
        assert errors == []
        assert "Traceback" not in running.logged()
    finally:
        running.stop()
