"""A disk that is full: locking goes on, what cannot be recorded is said, and what is lost for ever is a row.

On a small file system of its own, so it needs the right to mount one.

Elsewhere: the spool by itself (tests/lockcore/service), the recorder (tests/dlmsite/journal).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import lockcore
from lockcore import aio
from lockcore.core.messages import Granted
from tests.acceptance.running import ROOT, Running, free_port, wait_for
from tests.acceptance.visitor import Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.acceptance


class Disk:
    """A file system of eight megabytes that can be filled and emptied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all the space, or all but some."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4_096))
            except OSError:
                file.truncate(max(0, file.tell() - leave_bytes))

    def empty(self) -> None:
        """Give it back."""
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "lockring-test", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs: run as root")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@pytest.fixture
def cluster(disk: Disk, tmp_path: Path) -> Iterator[Running]:
    running = Running(disk.folder / "data", "--no-workload", log=tmp_path / "up.log")
    try:
        running.wait_settled()
        yield running
    finally:
        running.stop()
        assert running.pids() == []
        (tmp_path / "all.log").write_text(running.logged())  # the disk goes, this stays to be read
        assert "Traceback" not in running.logged()


def acquire_many(target: str, prefix: str, count: int) -> set[tuple[str, int]]:
    """Return the (key, generation) that a client was granted."""

    async def all_at_once() -> set[tuple[str, int]]:
        async with aio.connect(target) as client:
            asked = [client.acquire(f"{prefix}/{i}", ttl=30.0) for i in range(count)]
            told = await asyncio.gather(*asked)
        granted = [t.generation if isinstance(t, Granted) else 0 for t in told]
        return {(f"{prefix}/{i}", generation) for i, generation in enumerate(granted) if generation}

    return asyncio.run(all_at_once())


def test_locking_goes_on_and_the_history_is_made_up_for(cluster: Running, disk: Disk) -> None:
    ada = Visitor(cluster.port)
    ada.log_in(cluster.login_link())
    with lockcore.connect(cluster.target) as client, client.lock("held", ttl=30.0, owner="ada") as lock:
        generation = lock.generation
        disk.fill()
        granted = acquire_many(cluster.target, "full", 500)
        assert len(granted) == 500
        wait_for(lambda: "The journal cannot be written" in cluster.log.read_text(), "the recorder to say so")
        assert ada.ask("GET", "/api/snapshot/").json["lag_ms"] > 0
        refused = ada.post("/api/nodes/n1/kill/")
        assert refused.status == 503
        assert "The journal cannot be used now" in refused.json["detail"]
        assert "Is the disk full?" in refused.json["detail"]
        disk.empty()
        wait_for(lambda: granted <= set(cluster.events("granted")), "every grant in the history")
        assert lock.is_locked
        assert lock.generation == generation
    assert "The journal can be written again" in cluster.log.read_text()
    assert "free some space on its disk; locking goes on" in cluster.logged()
    assert cluster.events("gap") == []


def test_a_node_that_dies_on_a_full_disk_is_replaced_and_its_gap_is_a_row(cluster: Running, disk: Disk) -> None:
    """What it could neither write nor report is gone with its memory; the numbers of what follows show it."""
    with lockcore.connect(cluster.target) as client, client.lock("held", ttl=5.0, owner="ada") as lock:
        generation = lock.generation
        disk.fill()
        acquire_many(cluster.target, "full", 4_000)
        wait_for(lambda: "The journal cannot be written" in cluster.log.read_text(), "the recorder to say so")
        disk.empty()
        granted = acquire_many(cluster.target, "room", 20)  # each node writes a line behind the ones it could not write
        os.kill(cluster.status()["nodes"][0]["pid"], signal.SIGKILL)
        cluster.wait_settled(2)
        wait_for(lambda: granted <= set(cluster.events("granted")), "every grant that was written")
        assert lock.is_locked
        assert lock.generation == generation
    rows = cluster.rows("SELECT kind, number, detail FROM journal_lockevent WHERE number < 0")
    assert all(kind == "gap" and "events" in detail for kind, _, detail in rows)


def test_a_node_that_dies_and_a_site_that_ends_on_a_full_disk_lose_nothing(cluster: Running, disk: Disk) -> None:
    """The master cannot write its journal either, and publishes all the same. What is in the spool waits there."""
    with lockcore.connect(cluster.target) as client, client.lock("held", ttl=5.0, owner="ada") as lock:
        generation = lock.generation
        disk.fill(leave_bytes=16_384)  # enough for some lines of a spool, not for a page of the database
        spooled = client.acquire("spooled", ttl=5.0)
        assert isinstance(spooled, Granted)
        disk.fill()  # whoever came first has had those bytes
        os.kill(cluster.status()["nodes"][0]["pid"], signal.SIGKILL)
        cluster.wait_settled(2)
        assert isinstance(client.acquire("still", ttl=5.0), Granted)
        assert lock.is_locked
        assert lock.generation == generation
    assert "cannot write the master's journal" in cluster.log.read_text()
    cluster.stop()
    assert "it stays, and the next start does it" in cluster.log.read_text()
    disk.empty()
    cluster.start()
    cluster.wait_settled()
    wait_for(lambda: ("spooled", spooled.generation) in cluster.events("granted"), "what was spooled in the history")


def test_a_crashed_site_comes_back_when_there_is_room_again(cluster: Running, disk: Disk) -> None:
    """It says that there is none, and touches no node."""
    before = {node["label"]: (node["pid"], node["incarnation"]) for node in cluster.status()["nodes"]}
    disk.fill()
    cluster.process.kill()
    cluster.process.wait()
    cluster.start()
    assert cluster.process.wait(30) == 1
    assert "Is the disk full?" in cluster.log.read_text() or "Free some space" in cluster.log.read_text()
    assert sorted(cluster.pids()) == sorted(pid for pid, _ in before.values())
    disk.empty()
    cluster.start()
    found = cluster.wait_settled()
    assert {node["label"]: (node["pid"], node["incarnation"]) for node in found["nodes"]} == before


@pytest.mark.parametrize("leave_bytes", [0, 4_096, 65_536, 262_144])
def test_a_start_on_a_full_disk_is_one_line_that_says_so(disk: Disk, leave_bytes: int) -> None:
    disk.fill(leave_bytes)
    command = [sys.executable, "manage.py", "up", "--no-workload", "--port", str(free_port())]
    command += ["--data", str(disk.folder / "data")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 1
    assert "Is the disk full?" in done.stderr or "Free some space" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_read_only_folder_is_one_line_that_says_so(disk: Disk) -> None:
    (disk.folder / "data").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    command = [sys.executable, "manage.py", "up", "--no-workload", "--port", str(free_port())]
    command += ["--data", str(disk.folder / "data")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60, text=True)
    assert done.returncode == 2
    assert "is not writable" in done.stderr
    assert done.stderr.count("\n") == 1
