"""The parts started apart: master, nodes and two site workers over real PostgreSQL and real Redis.

Elsewhere: everything in one process (test_page, test_processes).
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

import lockcore
from tests import postgres
from tests.acceptance.running import ROOT, enter, free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOON_MS = 30_000
pytestmark = pytest.mark.acceptance


def program(name: str) -> str:
    """Return the path of a server program, or skip: CI installs both servers."""
    try:
        return postgres.program(name)
    except postgres.NoServer as missing:
        pytest.skip(str(missing))


class Processes:
    """Started programs, ended in reverse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str, **environ: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=os.environ | environ)
        self._all.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end(self) -> None:
        for process in reversed(self._all):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    found = Processes(tmp_path_factory.mktemp("apart"))
    try:
        yield found
    finally:
        found.end()


@pytest.fixture(scope="module")
def journal() -> Iterator[str]:
    """Start PostgreSQL; return its address."""
    program("initdb")
    with postgres.Postgres(free_port()) as server:
        yield server.url


@pytest.fixture(scope="module")
def environ(journal: str, processes: Processes) -> dict[str, str]:
    """Start Redis as well; return what tells the site about both."""
    port, redis = free_port(), program("redis-server")
    processes.start(
        "redis", redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(processes.folder)
    )
    wait_for(lambda: "eady to accept connections" in processes.log("redis"), "Redis")
    return {
        "LOCKRING_DATABASE": journal,
        "LOCKRING_REDIS": f"redis://127.0.0.1:{port}/0",
        "LOCKRING_DATA": str(processes.folder / "data"),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="module")
def cluster(processes: Processes, environ: dict[str, str]) -> int:
    """Start master, nodes and two workers; return the cluster's port. The workers listen one and two below."""
    port = free_port() + 2
    manage = (sys.executable, "manage.py")
    data = environ["LOCKRING_DATA"]
    processes.start("master", *manage, "master", "--port", str(port), "--data", data, **environ)
    wait_for(lambda: "The master serves" in processes.log("master"), "the master")
    for i in (1, 2, 3):
        address = f"127.0.0.1:{port + i}.{port + 10_000 + i}"
        processes.start(
            f"n{i}", *manage, "node", "--address", address, "--master", f"127.0.0.1:{port + 10_000}",
            "--data", data, "--label", f"n{i}", **environ,
        )  # fmt: skip
    for worker in (port - 1, port - 2):
        processes.start(
            f"worker-{worker}", sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(worker),
            "dlmsite.asgi:application", **environ, LOCKRING_PORT=str(worker),
        )  # fmt: skip
        wait_for(partial(_listens, worker), "a worker")
    return port


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def invite(environ: dict[str, str], worker: int, name: str) -> str:
    """Return a login link at a worker."""
    command = [sys.executable, "manage.py", "invite", name, "--role", "operator"]
    env = os.environ | environ | {"LOCKRING_PORT": str(worker)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    path = re.search(r"/login/\S+", done.stdout)
    assert path, done.stdout
    return f"http://127.0.0.1:{worker}{path.group(0)}"


def test_facts_reach_the_pages_of_two_workers_over_postgresql_and_redis(
    page: Page, cluster: int, environ: dict[str, str], processes: Processes
) -> None:
    """Each worker reads the rows after the last its browser has; the hint comes through Redis."""
    target = ",".join(f"127.0.0.1:{cluster + 10_000 + i}" for i in (1, 2, 3))
    with lockcore.connect(target) as client:
        for worker in (cluster - 1, cluster - 2):
            enter(page, invite(environ, worker, f"ada-{worker}"))
            expect(page.locator("tr[data-node]")).to_have_count(3, timeout=SOON_MS)
            with client.lock(f"apart/{worker}", ttl=20.0, owner="ada", wait=30) as lock:
                fact = page.locator("#tail-body tr[data-kind=granted]").first
                expect(fact).to_contain_text(f"apart/{worker}", timeout=SOON_MS)
                assert lock.is_locked
    for name in ("master", f"worker-{cluster - 1}", f"worker-{cluster - 2}"):
        assert "Traceback" not in processes.log(name)
