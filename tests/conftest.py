"""What all tests share: a data folder of their own, and Debian's Chromium for those that drive a browser.

Elsewhere: what a group of tests needs for itself is in the conftest.py of its folder.
"""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Playwright

from lockcore.testing.ports import claimed, give_back
from tests.settings import TEST_RUN_DIR
from tests.weed.cluster import WeedCluster

# Programs that tests start are to read the site's own settings; pytest-django has read tests.settings by now.
os.environ["DJANGO_SETTINGS_MODULE"] = "dlmsite.settings"

# A shell starts what runs in the background deaf to Ctrl-C, and so would be every program that a test ends by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

BROWSER_FIXTURES = {"playwright", "browser", "context", "page"}
SLOW_FOLDERS = {"acceptance", "simulation"}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_FEATURES_OFF = (
    # The address bar is a page of its own in each window, and nobody looks at it: half a second of a processor.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    # Only the last such list counts: what Playwright turns off itself.
    "AimEnabled",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "LensOverlay",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)
CHROMIUM_ARGUMENTS = (
    f"--disable-features={','.join(CHROMIUM_FEATURES_OFF)}",
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox cannot start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # The rest: a test's browser talks to nobody but the test.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with a browser last; order the rest by how long they take.

    It must be so for the browser: once Playwright has started, its event loop stays in this thread until the end, and
    pytest-asyncio can start none beside it. One after another, what is quick comes first, and so do quick failures.
    Side by side, what is slow comes first, and of the files with a browser those with most tests of it, so that no
    worker is left alone with one at the end.
    """
    with_browser = Counter(item.path for item in items if _needs_browser(item))
    for item in items:
        if item.path in with_browser and item.get_closest_marker("asyncio"):
            raise pytest.UsageError(f"{item.nodeid} is asyncio, in a file with browser tests: move it")
    side_by_side = "PYTEST_XDIST_WORKER" in os.environ
    items.sort(key=lambda item: (item.path in with_browser, _is_slow(item) != side_by_side, -with_browser[item.path]))


def _needs_browser(item: pytest.Item) -> bool:
    return not BROWSER_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


def _is_slow(item: pytest.Item) -> bool:
    return not SLOW_FOLDERS.isdisjoint(item.path.parts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have recorded."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_unconfigure() -> None:
    """Remove the run's folder."""
    shutil.rmtree(TEST_RUN_DIR, ignore_errors=True)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the Chromium of this machine; Playwright's own is never downloaded."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.fail("Browser tests need Chromium: `apt-get install chromium`, or run `make test`, which says more.")
    arguments = [*browser_type_launch_args.get("args", []), *CHROMIUM_ARGUMENTS]
    return {**browser_type_launch_args, "executable_path": path, "args": arguments}


@pytest.fixture(scope="session")
def playwright(playwright: Playwright) -> Playwright:
    """Allow Django's ORM beside Playwright's loop: it only waits for the browser, so nothing runs in between."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    return playwright


@pytest.fixture(autouse=True)
def _give_ports_back() -> Iterator[None]:
    """End a test's claims on ports, for whoever listened there has ended; a module's last as long as we do."""
    before = claimed()
    yield
    for port in claimed() - before:
        give_back(port)


@pytest.fixture
def weed() -> Iterator[WeedCluster]:
    """A real SeaweedFS: one master and three filers that know each other."""
    with WeedCluster(filers=3) as running:
        yield running


@pytest.fixture(autouse=True)
def _forget_login_tries() -> Iterator[None]:
    """Empty the cache of login tries, so that one test's tries are not another's."""
    from django.core.cache import cache

    cache.clear()
    yield
    cache.clear()
