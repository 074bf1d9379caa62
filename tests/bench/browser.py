"""Headless Chromium, the machine's own, and how it gets into the site.

Elsewhere: what is looked at (push, page); the browser of the tests (tests/conftest.py).
"""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from playwright.async_api import async_playwright

from tests.bench.report import NotMeasured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS: Final = (
    "--no-sandbox",  # as root Chromium's sandbox cannot start
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser; it ends with the block.

    Raises:
        NotMeasured: there is none on this machine.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        raise NotMeasured("there is no Chromium here: `make browser` installs it or says how")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


async def log_in(page: Page, link: str) -> None:
    """Use a login link up, as a person does."""
    await page.goto(link)
    await page.get_by_role("button", name="Log in").click()
    await page.wait_for_url(lambda url: "/login/" not in url)
