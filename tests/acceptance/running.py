"""A real `manage.py up` for tests that use Lockring as people do.

Elsewhere: what is tried on it (the tests beside).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

from dlmsite.operations.report import look
from lockcore.testing.ports import claim_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, StorageState

ROOT = Path(__file__).resolve().parents[2]
LOG_IN = re.compile("log in", re.IGNORECASE)
PORTS_NEEDED = 8
PATIENCE_S = 60.0
PACE = threading.Event()  # never set
ASKING = ThreadPoolExecutor(1)


def wait_for(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Return the condition's first true value.

    Raises:
        AssertionError: it never became true; says what was waited for.
    """
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            msg = f"waited {patience_s:.0f} s in vain for: {what}"
            raise AssertionError(msg)
        PACE.wait(0.15)  # the pace of asking, not a guess at how long it takes
    return found


def free_port() -> int:
    """Return a port for `up`: its own, and those that follow from it."""
    return claim_ports(PORTS_NEEDED)


class Running:
    """One `manage.py up`, with what it printed."""

    def __init__(
        self, data: Path, *options: str, nodes: int = 3, port: int | None = None, log: Path | None = None
    ) -> None:
        """Start it; `ready` waits until it can be used."""
        self.data = data
        self.port = port or free_port()
        self.log = log or data.with_suffix(".log")
        self.options = ("--nodes", str(nodes), "--port", str(self.port), "--data", str(data), *options)
        self.nodes = nodes
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start (again) in the same folder and on the same ports."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", *self.options],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )
        return self.process

    @property
    def url(self) -> str:
        """The page."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def target(self) -> str:
        """The address list for a client."""
        return ",".join(f"127.0.0.1:{self.port + 10_000 + i}" for i in range(1, self.nodes + 1))

    def login_link(self) -> str:
        """Return the one-time link that it printed."""
        found = wait_for(lambda: re.search(r"http://\S+/login/\S+", self.log.read_text()), "the login link")
        return str(found.group(0))

    def invite(self, name: str, role: str) -> str:
        """Return a login link for a new user, as soon as there is a journal that can take one."""
        self.login_link()
        command = [sys.executable, "manage.py", "invite", name, "--role", role, "--data", str(self.data)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)
        found = re.search(r"/login/\S+", done.stdout)
        assert found, done.stdout + done.stderr
        return self.url.rstrip("/") + found.group(0)

    def status(self) -> dict[str, Any]:
        """Return what `manage.py status --json` says, without starting it: that costs a second each time."""
        # In a thread of its own: where a browser is driven, this one has a running loop already.
        found = ASKING.submit(asyncio.run, look(self.data)).result(PATIENCE_S)
        return found.to_json() if found else {}

    def printed_status(self, *options: str) -> str:
        """Return what `manage.py status` prints."""
        command = [sys.executable, "manage.py", "status", "--data", str(self.data), *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60, text=True).stdout

    def wait_settled(self, nodes: int | None = None) -> dict[str, Any]:
        """Return the status once so many nodes (default: all) are up in a settled view."""
        wanted = self.nodes if nodes is None else nodes

        def settled() -> dict[str, Any] | None:
            found = self.status()
            up = [node for node in found.get("nodes", []) if node["state"] == "up"]
            return found if found.get("settled") and len(up) == wanted else None

        return dict(wait_for(settled, f"{wanted} nodes in a settled view"))

    def busiest(self) -> str:
        """Return the node that is primary of the most locks: which one, the ports of this run decide."""

        def found() -> str | None:
            nodes = self.status().get("nodes", [])
            most = max(nodes, key=lambda node: int(node["held_primary"]), default=None)
            return str(most["label"]) if most and most["held_primary"] else None

        return str(wait_for(found, "a node that is primary of a lock"))

    def pids(self) -> list[int]:
        """Return every process that has this data folder in its command line."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it ended this moment
                if str(self.data).encode() in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Read the journal's file as anybody can."""
        with closing(sqlite3.connect(self.data / "journal.sqlite3", timeout=20)) as journal:
            return journal.execute(query, values).fetchall()

    def events(self, kind: str) -> list[tuple[str, int]]:
        """Return (key, generation) of recorded events of a kind."""
        return self.rows("SELECT key, generation FROM journal_lockevent WHERE kind = ?", kind)

    def logged(self) -> str:
        """Return everything that it and its nodes have said."""
        paths = [self.log, *(self.data / "logs").glob("*.log*")]
        return "".join(path.read_text(errors="replace") for path in paths)

    def stop(self) -> None:
        """Press Ctrl-C and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise


@contextmanager
def settled(data: Path, *options: str) -> Iterator[Running]:
    """Run it for the length of the block, which begins when all nodes have settled and the journal has its tables."""
    cluster = Running(data, *options)
    try:
        cluster.wait_settled()
        yield cluster
    finally:
        cluster.stop()
    assert cluster.pids() == [], "after Ctrl-C nothing is left"


def enter(page: Page, link: str) -> None:
    """Use a login link, as people do."""
    page.goto(link)
    page.get_by_role("button", name=LOG_IN).click()


def kill_busiest(page: Page, running: Running) -> str:
    """Kill the node that is primary of the most locks, as the page does; return it when its promotions are rows."""
    victim = running.busiest()
    page.evaluate(
        """victim => fetch(`/api/nodes/${victim}/kill/`, {method: 'POST',
        headers: {'X-CSRFToken': document.querySelector('meta[name=csrf-token]').content}})""",
        victim,
    )
    running.wait_settled(running.nodes - 1)
    wait_for(lambda: running.events("promoted"), "rows of what was promoted")
    return victim


def known_to(browser: Browser, running: Running, link: str = "") -> StorageState:
    """Log in once, by a link or as the first operator; each page may then come with that session."""
    context = browser.new_context()
    page = context.new_page()
    enter(page, link or running.login_link())
    expect(page.locator("tr[data-node]")).to_have_count(running.nodes, timeout=PATIENCE_S * 1_000)
    state = context.storage_state()
    context.close()
    return state
