"""What all tests share: a data folder of their own, and Debian's Chromium for those that drive a browser.

Elsewhere: what a group of tests needs for itself is in the conftest.py of its folder.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Set before Django reads its settings, so before any fixture: no test may touch a real .lockring.
_SESSION_FOLDER = Path(tempfile.mkdtemp(prefix="lockring-tests-"))
os.environ["LOCKRING_DATA"] = str(_SESSION_FOLDER / "data")
(_SESSION_FOLDER / "data").mkdir(mode=0o700)
for _name in ("LOCKRING_PORT", "LOCKRING_HOST", "LOCKRING_REDIS", "LOCKRING_DEBUG", "LOCKRING_ALLOWED_HOSTS"):
    os.environ.pop(_name, None)
# Playwright's sync API runs an event loop in the test's thread, where Django would refuse its ORM. There the loop only
# waits for the browser, so nothing else runs in between.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox cannot start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # The rest: a test's browser talks to nobody but the test.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_unconfigure() -> None:
    """Remove the session's folder."""
    shutil.rmtree(_SESSION_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the Chromium of this machine; Playwright's own is never downloaded."""
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.fail("Browser tests need Chromium: `apt-get install chromium`, or run `make test`, which says more.")
    arguments = [*browser_type_launch_args.get("args", []), *CHROMIUM_ARGUMENTS]
    return {**browser_type_launch_args, "executable_path": path, "args": arguments}


@pytest.fixture(autouse=True)
def _forget_login_tries() -> Iterator[None]:
    """Empty the cache of login tries, so that one test's tries are not another's."""
    from django.core.cache import cache

    cache.clear()
    yield
    cache.clear()
